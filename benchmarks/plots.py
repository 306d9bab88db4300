"""Plots as SVG: small, the same bytes for the same figures, and legible in light and in dark.

A plot has a title and a description for those who do not see it, a background of its own, and colours that follow the
reader's preference. Lines differ in their markers, too, not in colour alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 800
LEFT, RIGHT, TOP, BOTTOM = 64, 240, 72, 48
"""What is around the field of a line plot: the legend is on its right."""

HEIGHT: Final = 400
HEAD: Final = 40
BAR: Final = 24
MOST_TICKS: Final = 8
NAMES: Final = 320
"""How wide the names of bars may be."""

COLOURS: Final = (
    ("#0b5cad", "#6cb6ff"),
    ("#b35900", "#f0a35e"),
    ("#1a7f37", "#57c76d"),
    ("#9a1f6a", "#f08fc6"),
    ("#5b4b00", "#d8c45a"),
    ("#444c56", "#adbac7"),
)
"""Of lines, each in light and in dark; every one has a contrast of at least 4.5 to its background."""

STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.b{fill:#fff}.h{font-size:15px;font-weight:600}"
    ".g{stroke:#d0d7de;fill:none}.w{stroke:#1f2328;fill:none}.l{fill:none;stroke-width:2}.o{fill:#9aa4af}%s"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117}.g{stroke:#30363d}.w{stroke:#e6edf3}.o{fill:#57606a}%s}"
)

MARKERS: Final[Sequence[Callable[[float, float], str]]] = (
    lambda x, y: f'<circle cx="{number(x)}" cy="{number(y)}" r="3.5"/>',
    lambda x, y: f'<rect x="{number(x - 3)}" y="{number(y - 3)}" width="6" height="6"/>',
    lambda x, y: f'<path d="M{number(x)} {number(y - 4.5)}l4.5 8h-9z"/>',
    lambda x, y: f'<path d="M{number(x)} {number(y - 5)}l5 5l-5 5l-5 -5z"/>',
    lambda x, y: f'<path d="M{number(x)} {number(y + 4.5)}l4.5 -8h-9z"/>',
    lambda x, y: f'<rect x="{number(x - 5)}" y="{number(y - 1.5)}" width="10" height="3"/>',
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lines:
    """Values against something that grows. ``logarithmic`` axes are named by their letters: "", "x", "y" or "xy"."""

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    logarithmic: str = "x"

    def svg(self) -> str:
        """The plot."""
        xs = sorted({x for points in self.series.values() for x, _ in points})
        ys = [y for points in self.series.values() for _, y in points]
        by_decades = "x" in self.logarithmic
        across = Axis.over(xs, LEFT, WIDTH - RIGHT, logarithmic=by_decades, from_zero=not by_decades)
        up = Axis.over(ys, HEIGHT - BOTTOM, TOP, logarithmic="y" in self.logarithmic, from_zero=True)
        body = [*self._grid(across, up, xs), *self._drawn(across, up)]
        return document(self.title, self._described(), HEIGHT, body, len(self.series))

    def _described(self) -> str:
        """Everything that the plot shows, in words."""
        told = (
            f"{name}: " + ", ".join(f"{short(y)} at {short(x)}" for x, y in points)
            for name, points in self.series.items()
        )
        return f"{self.y} against {self.x}. {'. '.join(told)}."

    def _grid(self, across: "Axis", up: "Axis", xs: Sequence[float]) -> Iterator[str]:
        for y in up.ticks():
            at = number(up.place(y))
            yield f'<path class="g" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>'
            yield text(LEFT - 8, up.place(y) + 4, short(y), "end")
        for x in xs if across.logarithmic and len(xs) <= MOST_TICKS else across.ticks():
            yield text(across.place(x), HEIGHT - BOTTOM + 18, short(x), "middle")
        yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, self.x, "middle")
        yield text(16, TOP - 24, self.y, "start")

    def _drawn(self, across: "Axis", up: "Axis") -> Iterator[str]:
        for index, (name, points) in enumerate(self.series.items()):
            places = [(across.place(x), up.place(y)) for x, y in sorted(points)]
            line = "L".join(f"{number(x)} {number(y)}" for x, y in places)
            kind, mark = index % len(COLOURS), MARKERS[index % len(MARKERS)]
            yield f'<path class="l c{kind}" d="M{line}"/><g class="f{kind}">{"".join(mark(*at) for at in places)}</g>'
            row = TOP + 8 + 20 * index
            yield f'<g class="f{kind}">{mark(WIDTH - RIGHT + 16, row)}</g>'
            yield text(WIDTH - RIGHT + 28, row + 4, name, "start")


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with the quartiles around it. ``ours`` is drawn in colour, others in grey."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """Values beside each other, in one unit."""

    title: str
    unit: str
    bars: Sequence[Bar]

    def svg(self) -> str:
        """The plot."""
        right = WIDTH - 80
        axis = Axis.over([bar.high for bar in self.bars], NAMES, right, logarithmic=False, from_zero=True)
        body = [line for index, bar in enumerate(self.bars) for line in self._drawn(axis, HEAD + BAR * index, bar)]
        told = ", ".join(f"{bar.name} {short(bar.value)}" for bar in self.bars)
        height = HEAD + BAR * len(self.bars) + 12
        return document(f"{self.title} ({self.unit})", f"In {self.unit}: {told}.", height, body, 1)

    def _drawn(self, axis: "Axis", top: float, bar: Bar) -> Iterator[str]:
        kind = "f0" if bar.ours else "o"
        low, value, high = (axis.place(max(each, 0)) for each in (bar.low, bar.value, bar.high))
        middle = top + BAR / 2
        yield text(NAMES - 8, middle + 4, bar.name, "end")
        width = number(max(value - NAMES, 0.5))
        yield f'<rect class="{kind}" x="{NAMES}" y="{number(top + 4)}" width="{width}" height="{BAR - 8}"/>'
        yield f'<path class="w" d="M{number(low)} {number(middle)}H{number(high)}"/>'
        yield text(max(value, high) + 6, middle + 4, short(bar.value), "start")


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values are: from ``low`` at ``start`` to ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, logarithmic: bool, from_zero: bool) -> "Axis":
        """An axis on which all values find their place, of which a logarithmic one takes none below zero."""
        low, high = min(values), max(values)
        if logarithmic and from_zero:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        elif from_zero:
            low, high = min(low, 0), step(high) * math.ceil(high / step(high)) if high > 0 else 1
        return cls(low, high if high > low else low + 1, start, end, logarithmic)

    def place(self, value: float) -> float:
        """Where a value is."""
        scale = math.log10 if self.logarithmic else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Values that are written at the axis: decades, or a few round ones."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        each = step(self.high)
        return [each * count for count in range(round(self.high / each) + 1)]


def step(high: float) -> float:
    """The distance of ticks below a value: 1, 2 or 5 of a power of ten, so that there are three to eight of them."""
    power = 10.0 ** math.floor(math.log10(high))
    return next(power * each for each in (0.2, 0.5, 1, 2) if high / (power * each) <= 7)


def document(title: str, description: str, height: float, body: Sequence[str], colours: int) -> str:
    """A whole SVG."""
    light, dark = ("".join(map(rule, range(min(colours, len(COLOURS))), each)) for each in zip(*COLOURS, strict=True))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{number(height)}" '
        f'viewBox="0 0 {WIDTH} {number(height)}" role="img" aria-labelledby="title description">'
    )
    return "\n".join(
        [
            head,
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f"<style>{STYLE % (light, dark)}</style>",
            f'<rect class="b" width="{WIDTH}" height="{number(height)}"/>',
            f'<text class="h" x="16" y="24">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def rule(kind: int, colour: str) -> str:
    """The style of a line and of what is filled in its colour."""
    return f".c{kind}{{stroke:{colour}}}.f{kind}{{fill:{colour}}}"


def text(x: float, y: float, said: str, anchor: str) -> str:
    """Text at a place, that starts, ends or has its middle there."""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{number(x)}" y="{number(y)}"{at}>{escape(said)}</text>'


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def short(value: float) -> str:
    """A value as people read it, with three figures."""
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e6 if letter == 'M' else 1e3):.3g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
