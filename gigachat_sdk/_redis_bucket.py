"""One limit of a whole fleet, as one process sees it: who waits for it here, and which slots are held here.

Only the keeper reads and changes that. Everybody else leaves notes in deques and wakes it, so giving a slot back takes
no lock and never waits, wherever it happens: in a task, in another thread, in a garbage collection that interrupts any
of these.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import NamedTuple

from typing_extensions import Self

from ._concurrency import AsyncSignal, LoopRef, Signal, is_gone
from ._logging import logger
from ._quota import EVERY_MODEL
from ._redis import OnOutage, OutageError, SharedRedis
from ._redis_tick import Answer, Tick

HEARTBEAT = 1.0  # seconds at most; every process must notice soon that Redis was restarted without its data
WHOLE_EVERY = 5.0  # seconds after which all is told again, whatever happened to it on the other side
NEAR, FAR = 0.01, 0.05  # seconds between two questions of somebody who waits


class Settings(NamedTuple):
    """What a limiter was asked for."""

    redis: SharedRedis
    prefix: str
    limits: dict[str, int]
    local_limits: dict[str, int]
    lease: float
    on_outage: OnOutage
    is_adaptive: bool


class RedisSlot:
    """A slot of a `RedisLimiter`; leaving its `with` block, or dropping it, gives it back."""

    __slots__ = ("_bucket", "_held", "_number", "_ticket", "has_waited")

    def __init__(self, bucket: Bucket | None, ticket: str, number: int, *, has_waited: bool) -> None:
        self._bucket = bucket
        self._ticket = ticket
        self._number = number
        self._held = [None]
        self.has_waited: bool = has_waited

    def report(self, status_code: int) -> None:
        """Tell how the service answered the request in this slot."""
        if self._bucket is not None and self._bucket.is_adaptive and self._number:
            self._bucket.reported.append((self._number, status_code))

    def release(self) -> None:
        """Give the slot back; once counts, from any thread."""
        try:
            self._held.pop()  # one operation, so that of two threads only one goes on
        except IndexError:
            return
        if self._bucket is not None:
            self._bucket.released.append(self._ticket)
            self._bucket.wake()

    def __del__(self) -> None:
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class Waiter:
    """Somebody who waits for a slot. Of the keeper and himself only one gets the claim, and so decides how it ends."""

    def __init__(self, bucket: Bucket, signal: Signal | AsyncSignal, loop: LoopRef | None = None) -> None:
        self.bucket = bucket
        self.ticket: str = bucket.next_ticket()
        self.signal: Signal | AsyncSignal = signal
        self.loop: LoopRef | None = loop  # of asyncio, which may be closed around him
        self.arrived: float = time.monotonic()
        self.number: int = 0
        self.has_waited: bool = False
        self._claim = [None]
        self._outcome: RedisSlot | OutageError | None = None

    def settle(self, outcome: RedisSlot | OutageError) -> None:
        """End the waiting (the keeper does)."""
        self._outcome = outcome
        if not self._take_claim() or not self.signal.set():  # has left, or his event loop is gone
            self.take()
            if isinstance(outcome, RedisSlot):
                outcome.release()

    def leave(self) -> RedisSlot | OutageError | None:
        """End the waiting (he himself does); return what has come all the same."""
        if self._take_claim():
            self.bucket.leaving.append(self)
            self.bucket.wake()
            return None
        return self.take()

    def take(self) -> RedisSlot | OutageError | None:
        """Return what has come, which is nobody else's from now on."""
        outcome, self._outcome = self._outcome, None
        return outcome

    def _take_claim(self) -> bool:
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True


