"""A token that is in hand, and the three ages that matter: fetch another, wait for another, never show it again."""

from dataclasses import dataclass
from typing import Final

from authserver.client.clock import Instant
from authserver.client.exchange import IssuedToken

ADVISORY: Final = 0.75
"""The part of its life after which another token is fetched in the background; up to a tenth later, at random."""

WINDOW: Final = 60.0
"""Seconds before its end in which a caller waits for the other token; a tenth of its life if that is less."""

MARGIN: Final = 5.0
"""Seconds before its end from which a token is not shown to anybody; half of the window if that is less."""


@dataclass(frozen=True, slots=True)
class Held:
    """A token, when it was asked for, and at which ages it has to be seen to; all in seconds."""

    token: IssuedToken
    asked_at: Instant
    advisory: float
    mandatory: float
    end: float

    @classmethod
    def of(cls, token: IssuedToken, asked_at: Instant, jitter: float) -> "Held":
        """``jitter`` is a random number from 0 to 1.

        The life of a token is counted from when it was asked for, so an answer that took long makes it no younger, and
        no clock has to agree with the server's.
        """
        life = float(token.expires_in)
        window = min(WINDOW, life / 10)
        advisory = life * (ADVISORY + jitter / 10)
        return cls(token, asked_at, advisory, life - window, life - min(MARGIN, window / 2))
