"""The sentence: who is calling, what may they get, sign it."""

from collections.abc import Callable

from authserver.audit import Decision
from authserver.errors import Conflict, Reason, Refused, Unavailable
from authserver.identity.authenticate import Identity
from authserver.identity.possession import Possession, Proven
from authserver.jose.dpop import check_key
from authserver.keys.mint import Minter
from authserver.model import AccessToken, Confirmation, Resource, Subject, TokenRequest
from authserver.oauth import JKT, X5T_S256
from authserver.policy.authorize import Policy


class Issuance:
    """The only place where identity, policy and keys meet. ``url`` is the external address of the token endpoint."""

    def __init__(
        self,
        identity: Identity,
        possession: Possession,
        policy: Policy,
        keys: Minter,
        *,
        url: str,
        clock: Callable[[], float],
    ) -> None:
        self.identity = identity
        self.possession = possession
        self.policy = policy
        self.keys = keys
        self._url = url
        self._clock = clock

    def issue(self, request: TokenRequest, decision: Decision) -> AccessToken:
        """Issue the token that was asked for, and note on ``decision`` what was found on the way.

        A device may get its token by what we remember of it, if the store says in the end that it is still so. It is
        never refused before the store was asked.

        :raises Refused: the first check that failed, in the order that users rely on.
        :raises Unavailable: something that the answer depends on is away.
        """
        decision.request = request
        for recall in (True, False):
            try:
                return self._issue(request, decision, recall=recall)
            except (Conflict, Refused) as error:
                outdated = decision.subject is not None and self.identity.is_outdated(decision.subject)
                if isinstance(error, Refused) and not outdated:
                    raise
                # The device has changed since it was read, and is read anew.
        raise Unavailable(Reason.STORE_UNAVAILABLE, cause="changing")

    def _issue(self, request: TokenRequest, decision: Decision, *, recall: bool) -> AccessToken:
        decision.subject, decision.would_allow, decision.authorization = None, (), None
        decision.resource = self.policy.resource(request.resources, request.audiences)
        decision.subject = self.identity.authenticate(request.credential, self._clock(), recall=recall)
        decision.would_allow = self.policy.would_allow(decision.subject, decision.resource, request.scope)
        decision.authorization = self.policy.authorize(decision.subject, decision.resource, request.scope)
        proven = self._sender(request, decision.subject, decision.resource)
        self.keys.check(decision.authorization)
        self._spend(decision.subject, proven)
        decision.token = self.keys.mint(decision.authorization, _confirmation(proven, decision.subject))
        return decision.token

    def nonce(self) -> str:
        """A nonce for the next proof of a caller (RFC 9449 section 8.2)."""
        return self.possession.nonce(self._clock())

    def _spend(self, subject: Subject, proven: Proven | None) -> None:
        """Use up what may be used only once, in one step at the store."""
        if proven is None:
            self.identity.spend(subject, self._clock())
        else:
            self.possession.spend(proven, self._clock(), subject=subject)

    def _sender(self, request: TokenRequest, subject: Subject, resource: Resource) -> Proven | None:
        """What the caller proves to have; a device must prove its own key, and who calls such a resource some key.

        Who was known by a certificate has proved its key to TLS.
        """
        enough = not resource.sender_constrained or subject.certificate_thumbprint is not None
        if not request.proofs and subject.key_thumbprint is None and enough:
            return None
        proven = self.possession.prove(
            request.proofs,
            method="POST",
            url=self._url,
            now=self._clock(),
            nonce_required=subject.proof_needs_nonce,
        )
        if subject.key_thumbprint is not None:
            check_key(proven.proof, subject.key_thumbprint)
        return proven


def _confirmation(proven: Proven | None, subject: Subject) -> Confirmation | None:
    """What the token is bound to: the key of a proof, which nobody sends who does not want that; else a certificate."""
    if proven is not None:
        return Confirmation(JKT, proven.proof.thumbprint)
    if subject.certificate_thumbprint is not None:
        return Confirmation(X5T_S256, subject.certificate_thumbprint)
    return None
