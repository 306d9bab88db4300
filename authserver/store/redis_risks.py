"""What could be lost at a Redis store as it is set up, asked of every primary when the server starts."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from authserver.store.redis_address import Durability
from authserver.store.redis_client import RedisClient

_CONFIRMS_SINCE: Final = (7, 2)
_SECTIONS: Final = ("server", "memory", "persistence", "replication")


def risks(client: RedisClient, durability: Durability) -> list[str]:
    """Sentences for the operator, each with what is at risk and what to do. None where all is as it should be.

    :raises Unavailable: ``store_unavailable``.
    """
    answers = client.run(lambda session: session.every("INFO", *_SECTIONS))
    return sorted({sentence for answer in answers for sentence in _of_server(_read(answer), durability)})


def _of_server(info: Mapping[str, str], durability: Durability) -> Iterator[str]:
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        yield (
            f"the store's maxmemory-policy is {policy}: when its memory is full it forgets keys, devices and what was"
            " used, so that tokens could be used twice; set it to noeviction"
        )
    if info.get("aof_enabled") != "1":
        yield (
            "the store keeps no append-only file: when it stops, everything since its last snapshot is lost, perhaps"
            " the signing keys and every device; set appendonly yes and appendfsync always (unless"
            " store.confirm_on_disk is false, nothing can be kept there before that)"
        )
    elif durability.on_disk and _version(info) < _CONFIRMS_SINCE:
        yield (
            "the store is a Redis before 7.2, which cannot say that a write is on its disk: when it crashes, what was"
            " written in the last second may be lost; set appendfsync always, or use Redis 7.2 or Valkey"
        )
    if int(info.get("connected_slaves", "0")) < durability.replicas:
        yield (
            f"the store has fewer replicas than store.confirm_replicas, which is {durability.replicas}: until it has"
            " so many, whatever needs to be remembered is answered with 503"
        )


def _read(answer: Any) -> dict[str, str]:
    lines = (line.partition(":") for line in str(answer).splitlines())
    return {name: value for name, colon, value in lines if colon}


def _version(info: Mapping[str, str]) -> tuple[int, ...]:
    """The version of Redis, or for Valkey the one that it is compatible with."""
    return tuple(int(part) for part in info.get("redis_version", "0").split(".")[:2])
