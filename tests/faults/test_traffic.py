"""The counting counts: whatever must not come out is found when it does."""

from typing import ClassVar

import pytest

from tests.faults.traffic import ALL_IS_WELL, Counts, Kind, Outcome, Traffic, phase

DONE, PUT_OFF, REFUSED = Outcome.DONE, Outcome.PUT_OFF, Outcome.REFUSED
AWAY = phase([Kind.DEVICE], PUT_OFF)


class Honest:
    """Somebody to whom always the same happens."""

    kind: ClassVar[Kind] = Kind.DEVICE
    is_hostile: ClassVar[bool] = False

    def __init__(self, outcome: Outcome = DONE) -> None:
        self.outcome = outcome

    def act(self) -> Outcome:
        """Call once."""
        return self.outcome


class Thief(Honest):
    """The same, and hostile."""

    is_hostile = True


class Clumsy(Honest):
    """Somebody with a bug."""

    def act(self) -> Outcome:
        """Fail."""
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("caller", "outcome", "allowed", "column"),
    [
        (Honest(), DONE, ALL_IS_WELL, "done"),
        (Honest(), DONE, AWAY, "accepted_wrongly"),
        (Honest(), PUT_OFF, AWAY, "put_off"),
        (Honest(), PUT_OFF, ALL_IS_WELL, "refused_wrongly"),
        (Honest(), REFUSED, AWAY, "refused_wrongly"),
        (Honest(), REFUSED, phase([Kind.DEVICE], REFUSED), "refused_rightly"),
        (Honest(), Outcome.UNANSWERED, ALL_IS_WELL, "refused_wrongly"),
        (Honest(), Outcome.BROKEN, phase([Kind.DEVICE], *Outcome), "refused_wrongly"),
        (Thief(), DONE, ALL_IS_WELL, "accepted_wrongly"),
        (Thief(), REFUSED, ALL_IS_WELL, "refused_rightly"),
        (Thief(), PUT_OFF, ALL_IS_WELL, "put_off"),
        (Thief(), Outcome.BROKEN, ALL_IS_WELL, "refused_wrongly"),
    ],
)
def test_each_outcome_is_counted_where_it_belongs(
    caller: Honest, outcome: Outcome, allowed: dict[Kind, frozenset[Outcome]], column: str
) -> None:
    counts = Counts()
    counts.judge(caller, outcome, allowed[Kind.DEVICE])
    assert getattr(counts, column) == {Kind.DEVICE: 1}
    assert bool(counts.wrong) == column.endswith("wrongly")
    both = counts + counts
    assert getattr(both, column) == {Kind.DEVICE: 2}


@pytest.mark.slow
def test_what_is_broken_under_the_traffic_is_put_off_and_done_again() -> None:
    caller = Honest()
    with Traffic([caller]) as traffic:
        traffic.suffer(AWAY, lambda: setattr(caller, "outcome", PUT_OFF), lambda: setattr(caller, "outcome", DONE))
    assert traffic.counts.wrong == {}
    assert traffic.counts.put_off[Kind.DEVICE] > 0


def test_what_was_not_expected_is_wrong_from_then_on() -> None:
    with Traffic([Honest()]) as traffic:
        traffic.wait_for(DONE)
        with traffic.paused():
            traffic.expect(AWAY)
            before = traffic.counts.done[Kind.DEVICE]
        traffic.wait_for_more(2)
    assert traffic.counts.accepted_wrongly[Kind.DEVICE] >= 2
    assert traffic.counts.done[Kind.DEVICE] == before


def test_a_caller_that_fails_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"), Traffic([Clumsy()]) as traffic:
        traffic.wait_for(DONE)
    with pytest.raises(ZeroDivisionError), Traffic([Clumsy()]) as traffic:
        pass
