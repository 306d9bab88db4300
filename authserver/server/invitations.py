"""What the configuration says of enrolment, for the room that invites and enrols devices."""

import secrets
import time
from collections.abc import Callable

from authserver.enrollment.invitation import Invitations
from authserver.enrollment.rules import EnrollmentRules
from authserver.settings import Settings
from authserver.store.ports import DeviceStore


def enrollment_rules(settings: Settings) -> dict[str, EnrollmentRules]:
    """What each device source says of enrolment, by its name."""
    return {
        name: EnrollmentRules(
            max_per_owner=table.max_per_owner,
            code_lifetime=table.enrollment_code_lifetime,
            enroll_with=table.enroll_with,
            rekey=table.rekey,
            identity_sources=tuple(settings.jwt_sources),
        )
        for name, table in settings.device_sources.items()
    }


def build_invitations(
    settings: Settings, devices: DeviceStore, *, clock: Callable[[], float] = time.time
) -> Invitations:
    """Who may invite devices to the sources of a configuration."""
    return Invitations(devices, enrollment_rules(settings), clock=clock, randomness=secrets.token_bytes)