class Bucket:
    """One limit, as this process sees it. Others write to the four deques only; the rest is the keeper's."""

    def __init__(self, settings: Settings, name: str, process: str, wake: Callable[[], None]) -> None:
        self.name = name
        self.limit: int = settings.limits[name]
        self.local_limit: int = min(self.limit, settings.local_limits[name])
        self.is_adaptive: bool = settings.is_adaptive
        self.keys: list[str] = [f"{settings.prefix}limit:{name}:{key}" for key in ("state", "held", "waiting", "seen")]
        self.wake = wake
        self.arrivals: deque[Waiter] = deque()
        self.leaving: deque[Waiter] = deque()
        self.released: deque[str] = deque()
        self.reported: deque[tuple[int, int]] = deque()

        self.waiters: OrderedDict[str, Waiter] = OrderedDict()
        self._fresh: dict[str, Waiter] = {}  # those of them whose place in the line Redis does not know yet
        self.held: set[str] = set()
        self._loops: dict[str, LoopRef] = {}  # those of asyncio that slots were lent to
        self.gone: list[str] = []
        self.known: Answer = Answer(False, 0, 0, False, self.limit, 0, "", frozenset())
        self.next_tick: float = 0.0
        self.outage: OutageError | None = None  # why Redis cannot be used for this limit
        self.began: float = 0.0
        self.failed: float = 0.0  # when it was last tried
        self.is_back: bool = False  # whether it seems to be over: the next tick shows it
        self._process = process
        self._lease = settings.lease
        self._numbers = count(1)
        self._next_beat = self._next_whole = self._next_look = 0.0
        self._changed: float = 0.0
        self._has_warned = False

    def next_ticket(self) -> str:
        return f"{self._process}:{next(self._numbers)}"

    @property
    def is_busy(self) -> bool:
        """Whether Redis has to hear of it, now or before long."""
        return bool(self.waiters or self.held or self.gone or self.arrivals or self.released or self.leaving)

    @property
    def waiting(self) -> int:
        """How many wait now; whoever gave up does not, though the keeper may not have read it yet."""
        return max(0, len(self.arrivals) + len(self.waiters) - len(self.leaving))

    @property
    def in_use(self) -> int:
        """How many slots are held now; one that was given back is not, though the keeper may not have read it yet."""
        return len(self.held.difference(self.released.copy()))

    def take_in(self, now: float) -> None:
        """Read the notes of the others, and once a heartbeat look for loops that were closed around theirs."""
        if now >= self._next_look:
            self._next_look = now + HEARTBEAT
            self._take_from_closed_loops()
        has_changed = bool(self.arrivals or self.leaving or self.released)
        while self.arrivals:
            waiter = self.arrivals.popleft()
            self.waiters[waiter.ticket] = self._fresh[waiter.ticket] = waiter
        while self.leaving:
            waiter = self.leaving[0]
            if waiter.ticket in self.waiters:
                self._forget(waiter.ticket)
                self.gone.append(waiter.ticket)
            self.leaving.popleft()  # after that, so that `waiting` never counts who has left
        while self.released:
            ticket = self.released[0]
            self.held.discard(ticket)
            self._loops.pop(ticket, None)
            self.gone.append(ticket)
            self.released.popleft()  # after that, so that nobody is told of slots that were given back
        if has_changed:
            self._changed = self.next_tick = now

    def _take_from_closed_loops(self) -> None:
        """Note what tasks hold and wait for that will never run again: they cannot do it themselves."""
        self.released.extend([ticket for ticket, loop in self._loops.items() if is_gone(loop)])
        for waiter in self.waiters.values():
            if waiter.loop is not None and is_gone(waiter.loop):
                waiter.leave()

    def tell_all(self) -> None:
        """Let the next tick come at once, and be a whole one."""
        self.next_tick = self._next_beat = self._next_whole = 0.0

    def tick(self, now: float) -> Tick:
        """Return what is to be told now; repeat it until it was answered."""
        is_whole = now >= self._next_whole
        reports = [self.reported.popleft() for _ in range(len(self.reported))]
        return self.sign_of_life()._replace(
            adaptive=self.is_adaptive,
            whole=is_whole,
            waits=bool(self.waiters),
            gone=list(self.gone),
            held=list(self.held) if is_whole or now >= self._next_beat else [],
            line=[(waiter.ticket, waiter.number) for waiter in (self.waiters if is_whole else self._fresh).values()],
            succeeded=sum(status_code < 400 for _, status_code in reports),
            refused=[number for number, status_code in reports if status_code == 429],
        )

    def sign_of_life(self) -> Tick:
        """Return a tick that only tells which slots are held; may be asked for in any thread."""
        return Tick(
            process=self._process,
            limit=self.limit,
            lease=self._lease,
            adaptive=False,
            epoch=self.known.epoch,
            whole=False,
            waits=False,
            gone=[],
            held=list(self.held),
            line=[],
            succeeded=0,
            refused=[],
        )

    def apply(self, told: Tick, answer: Answer, now: float) -> None:
        """Take in what Redis has answered, and give the slots on."""
        if answer.places < self.known.places:
            logger.info("the service refuses requests: %d of %d slots are used now", answer.places, self.limit)
        if answer.other_limit and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "limiters of one namespace have different limits for %s: %d here, %d in another process; each goes by "
                "its own",
                "all models" if self.name == EVERY_MODEL else self.name,
                self.limit,
                answer.other_limit,
            )
        self.known = answer
        del self.gone[: len(told.gone)]
        if told.held or told.whole:
            self._next_beat = now + min(HEARTBEAT, self._lease / 3)
        if told.whole:
            self._next_whole = now + WHOLE_EVERY
        if answer.is_forgotten:  # this process was silent for too long; those who wait have kept their numbers
            self.tell_all()
            return
        number = answer.first
        for waiter in self._fresh.values():
            waiter.number = number
            number += 1
        self._fresh.clear()
        news = answer.mine - self.held
        self.gone += [ticket for ticket in news if ticket not in self.waiters]  # whoever waited has left since
        for waiter in sorted((self.waiters[ticket] for ticket in news & self.waiters.keys()), key=lambda it: it.number):
            self._changed = now
            self.give(waiter, answer.slot_number)
        for ticket, _ in told.line:
            if ticket in self.waiters:
                self.waiters[ticket].has_waited = True
        pauses = [self._next_beat - now] if self.held else []
        if self.gone:
            pauses.append(0.0)
        if self.waiters:
            pauses.append(min(FAR, max(NEAR, (now - self._changed) / 10)) if answer.is_near else FAR)
        self.next_tick = now + min(pauses, default=0.0)

    def give(self, waiter: Waiter, number: int) -> None:
        """Give a slot to somebody, who waits no more."""
        self._forget(waiter.ticket)
        self.held.add(waiter.ticket)
        if waiter.loop is not None:
            self._loops[waiter.ticket] = waiter.loop
        waiter.settle(RedisSlot(self, waiter.ticket, number, has_waited=waiter.has_waited))

    def refuse(self, waiter: Waiter, outage: OutageError) -> None:
        """Let somebody wait no more."""
        self._forget(waiter.ticket)
        self.gone.append(waiter.ticket)
        waiter.settle(outage)

    def leave_all(self) -> None:
        """Give back all slots and all places in the line."""
        self.gone += [*self.held, *self.waiters]
        self.held.clear()
        self._loops.clear()
        self.waiters.clear()
        self._fresh.clear()

    def _forget(self, ticket: str) -> None:
        del self.waiters[ticket]
        self._fresh.pop(ticket, None)
