"""What a warning may rest on besides the configuration, found out by whoever asks for warnings."""

from dataclasses import dataclass, field

from authserver.keys.schedule import Plan


@dataclass(frozen=True, slots=True)
class MasterKeyFact:
    """A master key on this machine. ``where`` is the path of its setting.

    ``file`` is the absolute path of its file, None for an environment variable. ``fingerprint`` tells keys apart, None
    when there is none to read here.
    """

    where: str
    file: str | None
    fingerprint: bytes | None = field(default=None, repr=False)
    readable_by_others: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one environment: the plan that its keys follow, and its master keys, the current one first."""

    plan: Plan
    master_keys: tuple[MasterKeyFact, ...] = ()
