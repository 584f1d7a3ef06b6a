"""What a process tells Redis of its slots and of those who wait for one, and what Redis answers: one script a tick.

A limit has four keys. `held`: slots, by the time at which their lease ends. `waiting`: tickets, by number of arrival.
`seen`: processes that have somebody waiting, by the time they last asked. `state`: what must outlive these. Times are
microseconds of the server's clock. A slot has the ticket of whoever waited for it; a ticket begins with its process.

A process is given slots for its own tickets only, so no answer has to be carried to another one; places are kept for
the tickets ahead of its own, as long as their processes are alive. Every part of a tick may be repeated, as the answer
to it can be lost: tickets keep their numbers, and the answer names all slots of the process, not just the new ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ._quota import WIDENING
from ._redis import Script, text

SETTLING = 3.0  # seconds without new slots after Redis was restarted: time enough for all to tell what they hold
ALIVE = 1.0  # seconds for which somebody waiting counts as alive after his process has asked
PROCESS_NAME_LENGTH = 16
_LIFE_OF_KEYS = 24 * 3600  # seconds; ticks of those who hold or wait for slots prolong it
_MEMORY_OF_LIMITS = 10.0  # seconds for which it is known who else was given which limit

_GREETING = 1.5  # seconds of that at least: a first time looks like a loss, and all who hold slots speak every second

TICK = Script(
    """
local state, held, waiting, seen = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local given = cjson.decode(ARGV[1])
local me, limit = given.process, given.limit
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function plain(number) return string.format('%.0f', number) end

local kept = redis.call('HMGET', state,
  'epoch', 'clock', 'quiet_until', 'width', 'narrowed', 'limit', 'limit_told', 'ticked', 'server')
local epoch, quiet_until, ticked = kept[1], tonumber(kept[3] or 0), tonumber(kept[8] or now)
redis.call('HSET', state, 'ticked', plain(now))
local function be_quiet_until(moment)
  if moment > quiet_until then
    quiet_until = moment
    redis.call('HSET', state, 'quiet_until', plain(quiet_until))
  end
end

-- The clock was set back: what is to come stays as far away as it was.
if ticked > now then
  quiet_until = quiet_until - (ticked - now)
  redis.call('HSET', state, 'quiet_until', plain(quiet_until))
  for _, key in ipairs({held, seen}) do
    for _, name in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, plain(now - ticked), name)
    end
  end
end

-- Data that were lost, or are those of another server or of another time: slots may be held that are not known here.
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then info = '' end
local server = string.match(info, 'run_id:(%w+)')
if not epoch or server and kept[9] and server ~= kept[9] then
  local uptime = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or 0)
  be_quiet_until(now + math.max(GREETING, SETTLING - uptime * 1000000))
end
if server and server ~= kept[9] then redis.call('HSET', state, 'server', server) end
if not epoch then
  epoch = plain(now)
  redis.call('HSET', state, 'epoch', epoch)
end
if given.epoch ~= '' and given.epoch ~= epoch then
  be_quiet_until(math.min(now, tonumber(epoch)) + SETTLING)
end

-- All have been silent for so long that living ones must have been kept from renewing the leases that end now.
if now - ticked > math.min(GREETING, given.lease * 500)
    and redis.call('ZCOUNT', held, '-inf', plain(now + GREETING)) > 0 then
  be_quiet_until(now + GREETING)
end

-- Numbers in order of time, for arrivals and for slots; they go on when the server's clock is set back.
local clock, is_clock_moved = tonumber(kept[2] or 0), false
local function next_number()
  clock, is_clock_moved = math.max(now, clock + 1), true
  return clock
end

-- Who is gone, who still holds a slot, who is still there.
for _, ticket in ipairs(given.gone) do
  redis.call('ZREM', held, ticket)
  redis.call('ZREM', waiting, ticket)
end
for _, ticket in ipairs(given.held) do
  redis.call('ZADD', held, plain(now + given.lease * 1000), ticket)
  redis.call('ZREM', waiting, ticket)
end
redis.call('ZREMRANGEBYSCORE', held, '-inf', plain(now))
redis.call('ZREMRANGEBYSCORE', seen, '-inf', plain(now - ALIVE))
local is_forgotten = given.waits and not given.whole and not redis.call('ZSCORE', seen, me)
if given.waits and not is_forgotten then
  redis.call('ZADD', seen, plain(now), me)
end

-- How wide the window is: halved when the service refuses, widened slowly by success.
local places = limit
if given.adaptive then
  local width = math.min(limit, tonumber(kept[4] or limit))
  local narrowed = tonumber(kept[5] or 0)
  for _ = 1, given.succeeded do
    width = math.min(limit, width + WIDENING / width)
  end
  for _, number in ipairs(given.refused) do
    if number > narrowed then
      width, narrowed = math.max(1, width / 2), next_number()
    end
  end
  if given.succeeded > 0 or #given.refused > 0 then
    redis.call('HSET', state, 'width', string.format('%.6f', width), 'narrowed', plain(narrowed))
  end
  places = math.floor(width)
