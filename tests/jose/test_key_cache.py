"""The key set in a file: what survives a restart, and what is not believed though it is there."""

import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authserver.errors import Unavailable
from authserver.jose.fetch import Cause, Fetched, unreachable
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_cache import CachedKeys, KeyCacheFile
from authserver.testing import FrozenClock
from tests.oracle import Key, jwks, make_key

SOURCE = "https://auth.example.com"
LIFETIME = 300


class Issuer:
    """Answers with a key set, or not."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self.up = True
        self.fetches = 0

    def __call__(self) -> Fetched:
        self.fetches += 1
        if not self.up:
            raise unreachable(Cause.CONNECTION_FAILED)
        return Fetched(jwks(*self.keys), max_age=LIFETIME)


Start = Callable[..., RemoteKeySet]


@pytest.fixture(scope="module")
def old() -> Key:
    return make_key(kid="old")


@pytest.fixture(scope="module")
def new() -> Key:
    return make_key(kid="new")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def issuer(old: Key) -> Issuer:
    return Issuer(old)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def start(issuer: Issuer, file: Path, clock: FrozenClock) -> Start:
    """A program that begins."""

    def begin(**options: Any) -> RemoteKeySet:
        cache = KeyCacheFile(file, options.pop("source", SOURCE))
        return RemoteKeySet(issuer, ["ES256"], clock=clock, wait=20, cache=cache, **options)

    return begin


@pytest.fixture
def kept(start: Start, clock: FrozenClock, file: Path) -> dict[str, Any]:
    """What a first run has left behind."""
    start().find("old", "ES256", clock())
    content: dict[str, Any] = json.loads(file.read_text())
    return content


@pytest.mark.usefixtures("kept")
def test_a_program_that_starts_again_need_not_ask(start: Start, issuer: Issuer, clock: FrozenClock) -> None:
    clock.advance(LIFETIME * 0.7)
    fleet = [start() for _ in range(20)]
    assert {keys.find("old", "ES256", clock()).kid for keys in fleet} == {"old"}
    assert issuer.fetches == 1


@pytest.mark.usefixtures("kept")
def test_it_starts_while_the_issuer_is_away(start: Start, issuer: Issuer, clock: FrozenClock) -> None:
    issuer.up = False
    clock.advance(86399)
    assert start().find("old", "ES256", clock()).kid == "old"


@pytest.mark.usefixtures("kept")
def test_the_age_of_what_was_kept_counts_against_the_stale_bound(
    start: Start, issuer: Issuer, clock: FrozenClock
) -> None:
    issuer.up = False
    clock.advance(86400)
    with pytest.raises(Unavailable):
        start().find("old", "ES256", clock())


@pytest.mark.usefixtures("kept")
def test_a_key_that_was_removed_meanwhile_dies_with_its_lifetime_all_the_same(
    start: Start, issuer: Issuer, clock: FrozenClock, new: Key
) -> None:
    issuer.keys = (new,)
    clock.advance(LIFETIME)
    assert start().find("new", "ES256", clock()).kid == "new"
    assert start().find("new", "ES256", clock()).kid == "new"
    assert issuer.fetches == 2


@pytest.mark.usefixtures("kept")
def test_the_file_is_replaced_as_a_whole_and_nobody_else_reads_it(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.usefixtures("kept")
def test_what_another_place_gave_is_not_used(start: Start, issuer: Issuer, clock: FrozenClock) -> None:
    start(source="https://auth.other.example").find("old", "ES256", clock())
    assert issuer.fetches == 2


@pytest.mark.usefixtures("kept")
def test_keys_that_can_no_longer_be_used_are_asked_for(issuer: Issuer, file: Path, clock: FrozenClock) -> None:
    keys = RemoteKeySet(issuer, ["RS256"], clock=clock, cache=KeyCacheFile(file, SOURCE))
    assert keys.status(clock()).age is None


def others_may_write(file: Path) -> None:
    file.chmod(0o606)


def its_group_may_write(file: Path) -> None:
    file.chmod(0o660)


def it_is_a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def it_is_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def it_is_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def it_is_half_written(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def it_is_too_long(file: Path) -> None:
    file.write_text(json.dumps({"padding": "x" * 600_000, **json.loads(file.read_text())}))


def it_is_a_list(file: Path) -> None:
    file.write_text("[]")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "change",
    [
        others_may_write,
        its_group_may_write,
        it_is_a_link,
        it_is_a_pipe,
        it_is_a_directory,
        it_is_half_written,
        it_is_too_long,
        it_is_a_list,
    ],
)
def test_a_file_that_somebody_else_could_have_written_is_not_believed(
    file: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    change(file)
    assert KeyCacheFile(file, SOURCE).load() is None
    assert "the key cache is not used" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="nobody owns a file here")
def test_a_file_of_another_user_is_not_believed(
    kept: dict[str, Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert KeyCacheFile(file, SOURCE).load() is None


@pytest.mark.parametrize(
    "change",
    [
        {"fetched_at": None}, {"fetched_at": "1"}, {"fetched_at": True}, {"fetched_at": -1}, {"fetched_at": 1e300},
        {"lifetime": None}, {"keys": None}, {"keys": []}, {"source": None},
    ],
)  # fmt: skip
def test_a_file_with_something_else_in_it_is_not_believed(
    kept: dict[str, Any], file: Path, change: dict[str, Any]
) -> None:
    file.write_text(json.dumps({**kept, **change}))
    assert KeyCacheFile(file, SOURCE).load() is None


def test_where_there_is_no_file_nothing_is_said(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert KeyCacheFile(file, SOURCE).load() is None
    assert not caplog.records


def test_a_directory_that_is_not_there_is_said_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = KeyCacheFile(tmp_path / "absent" / "keys.json", SOURCE)
    for _ in range(3):
        cache.save(CachedKeys({"keys": []}, 1.0, 300.0))
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        "the key cache cannot be written: No such file or directory",
    )


def test_a_write_that_fails_half_way_leaves_the_last_one(kept: dict[str, Any], file: Path) -> None:
    cache = KeyCacheFile(file, SOURCE)
    with pytest.raises(TypeError):
        cache.save(CachedKeys({"keys": object()}, 1.0, 300.0))
    assert json.loads(file.read_text()) == kept
    assert list(file.parent.iterdir()) == [file]
