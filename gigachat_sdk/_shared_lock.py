"""A lock between processes, for threads and tasks alike: who takes turns inside this process, and how one waits.

Where the lock itself lies is the business of a subclass: a file, Redis.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from ._concurrency import (
    AsyncLock,
    AsyncTurns,
    LoopRef,
    async_read_in_thread,
    async_sleep,
    asyncio_loop,
    is_gone,
    sleep,
)
from ._deadline import shortened

HeldT = TypeVar("HeldT")

_SHORTEST_PAUSE: Final = 0.005  # seconds between two looks at a lock that another process holds
_LONGEST_PAUSE: Final = 0.1
_BUSY_FOR: Final = 0.25  # after a look those who would not wait for the lock leave it alone for so long
_SLICE: Final = 0.1  # how long a thread waits for another one before it looks whether it waits for itself


class SharedLock(ABC, Generic[HeldT]):
    """A lock between processes; in each of them a thread takes it with `acquire`, a task with `aacquire`.

    Of the threads of a process one at a time tries to take it, and of the tasks of an event loop one; so a hundred
    callers ask outside as often as one. Whoever waits looks again after a pause, within the deadline of the call.
    A thread that would wait for a task of its own event loop (sync code called by a coroutine) goes on without the
    lock: that task could never end. A task whose event loop was closed around it loses the lock to the next who tries,
    and gives nothing back as it ends late: each time the lock is taken is a hold of its own, and has a number.

    Args:
        place: Names the lock within this process: what has the same place is the same lock.
    """

    _all: ClassVar[weakref.WeakSet[SharedLock[Any]]] = weakref.WeakSet()
    _holders: ClassVar[dict[str, SharedLock[Any]]] = {}  # by place: the lock that is held; of several the last one

    def __init__(self, place: str) -> None:
        self._place = place
        self._held: HeldT | None = None  # what is held now, if anything: of all threads and tasks one at a time
        self.hold: int = 0  # the number of this hold, or of the last one
        self._begin()
        SharedLock._all.add(self)

    def _begin(self) -> None:
        self._threads = threading.Lock()
        self._tasks = AsyncTurns()
        self._turn: Any = None  # the holder's
        self._loop: LoopRef | None = None  # the holder's, where he is a task of asyncio
        self._thread: int | None = None  # that must not wait for the holder: it runs his loop
        self._guard = threading.RLock()  # a task of a closed loop may be collected in a thread that has it
        self._passes = 0  # how many threads go on without the lock
        self._busy_until = 0.0

    def leave_to_parent(self) -> None:
        """After a fork the lock is the parent's, and so may be the turns."""
        held, self._held = self._held, None
        self._holders.pop(self._place, None)
        self._begin()
        if held is not None:
            self._forget(held)

    @abstractmethod
    def _take(self) -> HeldT | None:
        """Take the lock if it is free, and return what stands for it; tasks have it called in a thread."""

    @abstractmethod
    def _give_back(self, held: HeldT) -> None:
        """Give the lock back; this may be called on an event loop."""

    @abstractmethod
    def _forget(self, held: HeldT) -> None:
        """Drop, in a child, what is the parent's, so that the parent still has it."""

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        turn, is_taken, pause = self._threads, False, _SHORTEST_PAUSE
        if not wait:
            if self._seems_busy() or not turn.acquire(blocking=False):
                return False
        else:
            while not turn.acquire(timeout=_within_deadline(_SLICE)):
                if self._is_held_by_this_loop():
                    return self._pass()
        try:
            while not (is_taken := self._try(turn)) and wait:
                if self._is_held_by_this_loop():
                    return self._pass()
                sleep(_within_deadline(pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if not is_taken:
                turn.release()
        return is_taken

    async def aacquire(self, *, wait: bool = True) -> bool:
        """Take the lock for this task; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        turn, is_taken, pause = AsyncLock(self._tasks), False, _SHORTEST_PAUSE
        if (not wait and self._seems_busy()) or not await turn.acquire(wait=wait):
            return False
        try:
            while not (is_taken := await self._try_in_thread(turn)) and wait:
                await async_sleep(_within_deadline(pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if not is_taken:
                turn.release()
        return is_taken

    def release(self, hold: int | None = None) -> None:
        """Give the lock back; where `hold` says which time it was taken, only if that is how it is held now."""
        with self._guard:
            if hold not in (None, self.hold):
                return
            if self._passes:  # while it goes on without the lock, a thread keeps the loop of the holder from running
                self._passes -= 1
                return
            if self._held is None:  # it was lost, or this is the child of a fork, where it is the parent's
                return
            turn = self._let_go()
        turn.release()

    def is_abandoned(self) -> bool:
        """Say whether a task holds the lock whose event loop was closed around it: it will never give it back."""
        return self._loop is not None and is_gone(self._loop)

    def _seems_busy(self) -> bool:
        return time.monotonic() < self._busy_until

    def _is_held_by_this_loop(self) -> bool:
        thread = threading.get_ident()
        return any(lock._thread == thread and not lock.is_abandoned() for lock in self._here())

    def _here(self) -> set[SharedLock[Any]]:
        return {self, self._holders.get(self._place, self)}

    def _pass(self) -> bool:
        self._passes += 1
        return True

    def _try(self, turn: threading.Lock) -> bool:
        held = self._take_or_note()
        return held is not None and self._begin_hold(held, turn, _Ticket())

    def _take_or_note(self) -> HeldT | None:
        """Take the lock if it is free; else note that it is not, unless it is so from now on."""
        is_taken_away = self._take_from_closed_loop()
        held = self._take() if self._held is None else None
        if held is None and not is_taken_away:
            self._busy_until = time.monotonic() + _BUSY_FOR
        return held

    def _take_from_closed_loop(self) -> bool:
        """End a hold that nobody will end, though it may be free outside: the keeper of one in Redis looks, too."""
        is_taken_away = False
        for lock in self._here():
            with lock._guard:
                if lock.is_abandoned():
                    is_taken_away, self._busy_until = True, 0.0
                    lock._let_go()
                    lock._tasks.forget_closed_loops()
        return is_taken_away

    def _begin_hold(
        self, held: HeldT, turn: Any, ticket: _Ticket, loop: LoopRef | None = None, thread: int | None = None
    ) -> bool:
        """Begin a hold, if it is wanted and there is none; else give back what was taken outside."""
        with self._guard:
            if ticket.is_wanted and self._held is None:
                self.hold += 1  # first: a task that is collected just here must not end this hold for its own
                self._held, self._turn, self._loop, self._thread = held, turn, loop, thread
                self._holders[self._place], self._passes = self, 0
                ticket.hold = self.hold
                return True
        self._give_back(held)
        return False

    async def _try_in_thread(self, turn: AsyncLock) -> bool:
        """Try in a thread, which goes on alone when the task is cancelled, and then gives back what it has got."""
        ticket, thread, loop = _Ticket(), threading.get_ident(), asyncio_loop()

        def take() -> bool:
            held = self._take_or_note()
            # At once: the loop may be waiting for the lock itself, in sync code that a coroutine called.
            return held is not None and self._begin_hold(held, turn, ticket, loop, thread)

        try:
            return await async_read_in_thread(take)
        except BaseException:
            with self._guard:
                ticket.is_wanted = False
                if self._held is not None and ticket.hold == self.hold:
                    self._let_go()
            raise

    def _let_go(self) -> Any:
        """End the hold, give the lock back, and return the turn."""
        held: Any = self._held
        turn = self._turn
        self._held = self._turn = self._loop = self._thread = None
        if self._holders.get(self._place) is self:
            del self._holders[self._place]
        self._give_back(held)
        return turn


@dataclass
class _Ticket:
    is_wanted: bool = True
    hold: int | None = None  # that has begun with it


class TaskSide:
    """A shared lock as tasks see it: `acquire` is to be waited for.

    Args:
        lock: The lock, which threads may take at the same time.
    """

    def __init__(self, lock: SharedLock[Any]) -> None:
        self._lock = lock
        self._hold: int | None = None

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        is_taken = await self._lock.aacquire(wait=wait)
        if is_taken:
            self._hold = self._lock.hold
        return is_taken

    def release(self) -> None:
        """Give the lock back, unless it was lost: somebody else may have it."""
        self._lock.release(self._hold)


def _within_deadline(seconds: float) -> float:
    shorter = shortened(seconds)
    return seconds if shorter is None else shorter


def _after_fork() -> None:
    for lock in list(SharedLock._all):  # pyright: ignore[reportPrivateUsage]  # a function of the class, by its nature
        lock.leave_to_parent()


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)
