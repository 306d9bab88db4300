"""The one strict reading of XML: the texts of a small document by their paths, and nothing else that XML can do.

A document type is refused before any of it is read, so no entity is ever declared, expanded or fetched. Neither are
comments and processing instructions read over: they split texts, and readers have disagreed about what remains.
"""

from collections.abc import Mapping
from typing import Final, NoReturn
from xml.parsers import expat

MAX_DEPTH: Final = 8
"""The deepest nesting of elements that is read."""

Path = tuple[str, ...]

_BETWEEN: Final = " "  # no namespace has one, and no name


def xml_texts(raw: bytes, namespace: str) -> Mapping[Path, str]:
    """The texts of the elements that have no elements in them, by the names of all elements on the way to them.

    Every element must be in ``namespace``, and no two may have the same path.

    :raises ValueError: it is not such a document in UTF-8.
    """
    str(raw, "utf-8")  # expat would find out other encodings by itself
    reader = _Reader(namespace)
    parser = expat.ParserCreate("UTF-8", _BETWEEN)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.CommentHandler = _refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise ValueError("not well-formed XML") from error
    return reader.found


class _Reader:
    def __init__(self, namespace: str) -> None:
        self.found: dict[Path, str] = {}
        self._prefix = namespace + _BETWEEN
        self._path: Path = ()
        self._texts: list[str] = [""]
        self._seen: set[Path] = set()
        self._parents: set[Path] = set()

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        local = name.removeprefix(self._prefix)
        path = (*self._path, local)
        if local == name or path in self._seen or len(path) > MAX_DEPTH or self._texts[-1].strip():
            raise ValueError("an element of another namespace, repeated, too deep, or among text")
        self._seen.add(path)
        self._parents.add(self._path)
        self._path = path
        self._texts.append("")

    def text(self, text: str) -> None:
        self._texts[-1] += text
        if text.strip() and self._path in self._parents:
            raise ValueError("text among elements")

    def end(self, _name: str) -> None:
        text = self._texts.pop()
        if self._path not in self._parents:
            self.found[self._path] = text
        self._path = self._path[:-1]


def _refuse(*_: object) -> NoReturn:
    raise ValueError("more than elements and their texts")
