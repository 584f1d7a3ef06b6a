"""How many requests are in flight at a time: the protocol of limiters, and the one that counts within a process.

One limiter serves sync and async clients at the same time; methods beginning with `a` are the async twins.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from typing_extensions import Self

from ._concurrency import AsyncSignal, LoopRef, Signal, asyncio_loop, is_gone
from ._constants import CLOCK_ERROR, LONGEST_TIME
from ._deadline import Deadline, DeadlineError, current_deadline, shortened
from ._lifetimes import leave_to_parent_at_fork
from ._logging import logger
from ._quota import EVERY_MODEL, Window, check_limits, limit_name
from .errors import ConfigurationError, ConfigurationTypeError, LimiterTimeoutError

SignalT = TypeVar("SignalT", Signal, AsyncSignal)

_SLICE: Final = 1.0  # seconds after which somebody who waits looks whether loops with slots were closed: nobody tells
_LOOKS_AT_ONCE: Final = 100  # a second at most, by all who wait


@runtime_checkable
class Slot(Protocol):
    """The right to have one request in flight."""

    @property
    def has_waited(self) -> bool:
        """Whether it had to be waited for."""
        ...

    def report(self, status_code: int) -> None:
        """Tell how the service answered the request; a limiter may narrow after a 429. Never waits."""
        ...

    def release(self) -> None:
        """Give the slot back; once counts, from any thread. Never waits."""
        ...


@runtime_checkable
class ConcurrencyLimiter(Protocol):
    """What a client needs of a limiter; implement it for a way of your own.

    A slot is taken for each attempt of each request, and given back when the answer is read or its stream is closed.

    Example:
        >>> class Printing(LocalLimiter):
        ...     def acquire(self, model=None):
        ...         print("waiting for", model)
        ...         return super().acquire(model)
    """

    def acquire(self, model: str | None = None) -> Slot:
        """Wait for a slot for a request to `model` (None for requests that name none), in a thread.

        Raises:
            LimiterTimeoutError: None became free in time.
        """
        ...

    async def aacquire(self, model: str | None = None) -> Slot:
        """Wait for a slot, in a task."""
        ...


class LocalSlot:
    """A slot of a `LocalLimiter`; leaving its `with` block, or dropping it, gives it back."""

    _held: list[None] = []  # noqa: RUF012  # of one whose construction was interrupted: nothing to give back

    def __init__(self, bucket: _Bucket, give_back: GiveBack, number: int, *, has_waited: bool) -> None:
        self._bucket = bucket
        self._give_back = give_back
        self._held = [None]
        self.number: int = number
        self.has_waited: bool = has_waited

    def report(self, status_code: int) -> None:
        """Tell how the service answered the request in this slot."""
        if self._bucket.window is not None:
            self._bucket.reported.append((self.number, status_code))

    def release(self) -> None:
        """Give the slot back; once counts, from any thread."""
        try:
            self._held.pop()  # one operation, so that of two threads only one goes on
        except IndexError:
            return
        self._give_back(self._bucket, self.number)

    def __del__(self) -> None:
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class _Waiter(Generic[SignalT]):
    """Somebody who waits for a slot."""

    def __init__(self, signal: SignalT, loop: LoopRef | None) -> None:
        self.signal: SignalT = signal
        self.loop: LoopRef | None = loop
        self.slot: LocalSlot | None = None


class _Bucket:
    """One limit: who holds its slots, and who waits for one, first come first."""

    __slots__ = ("holders", "limit", "name", "newest", "reported", "waiters", "window")

    def __init__(self, name: str, limit: int, *, is_adaptive: bool) -> None:
        self.name: str = name
        self.limit: int = limit
        self.window: Window | None = Window(limit) if is_adaptive else None
        self.holders: dict[int, LoopRef | None] = {}  # by a slot's number: the loop of asyncio that it was lent to
        self.newest: int = 0
        self.waiters: OrderedDict[_Waiter[Any], None] = OrderedDict()
        self.reported: deque[tuple[int, int]] = deque()

    def __str__(self) -> str:
        return f"{self.name}: " + (f"{self.limit}" if self.places == self.limit else f"{self.places} of {self.limit}")

    @property
    def held(self) -> int:
        return len(self.holders)

    @property
    def waiting(self) -> int:
        return sum(waiter.loop is None or not is_gone(waiter.loop) for waiter in list(self.waiters))

    @property
    def places(self) -> int:
        return self.limit if self.window is None else self.window.places

    def slot(self, give_back: GiveBack, loop: LoopRef | None, *, has_waited: bool) -> LocalSlot:
        """Make a slot, which counts as held from now on."""
        self.newest += 1
        self.holders[self.newest] = loop
        return LocalSlot(self, give_back, self.newest, has_waited=has_waited)

    def stranded(self) -> list[int]:
        """Return the slots that tasks hold whose loop was closed around them: they will never give them back."""
        return [number for number, loop in list(self.holders.items()) if loop is not None and is_gone(loop)]

    def adapt(self) -> None:
        """Let the window follow what the service has answered."""
        while self.window is not None and self.reported:
            number, status_code = self.reported.popleft()
            if status_code < 400:
                self.window.succeeded()
            elif status_code == 429 and self.window.refused(number, self.newest):
                logger.info("the service refuses requests: %d of %d slots are used now", self.places, self.limit)


GiveBack: TypeAlias = Callable[[_Bucket, int], None]


class LocalLimiter:
    """Lets no more than `n` requests be in flight at a time, in this process; first come, first served.

    Share one between clients that share an account. Threads and tasks of any event loop wait in one line. The slots of
    an event loop that is closed while its tasks hold them are free again at once for the next who wants one, and within
    a second or so for those who wait already.

    Args:
        n: How many requests; or limits by model, as in `{"GigaChat-2-Max": 2, "*": 10}`. A model that is named has
            its own limit, and its requests do not count among those of `"*"`, which stands for all others; without
            `"*"` nothing limits the others. The version after a colon in a model's name does not count.
        timeout: Seconds that a request waits for a slot; None for as long as it takes (a `deadline` ends that too).
        adaptive: Whether a 429 of the service halves the limit in use, which successes widen again slowly, up to `n`.

    Raises:
        ConfigurationError: A limit under 1, or a timeout that is no time.

    Example:
        >>> limiter = LocalLimiter(10, timeout=60)
        >>> client, other = Client(limiter=limiter), AsyncClient(limiter=limiter)
    """

    def __init__(self, n: int | Mapping[str, int], timeout: float | None = None, *, adaptive: bool = False) -> None:
        self._limits = check_limits("n", n)
        self._timeout = check_wait("timeout", timeout)
        self._is_adaptive = adaptive
        self._start()
        leave_to_parent_at_fork(self)

    def leave_to_parent(self) -> None:
        """Begin with all slots free, in a forked child: those that are held are the parent's (internal)."""
        self._start()

    def _start(self) -> None:
        self._guard = threading.Lock()
        # Given back by whoever holds the guard, or holds it next: a slot may come back anywhere, even while the garbage
        # collector runs in a thread that has the guard.
        self._given_back: deque[tuple[_Bucket, int]] = deque()
        self._buckets = {
            name: _Bucket(name, limit, is_adaptive=self._is_adaptive) for name, limit in self._limits.items()
        }
        self._unlimited = _Bucket("", sys.maxsize, is_adaptive=False)

    @property
    def limits(self) -> Mapping[str, int]:
        """The limits by model; `"*"` stands for every model that is not named."""
        return dict(self._limits)

    @property
    def held(self) -> int:
        """How many slots are held now, those of tasks whose event loop was closed around them not included."""
        loops = [loop for bucket in self._buckets.values() for loop in list(bucket.holders.values())]
        return sum(loop is None or not is_gone(loop) for loop in loops)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot now, tasks whose event loop was closed around them not included."""
        return sum(bucket.waiting for bucket in self._buckets.values())

    def acquire(self, model: str | None = None) -> LocalSlot:
        """Wait for a slot for a request to `model`, in a thread.

        Raises:
            LimiterTimeoutError: None became free in time.
        """
        bucket = self._bucket(model)
        entered = self._enter(bucket, Signal)
        if isinstance(entered, LocalSlot):
            return entered
        try:
            for seconds in self._slices(bucket):
                if entered.signal.wait(seconds):
                    break
        except BaseException:
            self._give_up(bucket, entered)
            raise
        return self._slot_of(bucket, entered)

    async def aacquire(self, model: str | None = None) -> LocalSlot:
        """Wait for a slot for a request to `model`, in a task.

        Raises:
            LimiterTimeoutError: None became free in time.
        """
        bucket = self._bucket(model)
        entered = self._enter(bucket, AsyncSignal, asyncio_loop())
        if isinstance(entered, LocalSlot):
            return entered
        try:
            for seconds in self._slices(bucket):
                if await entered.signal.wait(seconds):
                    break
        except BaseException:
            self._give_up(bucket, entered)
            raise
        return self._slot_of(bucket, entered)

    def _bucket(self, model: str | None) -> _Bucket:
        name = limit_name(self._limits, model)
        return self._unlimited if name is None else self._buckets[name]

    def _enter(
        self, bucket: _Bucket, make_signal: Callable[[], SignalT], loop: LoopRef | None = None
    ) -> LocalSlot | _Waiter[SignalT]:
        """Take a free slot, or a place at the end of the line, which moves on if a slot is held by nobody any more."""
        entered: LocalSlot | _Waiter[SignalT]
        with self._guard:
            if not bucket.waiters and bucket.held < bucket.places:
                entered = bucket.slot(self._give_back, loop, has_waited=False)
            else:
                entered = _Waiter(make_signal(), loop)
                bucket.waiters[entered] = None
                self._given_back.extend((bucket, number) for number in bucket.stranded())
        self._settle()
        return entered

    def _slices(self, bucket: _Bucket) -> Generator[float]:
        """Yield how long to wait at a time, and after each let the line move on if a slot is held by nobody any more.

        A loop that is closed around its tasks says so to nobody: who waits has to look.
        """
        seconds = shortened(self._timeout)
        time = None if seconds is None else Deadline(seconds)
        is_over = False
        while not is_over:
            pause, rest = _slice_of(len(bucket.waiters)), math.inf if time is None else max(time.remaining, 0.0)
            is_over = rest <= pause
            yield min(pause, rest)
            with self._guard:
                self._given_back.extend((bucket, number) for number in bucket.stranded())
            self._settle()

    def _slot_of(self, bucket: _Bucket, waiter: _Waiter[Any]) -> LocalSlot:
        slot = self._step_out(bucket, waiter)
        if slot is not None:
            return slot
        deadline = current_deadline()
        if self._timeout is None or (deadline is not None and deadline.remaining < CLOCK_ERROR):
            raise DeadlineError
        among = "" if bucket.name == EVERY_MODEL else f" for {bucket.name}"
        raise LimiterTimeoutError(
            f"no slot{among} became free in {self._timeout:g} s: {bucket.held} of {bucket.places} are held and "
            f"{bucket.waiting} more requests wait; a stream holds its slot until it is closed"
        )

    def _give_up(self, bucket: _Bucket, waiter: _Waiter[Any]) -> None:
        slot = self._step_out(bucket, waiter)
        if slot is not None:  # it came at the same moment
            slot.release()

    def _step_out(self, bucket: _Bucket, waiter: _Waiter[Any]) -> LocalSlot | None:
        """Leave the line; return the slot that was given meanwhile."""
        with self._guard:
            bucket.waiters.pop(waiter, None)
            slot, waiter.slot = waiter.slot, None
        self._settle()
        return slot

    def _give_back(self, bucket: _Bucket, number: int) -> None:
        self._given_back.append((bucket, number))
        self._settle()

    def _settle(self) -> None:
        """Give on what was given back, unless whoever has the guard will: it looks again once the guard is free."""
        while self._given_back and self._guard.acquire(blocking=False):
            try:
                while self._given_back:
                    bucket, number = self._given_back.popleft()
                    bucket.holders.pop(number, None)  # it may be gone: taken from a loop that was closed
                    bucket.adapt()
                    while bucket.waiters and bucket.held < bucket.places:
                        waiter, _ = bucket.waiters.popitem(last=False)
                        waiter.slot = bucket.slot(self._give_back, waiter.loop, has_waited=True)
                        if not waiter.signal.set():  # its loop is gone, and it will never come for it
                            waiter.slot.release()
            finally:
                self._guard.release()

    def __repr__(self) -> str:
        limits = ", ".join(str(bucket) for bucket in self._buckets.values())
        return f"LocalLimiter({limits}; {self.held} held, {self.waiting} waiting)"


def _slice_of(waiting: int) -> float:
    """Return how long one of so many who wait does so before a look at the slots of closed loops."""
    return _SLICE * max(1.0, waiting / _LOOKS_AT_ONCE)


def check_wait(name: str, seconds: Any) -> float | None:
    """Refuse what is no time to wait; None stands for no limit."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ConfigurationTypeError(f"{name}: expected seconds, got {type(seconds).__name__}")
    if not 0 <= seconds <= LONGEST_TIME:
        raise ConfigurationError(f"{name}: {seconds!r} is no time to wait; give seconds, or None for no limit")
    return float(seconds)
