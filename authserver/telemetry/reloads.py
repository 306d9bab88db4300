"""Which reload of the configuration was the last, and what became of it: a file beside the counters.

The main process writes it. Whoever asked for a reload waits for the answer here, and the metrics show it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

FILE: Final = "reload.json"

Outcome = Literal["taken", "failed", "unusable"]
"""``unusable`` is a configuration that cannot be loaded; ``failed`` one that can and is not taken all the same."""


@dataclass(frozen=True, slots=True)
class Reloads:
    """What a main process says of itself. ``configuration`` is the absolute path of the file that it serves.

    ``begun`` and ``ended`` number the reloads; ``outcome`` and ``problems`` are of the last one that has ended.
    """

    pid: int
    configuration: str
    begun: int = 0
    ended: int = 0
    outcome: Outcome = "taken"
    problems: tuple[str, ...] = ()

    def write(self, directory: Path) -> None:
        """Replace what was said before.

        :raises OSError: the directory cannot be written to.
        """
        new = directory / f"{FILE}.new"
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.rename(directory / FILE)


def read(directory: Path) -> Reloads | None:
    """What the main process that has this directory says; None while it says nothing."""
    try:
        said = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Reloads(**{**said, "problems": tuple(said["problems"])})


def last_was_taken(directory: Path | None) -> bool:
    """Whether the server has the configuration that it was last told to take. Without a directory it always has."""
    said = None if directory is None else read(directory)
    return said is None or said.outcome == "taken"
