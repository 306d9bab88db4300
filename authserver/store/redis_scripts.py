"""What the server does in one step: Lua scripts, each of which reads and changes the keys of one slot only.

A script that succeeds always writes, even where nothing changes, because what waits for replicas and disks waits for
the newest write of its connection. Numbers that stand for times are seconds since the epoch.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

KEPT_LONGER: Final = 120
"""Seconds for which the server keeps what has expired: twice what clocks may differ by at most."""

INVITATION_KEPT_LONGER: Final = 3600
"""Seconds for which an invitation that has expired is kept, so that who uses it is told that it has."""

ABORTED_KEPT: Final = 60
"""Seconds for which it is remembered why an enrolment came to nothing, so that all who work on it learn the same."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the hash that the server knows it by."""

    text: str
    sha1: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha1", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


# Until when the server keeps something: until it has expired by our clock and by the server's, and a little longer. So
# neither a clock of ours that was ahead nor one of the server's makes it forget too early.
_DEADLINE: Final = """
local function deadline(expires_at, now, longer)
  local server = tonumber(redis.call('TIME')[1])
  return string.format('%.0f', (math.max(expires_at, server + expires_at - now) + longer) * 1000)
end
"""

REPLACE_RING: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'version', 'by')
local version = kept[1] or ''
if version ~= ARGV[1] and (kept[2] or '') ~= ARGV[3] then return '' end
if (kept[2] or '') ~= ARGV[3] then version = string.format('%.0f', (tonumber(version) or 0) + 1) end
redis.call('HSET', KEYS[1], 'version', version, 'document', ARGV[2], 'by', ARGV[3])
return version
""")
"""Ring; the version expected or nothing, the document, whose attempt. The new version, or nothing for a conflict."""

_USE: Final = f"""
local function use(keys, now, by, expiries)
  for position, key in ipairs(keys) do
    local expires_at, user = string.match(redis.call('GET', key) or '', '^(%S+) (%S+)$')
    if expires_at and tonumber(expires_at) > now and user ~= by then return position end
  end
  for position, key in ipairs(keys) do
    local expires_at = expiries[position]
    redis.call('SET', key, expires_at .. ' ' .. by, 'PXAT', deadline(tonumber(expires_at), now, {KEPT_LONGER}))
  end
  return 0
end
"""

USE: Final = Script(
    _DEADLINE
    + _USE
    + """
return use(KEYS, tonumber(ARGV[1]), ARGV[2], {unpack(ARGV, 3)})
"""
)
"""Things to use, of one slot; now, whose attempt, when each expires. Which of them was used before, from 1; or 0."""

USE_WHILE: Final = Script(
    _DEADLINE
    + _USE
    + """
for position, value in ipairs(redis.call('HMGET', KEYS[1], 'document', 'thumbprint', 'key', 'revoked_at')) do
  if (value or '') ~= ARGV[2 + position] then return -1 end
end
return use({unpack(KEYS, 2)}, tonumber(ARGV[1]), ARGV[2], {unpack(ARGV, 7)})
"""
)
"""A device, things that it uses; now, whose attempt, what is known of the device, when each expires. As USE; -1 if the
device is not as it was known."""

UNUSE: Final = Script("""
if string.match(redis.call('GET', KEYS[1]) or '', ' (%S+)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
""")
"""A thing that was used; by whose attempt. Only that attempt takes its use back."""

REVOKE: Final = Script(
    _DEADLINE
    + f"""
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', deadline(tonumber(ARGV[1]), tonumber(ARGV[2]), {KEPT_LONGER}))
return 0
"""
)
"""A token; when it expires, now."""

INVITE: Final = Script(
    _DEADLINE
    + f"""
redis.call('HSET', KEYS[1], 'document', ARGV[1], 'expires_at', ARGV[2])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'used_by', ARGV[4]) end
redis.call('PEXPIREAT', KEYS[1], deadline(tonumber(ARGV[2]), tonumber(ARGV[3]), {INVITATION_KEPT_LONGER}))
return 0
"""
)
"""An invitation; its document, when it expires, now, the device that has used it or nothing."""

BEGIN: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'state', 'id', 'of', 'attempt', 'reason')
if not kept[1] or (kept[1] == 'aborted' and kept[2] ~= ARGV[1]) then
  redis.call('DEL', KEYS[1])
  kept = {'pending', ARGV[1], ARGV[2], ARGV[3], false}
end
if kept[1] == 'pending' and kept[2] == ARGV[1] then
  redis.call('HSET', KEYS[1], 'state', 'pending', 'id', ARGV[1], 'of', ARGV[2], 'attempt', ARGV[3])
end
return {kept[1], kept[2] or '', kept[3] or '', kept[4] or '', kept[5] or ''}
""")
"""A device's key; the attempt, the device that it is for, all of the attempt. What there is at the key now."""

