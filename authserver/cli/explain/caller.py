"""Who is asked about: the caller of a token, or one that somebody describes. Nothing here is granted anything."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import click

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.authenticate import Identity, unverified_origins
from authserver.identity.source import JwtSource, SourceTable
from authserver.identity.sources.device import DeviceTable, doubt
from authserver.identity.suppose import ENVELOPE, suppose, suppose_device
from authserver.jose.compact import Json, json_object, parse
from authserver.jose.verify import sole_audience
from authserver.model import Credential, Device, Subject
from authserver.policy.expect import read_values
from authserver.policy.suggest import Identifying
from authserver.server import open_key_sets, open_onlooker
from authserver.server.callers import build_devices, build_sources
from authserver.settings import Settings
from authserver.table import Mistake

# What to ask for of a source that has no attributes at all, so that no rule can be written.
_SUBJECT: Final = frozenset(("sub",))


class Basis(StrEnum):
    """What is known of a caller: its token was verified, was not believed, or somebody says what its claims are."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    SUPPOSED = "supposed"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asked about: a subject, or why the server does not believe that it is one.

    ``claimed`` is who a caller that is not believed says it is, if that can be told. ``spent`` is why a credential that
    may be used once cannot be used now, which matters when everything else is right. ``identifying`` is what tells the
    subject from others, and ``is_device`` whether it enrolled here. ``notes`` are for who asked.
    """

    basis: Basis
    identity: Subject | Refused | Unavailable
    claimed: Subject | None = None
    spent: Refused | Unavailable | None = None
    identifying: Identifying = field(default_factory=Identifying)
    is_device: bool = False
    notes: tuple[str, ...] = ()


class Callers:
    """Finds callers in the sources of a configuration, at the time ``at``, in seconds since the epoch.

    Keys are fetched as the server fetches them; the store is looked at and never written.
    """

    def __init__(self, settings: Settings, at: float) -> None:
        self._at = at
        self._tables = settings.sources
        self._sources = build_sources(settings, open_key_sets(settings, lambda: at))
        self._used = open_onlooker(settings)
        self._identity = Identity(self._sources.values(), self._used, build_devices(settings, self._used))

    def of_token(self, unverified_token: str) -> Caller:
        """The caller that presents this token, through everything that the token endpoint would ask of it."""
        try:
            subject = self._identity.authenticate(Credential(unverified_token, authenticates_client=True), self._at)
        except (Refused, Unavailable) as refused:
            return self._unbelieved(unverified_token, refused)
        table = self._tables[subject.source]
        return Caller(
            Basis.VERIFIED,
            subject,
            spent=self._spent(subject),
            identifying=_identifying(table),
            is_device=isinstance(table, DeviceTable),
        )

    def of_claims(self, claims: Json, name: str) -> Caller:
        """The caller of the source ``name`` with these claims, which are a claim set if they say whom it is from.

        :raises click.UsageError: there is no such source, or they are neither a claim set nor attributes.
        """
        table = self._tables.get(name)
        if table is None:
            raise click.UsageError(f"There is no source {name!r}. There are: {', '.join(sorted(self._tables))}.")
        source = self._sources.get(name)
        if source is None or not unverified_origins(claims):
            return _described(name, table, claims)
        return self._of_claim_set(source, claims)

    def _of_claim_set(self, source: JwtSource, claims: Json) -> Caller:
        try:
            identity = self._believed(source, claims)
        except Refused as refused:
            notes = tuple(self._other_sources(source, claims))
            return Caller(Basis.SUPPOSED, refused, claimed=self._claimed(source, claims), notes=notes)
        return Caller(Basis.SUPPOSED, identity, identifying=_identifying(source.table))

    def _believed(self, source: JwtSource, claims: Json) -> Subject:
        """Who has these claims, in a token of this source.

        :raises CredentialRejected: as the token endpoint would.
        """
        if any(self._other_sources(source, claims)):
            raise CredentialRejected(Reason.ISSUER_WRONG)
        supposed, token = suppose(source, claims, self._at)
        return Identity((supposed,), self._used).authenticate(Credential(token), self._at)

    def _claimed(self, source: JwtSource, unverified_claims: Json) -> Subject | None:
        """Who has these claims if its issuer, audience and times are good ones."""
        rest = {name: value for name, value in unverified_claims.items() if name not in ENVELOPE}
        try:
            return self._believed(source, rest)
        except Refused:
            return None

    def _other_sources(self, source: JwtSource, claims: Json) -> Iterator[str]:
        issuer = claims.get("iss")
        if issuer != source.issuer:
            others = [each.name for each in self._sources.values() if each.issuer == issuer]
            yield from (f"iss is that of the source {name!r}" for name in others)

    def _spent(self, subject: Subject) -> Refused | Unavailable | None:
        try:
            self._identity.spend(subject, self._at)
        except (Refused, Unavailable) as refused:
            return refused
        return None

    def _unbelieved(self, unverified_token: str, refused: Refused | Unavailable) -> Caller:
        try:
            unverified_claims = parse(unverified_token).unverified_claims
        except Refused:
            return Caller(Basis.UNVERIFIED, refused)
        device = self._device(unverified_claims)
        if device is not None:
            return Caller(Basis.UNVERIFIED, refused, claimed=suppose_device(device), is_device=True)
        possible = self._possible(unverified_claims)
        claimed = self._claimed(possible[0], unverified_claims) if len(possible) == 1 else None
        return Caller(Basis.UNVERIFIED, refused, claimed=claimed)

    def _device(self, unverified_claims: Json) -> Device | None:
        """The device that an assertion says it is by, if there is one and its source is configured."""
        unverified_client_id = unverified_claims.get("iss")
        try:
            device = self._used.read_device(str(unverified_client_id))
        except Unavailable:
            return None
        return device if device is not None and isinstance(self._tables.get(device.source), DeviceTable) else None

    def _possible(self, unverified_claims: Json) -> list[JwtSource]:
        """The source that a token says it is from; where its audience is wrong, every source of its issuer."""
        origins = unverified_origins(unverified_claims)
        of_issuer = [each for each in self._sources.values() if each.issuer in origins]
        audience = sole_audience(unverified_claims)
        return [each for each in of_issuer if each.audience == audience] or of_issuer


def read_claims(raw: bytes) -> Json:
    """Read a JSON object as strictly as a token's claims are read.

    :raises click.UsageError: it is not one.
    """
    try:
        return json_object(raw)
    except ValueError as error:
        raise click.UsageError("The claims are not one JSON object in UTF-8.") from error


def _described(name: str, table: SourceTable, attributes: Mapping[str, Any]) -> Caller:
    is_device = isinstance(table, DeviceTable)
    if is_device and "iss" in attributes:
        raise click.UsageError(
            f'The source {name!r} is of devices: describe one by its attributes, without an "iss", '
            "or show an assertion of it with --token."
        )
    unknown = sorted(each for each in attributes if not table.knows(each))
    if unknown:
        known = ", ".join(sorted(table.attribute_names))
        raise click.UsageError(
            f"{unknown[0]!r} is no attribute of the source {name!r}. Its attributes are: {known}. "
            'A whole claim set, as the platform sends it, has an "iss".'
        )
    try:
        values = {name: read_values(value) for name, value in attributes.items()}
    except Mistake as mistake:
        raise click.UsageError(f"A claim {mistake}. {mistake.remedy}") from mistake
    doubts = filter(None, map(doubt, attributes)) if is_device else ()
    return Caller(
        Basis.SUPPOSED,
        Subject(name, "", values, credential_id="", named_only=table.named_only(values)),
        identifying=_identifying(table),
        is_device=is_device,
        notes=tuple(doubts),
    )


def _identifying(table: SourceTable) -> Identifying:
    """What of this source pins one workload and lasts; all of it, where no part is known to be enough."""
    enough = [each for each in table.one_workload if each <= table.identifying]
    lasting = [each for each in enough if each.isdisjoint(table.recyclable)]
    return Identifying(table.identifying, lasting or enough or (table.identifying or _SUBJECT,))
