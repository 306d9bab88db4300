"""What a configuration allows and its author may not have meant: warnings, which never keep a server from starting."""

from authserver.settings.advice.advise import advise
from authserver.settings.advice.environments import advise_together
from authserver.settings.advice.facts import Facts, MasterKeyFact
from authserver.settings.advice.silenced import with_silences
from authserver.settings.advice.tables import clocks_that_differ
from authserver.settings.advice.warned import Advice

__all__ = ["Advice", "Facts", "MasterKeyFact", "advise", "advise_together", "clocks_that_differ", "with_silences"]
