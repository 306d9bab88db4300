"""The meanings of the refusal reasons."""

from authserver.cli.reasons import meanings
from authserver.errors import Reason


def test_every_reason_has_a_meaning_and_a_remedy_and_there_is_no_other() -> None:
    assert meanings().keys() == {reason.value for reason in Reason}
    for entry in meanings().values():
        assert entry.meaning.endswith(".")
        assert entry.remedy.endswith(".")
