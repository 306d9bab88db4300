"""The sentence: who is calling, what may they get, sign it."""

from collections.abc import Callable

from authserver.audit import Decision
from authserver.errors import ProofRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.keys.mint import Minter
from authserver.model import AccessToken, TokenRequest
from authserver.policy.authorize import Policy


class Issuance:
    """The only place where identity, policy and keys meet."""

    def __init__(self, identity: Identity, policy: Policy, keys: Minter, *, clock: Callable[[], float]) -> None:
        self.identity = identity
        self.policy = policy
        self.keys = keys
        self._clock = clock

    def issue(self, request: TokenRequest, decision: Decision) -> AccessToken:
        """Issue the token that was asked for, and note on ``decision`` what was found on the way.

        :raises Refused: the first check that failed, in the order that users rely on.
        :raises Unavailable: something that the answer depends on is away.
        """
        decision.request = request
        decision.resource = self.policy.resource(request.resources, request.audiences)
        decision.subject = self.identity.authenticate(request.credential, self._clock())
        decision.would_allow = self.policy.would_allow(decision.subject, decision.resource, request.scope)
        decision.authorization = self.policy.authorize(decision.subject, decision.resource, request.scope)
        self._check_sender(request, decision.resource.sender_constrained)
        self.keys.check(decision.authorization)
        self.identity.spend(decision.subject, self._clock())
        decision.token = self.keys.mint(decision.authorization)
        return decision.token

    def _check_sender(self, request: TokenRequest, required: bool) -> None:
        if request.proofs:
            raise ProofRejected(Reason.PROOF_UNSUPPORTED)
        if required:
            raise ProofRejected(Reason.PROOF_MISSING)
