"""Figures that were measured in rounds: what is told of them, and in which order contenders take their turns."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and the quartiles, between which half of them lie."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 2) -> "Spread":
        """The spread of at least one value, rounded to so many digits."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        return cls(round(median, digits), round(low, digits), round(high, digits))

    def as_json(self) -> dict[str, float]:
        """As it stands in a file of figures."""
        return asdict(self)


def turns(contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Each contender once in each round, every other round backwards: whoever is first is so for half of the rounds."""
    for number in range(rounds):
        yield from ((number, each) for each in (contenders if number % 2 == 0 else contenders[::-1]))