end

-- Places in the line; a ticket has its slot already when the answer that said so was lost.
local first = 0
if not is_forgotten then
  for _, entry in ipairs(given.line) do
    local number = entry[2]
    if number == 0 then
      number = next_number()
      if first == 0 then first = number end
    end
    if not redis.call('ZSCORE', held, entry[1]) then
      redis.call('ZADD', waiting, 'NX', plain(number), entry[1])
    end
  end
end

-- Slots for tickets of this process, as far as nobody alive is before them.
local slot_number, is_near = 0, 0
if given.waits and not is_forgotten and now >= quiet_until then
  local free, skipped, line = places - redis.call('ZCARD', held), 0, {}
  while free > 0 do
    line = redis.call('ZRANGE', waiting, skipped, skipped + 63)
    for _, ticket in ipairs(line) do
      local process = string.sub(ticket, 1, NAME)
      if free <= 0 then
        break
      elseif process == me then
        if slot_number == 0 then slot_number = next_number() end
        redis.call('ZADD', held, plain(now + given.lease * 1000), ticket)
        redis.call('ZREM', waiting, ticket)
        free = free - 1
      elseif redis.call('ZSCORE', seen, process) then
        skipped, free = skipped + 1, free - 1
      else
        redis.call('ZREM', waiting, ticket)
      end
    end
    if #line < 64 then break end
  end
  for _, ticket in ipairs(redis.call('ZRANGE', waiting, 0, math.min(63, 2 * places))) do
    if string.sub(ticket, 1, NAME) == me then
      is_near = 1
      break
    end
  end
end

-- Whether another process, which was here not long ago, was given another limit.
local other_limit = 0
if given.whole then
  if tonumber(kept[6] or limit) ~= limit and tonumber(kept[7] or 0) > now - MEMORY then
    other_limit = tonumber(kept[6])
  end
  redis.call('HSET', state, 'limit', plain(limit), 'limit_told', plain(now))
end

if is_clock_moved then redis.call('HSET', state, 'clock', plain(clock)) end
if given.whole then
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, LIFE) end
end
local mine, all = {}, redis.call('ZRANGE', held, 0, -1)
for _, ticket in ipairs(all) do
  if string.sub(ticket, 1, NAME) == me then mine[#mine + 1] = ticket end
end
return {is_forgotten and 1 or 0, first, slot_number, is_near, places, #all, epoch, mine, other_limit,
  math.max(0, math.ceil((quiet_until - now) / 1000))}
""".replace("GREETING", f"{_GREETING * 1e6:.0f}")
    .replace("SETTLING", f"{SETTLING * 1e6:.0f}")
    .replace("ALIVE", f"{ALIVE * 1e6:.0f}")
    .replace("MEMORY", f"{_MEMORY_OF_LIMITS * 1e6:.0f}")
    .replace("WIDENING", str(WIDENING))
    .replace("NAME", str(PROCESS_NAME_LENGTH))
    .replace("LIFE", str(_LIFE_OF_KEYS))
)


class Tick(NamedTuple):
    """What a process tells of one limit."""

    process: str
    limit: int
    lease: float  # seconds
    adaptive: bool
    epoch: str  # of the data that the process knows; "" where it knows none
    whole: bool  # whether `held` and `line` are all there is
    waits: bool  # whether somebody waits, in `line` or before
    gone: list[str]  # tickets that are not needed any more, with a slot or without
    held: list[str]  # tickets whose slots' leases are to be prolonged
    line: list[tuple[str, int]]  # tickets with their numbers of arrival, 0 for those that have none yet
    succeeded: int
    refused: list[int]  # numbers of the slots in which the service refused

    def arguments(self) -> list[str]:
        """Return what the script gets."""
        return [json.dumps({**self._asdict(), "lease": round(self.lease * 1000)})]


class Answer(NamedTuple):
    """What Redis answers to a tick."""

    is_forgotten: bool  # the tickets may have been removed: the whole has to be told once more
    first: int  # the number of the first ticket that had none; the following ones have the following numbers
    slot_number: int  # the number of the slots that were given
    is_near: bool  # whether somebody of the process may get a slot soon
    places: int
    held: int  # by the whole fleet
    epoch: str
    mine: frozenset[str]  # tickets of this process that have a slot
    other_limit: int = 0  # of another process that was given another one
    quiet: float = 0.0  # seconds for which nothing is given out, as Redis has just started or lost its data

    @classmethod
    def read(cls, given: Any) -> Answer:
        """Read what the script has returned."""
        forgotten, first, slot_number, near, places, held, epoch, mine, other_limit, quiet = given
        tickets: Iterable[Any] = mine
        names = frozenset(map(text, tickets))
        return cls(
            *(bool(forgotten), first, slot_number, bool(near), places, held, text(epoch), names),
            other_limit=other_limit,
            quiet=quiet / 1000,
        )
