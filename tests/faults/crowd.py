"""Everybody who calls at a site."""

from tests.faults.callers import LEGITIMATE, Device, Enrolment, KeySet, Revocation, SingleUse, Verification, Workload
from tests.faults.site import Site
from tests.faults.thieves import HOSTILE
from tests.faults.traffic import Caller, Outcome


def begin(site: Site, devices: int = 2) -> None:
    """One of everything, so that everybody has something to begin with.

    :raises AssertionError: the site does not do what it should before anything has failed.
    """
    first = [
        Workload(site),
        SingleUse(site),
        *[Enrolment(site)] * devices,
        Device(site),
        Revocation(site),
        KeySet(site),
    ]
    for caller in first:
        outcome = caller.act()
        assert outcome is Outcome.DONE, f"{caller.kind}: {outcome}"


def everybody(site: Site) -> list[Caller]:
    """All who call, hostile or not."""
    return [caller(site) for caller in (*LEGITIMATE, KeySet, Verification, *HOSTILE)]
