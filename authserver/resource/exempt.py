"""Which paths of a protected application are open to everybody."""

from collections.abc import Iterable


class Exemptions:
    """Paths that need no token: exact ones, or with ``/*`` at the end everything below whole segments.

    They are compared, case and all, with the decoded path by which the framework routes. Below a prefix a path with
    ``//``, a dot segment, a backslash or a ``%`` that is left after decoding is not exempt: whoever reads it once more
    could read another path.

    :raises ValueError: a path does not begin with a slash, could never be compared, or would exempt everything.
    """

    def __init__(self, paths: Iterable[str], *always: str | None) -> None:
        if isinstance(paths, str):
            raise ValueError("exempt must be a sequence of paths, not one string")
        chosen = tuple(paths)
        for path in chosen:
            _check(path)
        self._exact = frozenset(path for path in (*chosen, *always) if path and not path.endswith("/*"))
        self._below = tuple(path.removesuffix("*") for path in chosen if path.endswith("/*"))

    def covers(self, path: str) -> bool:
        """Whether a request for ``path`` needs no token."""
        return path in self._exact or (path.startswith(self._below) and not _is_ambiguous(path))


def _check(path: str) -> None:
    prefix = path.removesuffix("/*")
    if not path.startswith("/") or not prefix:
        raise ValueError(f"an exempt path begins with a slash and is not everything: {path!r}")
    if "*" in prefix or _is_ambiguous(path):
        raise ValueError(f"an exempt path is decoded, with * as its last segment or nowhere: {path!r}")


def _is_ambiguous(path: str) -> bool:
    *inner, last = path.split("/")[1:]
    return "" in inner or not {".", ".."}.isdisjoint((*inner, last)) or "%" in path or "\\" in path
