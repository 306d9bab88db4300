"""The reference of warnings: every code, and no other."""

import re

import pytest

from authserver.settings.silence import Code
from tests.house.tree import ROOT

REFERENCE = (ROOT / "docs" / "reference" / "check-warnings.md").read_text("utf-8")
ENTRIES = dict(re.findall(r"^### `(W\d+)`\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL))


def test_every_code_has_its_entry_and_every_entry_is_of_a_code() -> None:
    assert list(ENTRIES) == [code.value for code in Code]


@pytest.mark.parametrize("code", Code)
def test_an_entry_says_what_it_means_gives_an_example_and_a_remedy(code: Code) -> None:
    entry = ENTRIES[code.value]
    assert re.match(r"\n[A-Z`]", entry)
    assert re.search(r"^- Example: \S", entry, re.MULTILINE)
    assert re.search(r"^- Remedy: \S", entry, re.MULTILINE)
