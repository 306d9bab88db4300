"""Lets atheris look for tokens, proofs and keys that we and the other libraries read differently.

It runs the properties of the differential tests, and makes the random choices in them so that code is reached which was
not reached before: ours, PyJWT's or joserfc's. ``make fuzz`` runs each for FUZZ_RUNS tries. By itself::

    python -m tests.fuzz.jose tokens -runs=20000

What follows the name is libFuzzer's. It ends with an error, and the example, when a property does not hold.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["authserver.jose", "jwt", "joserfc"]):
    from tests.jose.test_differential import test_what_only_some_believe_is_in_the_tables_whatever_the_token as tokens
    from tests.jose.test_differential_keys import (
        test_who_takes_a_key_that_is_odd_in_several_ways_is_as_the_tables_say as keys,
    )
    from tests.jose.test_differential_proofs import (
        test_no_proof_is_believed_that_another_refuses_whatever_the_proof as proofs,
    )

# An example is made from hundreds of bytes; by itself libFuzzer begins with one, and seldom gets so far.
LENGTHS: Final = ("-max_len=4096", "-len_control=0")

PROPERTIES: Final[dict[str, Callable[..., Any]]] = {"tokens": tokens, "proofs": proofs, "keys": keys}


def main(arguments: Sequence[str]) -> None:
    """Try one of the properties."""
    name, *options = arguments
    warnings.simplefilter("ignore")
    tried = PROPERTIES[name].hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.Setup([sys.argv[0], *LENGTHS, *options], tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
