"""What wrk says is read rightly, and bad answers are not overlooked."""

import json
from pathlib import Path

import pytest

from benchmarks.generator import SCRIPT, WrongAnswers, read, write_pool

COUNTED = {
    "requests": 3000,
    "microseconds": 2_000_000,
    "refused": 0,
    "broken": 0,
    "p50": 1500,
    "p90": 2000,
    "p99": 9000,
}


def said(**other: int) -> str:
    return f"Running 2s test @ http://127.0.0.1:1/\n  1 threads\n{json.dumps(COUNTED | other)}\n"


def test_rates_latencies_and_the_share_of_a_core_are_in_seconds() -> None:
    fired = read(said(), worked=0.5)
    assert (fired.requests, fired.seconds, fired.rate) == (3000, 2.0, 1500.0)
    assert (fired.p50, fired.p90, fired.p99) == (0.0015, 0.002, 0.009)
    assert fired.busy == 0.25


@pytest.mark.parametrize("other", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_an_answer_that_is_not_good_is_an_error(other: dict[str, int]) -> None:
    with pytest.raises(WrongAnswers):
        read(said(**other), worked=0.5)


def test_a_pool_has_each_request_behind_its_length(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool", [b"GET / HTTP/1.1\r\n\r\n", b"POST\n1\n"])
    assert (tmp_path / "pool").read_bytes() == b"18\nGET / HTTP/1.1\r\n\r\n7\nPOST\n1\n"


def test_the_script_is_told_where_the_pool_is() -> None:
    assert 'io.open("/tmp/pool", "rb")' in SCRIPT % {"pool": "/tmp/pool", "wait": 0}