COMMIT: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'state', 'id', 'of', 'reason')
local is_ours = kept[2] == ARGV[1] or (kept[1] == 'committed' and kept[3] == ARGV[2])
if not is_ours then return 'gone' end
if kept[1] == 'aborted' then return kept[4] end
redis.call('HSET', KEYS[1], 'state', 'committed')
return 'committed'
""")
"""A device's key; the attempt, its device. Either "committed", or why it was aborted, or "gone"."""

ABORT: Final = Script(f"""
local kept = redis.call('HMGET', KEYS[1], 'state', 'id', 'of', 'reason')
if kept[1] == 'committed' and kept[3] == ARGV[2] then return 'committed' end
if kept[2] ~= ARGV[1] then return 'gone' end
if kept[1] == 'aborted' then return kept[4] end
redis.call('HSET', KEYS[1], 'state', 'aborted', 'reason', ARGV[3])
redis.call('HDEL', KEYS[1], 'attempt')
redis.call('EXPIRE', KEYS[1], {ABORTED_KEPT})
return ARGV[3]
""")
"""A device's key; the attempt, its device, why. What became of the attempt, as for COMMIT."""

SETTLE: Final = Script("""
if redis.call('HGET', KEYS[1], 'of') == ARGV[1] then redis.call('HDEL', KEYS[1], 'attempt', 'id') end
return 0
""")
"""A device's key; the device. Everything about its enrolment is done and safe, so the attempt may be forgotten."""

RESERVE_CODE: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'expires_at', 'used_by', 'reserved')
if not kept[1] then return {'unknown'} end
if not kept[2] and tonumber(kept[1]) <= (tonumber(ARGV[3]) or 0) then return {'expired'} end
if kept[2] and kept[2] ~= ARGV[2] then return {'used'} end
if kept[3] and kept[3] ~= ARGV[1] then return {'reserved', kept[3]} end
redis.call('HSET', KEYS[1], 'reserved', ARGV[1])
return {'ok'}
""")
"""An invitation; attempt and key, the device, now if it matters. "ok", or why not, or in whose way it is."""

USE_CODE: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'used_by', ARGV[1])
redis.call('HDEL', KEYS[1], 'reserved')
return 0
""")
"""An invitation; the device that it became, once that is decided."""

RELEASE_CODE: Final = Script("""
if redis.call('HGET', KEYS[1], 'reserved') == ARGV[1] then redis.call('HDEL', KEYS[1], 'reserved') end
return 0
""")
"""An invitation; attempt and key, which came to nothing."""

LIST: Final = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return 0
""")
"""A list; the device that is in it from now on, or was before, which for ZADD alone would be no write."""

RESERVE_PLACE: Final = Script("""
local limit = tonumber(ARGV[3])
if limit and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= limit then
  return redis.call('HGETALL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {}
""")
"""An owner's places and list; the device, its key, how many there may be or nothing. Who is there if that is full."""

RELEASE_PLACE: Final = Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
if ARGV[3] == 'unlist' then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 0
""")
"""An owner's places and list; the device, the key that its place was given for, whether it leaves the list too."""

CREATE_DEVICE: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'document', ARGV[1], 'thumbprint', ARGV[2], 'key', ARGV[3])
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'revoked_at', ARGV[4]) end
else
  redis.call('HSET', KEYS[1], 'document', redis.call('HGET', KEYS[1], 'document'))
end
return 0
""")
"""A device; its document, its key's thumbprint, its key, when it was revoked or nothing. One that is there stays."""

REPLACE_KEY: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'thumbprint', 'revoked_at')
if kept[1] ~= ARGV[2] and (kept[1] ~= ARGV[1] or kept[2]) then return 0 end
redis.call('HSET', KEYS[1], 'thumbprint', ARGV[2])
if kept[1] == ARGV[1] then redis.call('HSET', KEYS[1], 'key', ARGV[3]) end
return 1
""")
"""A device; the thumbprint expected, the new one, the new key. 1 if the device has the new key now."""

REVOKE_DEVICE: Final = Script("""
local kept = redis.call('HMGET', KEYS[1], 'document', 'revoked_at')
if not kept[1] then return 0 end
redis.call('HSET', KEYS[1], 'revoked_at', kept[2] or ARGV[1])
return 1
""")
"""A device; now. 1 if there is such a device, which then is revoked."""
