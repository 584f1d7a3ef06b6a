"""What is closed though nobody closed it: values of a process or of an event loop, and objects that were dropped.

By hand, like `_concurrency`: a loop ends, a thread does not, and a fork leaves everything to the parent.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio

from ._concurrency import current_loop
from ._logging import logger

T = TypeVar("T")


class Inheritable(Protocol):
    """What a forked child must not use as its parent left it."""

    def leave_to_parent(self) -> None:
        """Begin anew, in a child; called before any other thread of the child can run."""
        ...


_inheritable: weakref.WeakSet[Any] = weakref.WeakSet()


def leave_to_parent_at_fork(shared: Inheritable) -> None:
    """Have `shared.leave_to_parent()` called in every forked child."""
    _inheritable.add(shared)


def _after_fork() -> None:
    """Keep a child from closing, be it at its end, what its parent is using."""
    for shared in list(_inheritable):
        shared.leave_to_parent()


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)


class Local(Generic[T]):
    """Values that are made once and closed together, by name."""

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._values: dict[Any, T] = {}
        self._guard = threading.Lock()
        leave_to_parent_at_fork(self)
        # Closes quietly at garbage collection and at interpreter exit what its owner forgot to close.
        weakref.finalize(self, _close_all, self._values, close)

    def leave_to_parent(self) -> None:
        """After a fork the connections are the parent's: they are neither used nor closed here."""
        _inherited.append(dict(self._values))
        self._values.clear()
        self._guard = threading.Lock()

    def get(self, name: Any) -> T | None:
        """Return the value `name`, None where there is none yet."""
        return self._values.get(name)

    def add(self, name: Any, make: Callable[[], T]) -> T:
        """Make the value `name` unless another thread just has."""
        with self._guard:
            value = self._values.get(name)
            if value is None:
                value = self._values[name] = make()
            return value

    def values(self) -> list[T]:
        """Return all values."""
        return list(self._values.values())

    def close(self) -> None:
        """Close all values."""
        _close_all(self._values, self._close)


def _close_all(values: dict[Any, T], close: Callable[[T], None]) -> None:
    while values:
        _, value = values.popitem()
        close(value)


class AsyncLocal(Generic[T]):
    """Values that belong to one event loop each: made once a loop, closed with it at the latest.

    A suspended async generator guards each value: asyncio and trio close the generators that a loop leaves behind while
    it can still run them, so a client that was not closed leaves no open connection when its loop ends.
    """

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._values: dict[tuple[Any, Any], T] = {}
        self._guardians: dict[tuple[Any, Any], AsyncGenerator[None, None]] = {}
        leave_to_parent_at_fork(self)
        # Once its owner is gone the generators are closed on their loops; trio would complain of them otherwise.
        weakref.finalize(self, _close_guardians, self._guardians).atexit = False

    def get(self, name: Any) -> T | None:
        """Return the value `name` of the running loop, None where there is none yet."""
        return self._values.get((current_loop(), name))

    async def add(self, name: Any, make: Callable[[], T]) -> T:
        """Make the value `name` of the running loop; no other task runs in between."""
        key = (current_loop(), name)
        value = self._values.get(key)
        if value is None:
            self._forget_closed_loops()
            value = self._values[key] = make()
            guardian = self._guardians[key] = _guard(self._values, self._guardians, key, self._close)
            await guardian.__anext__()  # does not suspend: the generator stops at its first line
        return value

    def values(self) -> list[T]:
        """Return the values of all loops."""
        return list(self._values.values())

    def leave_to_parent(self) -> None:
        """After a fork the connections are the parent's: they are neither used nor closed here."""
        _inherited.append((dict(self._values), dict(self._guardians)))
        self._values.clear()
        self._guardians.clear()

    def _forget_closed_loops(self) -> None:
        for key in list(self._values):
            if isinstance(key[0], asyncio.AbstractEventLoop) and key[0].is_closed():
                del self._values[key]
                self._guardians.pop(key, None)

    def _take(self, loop: Any) -> AsyncGenerator[None, None] | None:
        key = next((key for key in self._guardians if key[0] is loop), None)
        return None if key is None else self._guardians.pop(key)

    async def aclose(self) -> None:
        """Close the values of the running loop now, and those of other running loops on those loops."""
        while (guardian := self._take(current_loop())) is not None:
            await guardian.aclose()
        _close_guardians(self._guardians)
        self._forget_closed_loops()


_inherited: list[Any] = []
_closing: set[asyncio.Task[None]] = set()


async def _guard(
    values: dict[tuple[Any, Any], T],
    guardians: dict[tuple[Any, Any], AsyncGenerator[None, None]],
    key: tuple[Any, Any],
    close: Callable[[T], Awaitable[None]],
) -> AsyncGenerator[None, None]:
    value = values[key]
    try:
        yield
    finally:
        values.pop(key, None)
        guardians.pop(key, None)
        with anyio.CancelScope(shield=True):  # trio closes what its run leaves behind in a cancelled scope
            await close(value)


def _close_guardians(guardians: dict[tuple[Any, Any], AsyncGenerator[None, None]]) -> None:
    while guardians:
        (loop, _), guardian = guardians.popitem()
        _run_on(loop, guardian.aclose, _leave_to_trio)


def _leave_to_trio(close: Callable[[], Awaitable[None]]) -> None:
    """Do nothing: at the end of its run trio closes by itself every generator that is left."""


def _run_on(
    loop: Any,
    close: Callable[[], Awaitable[None]],
    too_late: Callable[[Callable[[], Awaitable[None]]], None] | None = None,
) -> None:
    """Have `close` run on a loop that may be another thread's, or gone; from anywhere, the garbage collector too.

    Args:
        loop: The loop.
        close: What is run.
        too_late: What is done with it in trio while its run is ending; None to run it as if the loop were gone.
    """
    try:
        if isinstance(loop, asyncio.AbstractEventLoop):
            loop.call_soon_threadsafe(_start, loop, close)
        else:
            loop.run_sync_soon(_start_in_trio, close, too_late or _close_beside_loop)
    except RuntimeError:  # the loop is closed, or trio's run is over: nothing can wait any more
        _close_without_loop(close)


def _start(loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]) -> None:
    task = loop.create_task(_quietly(close))
    _closing.add(task)  # the loop itself holds tasks weakly
    task.add_done_callback(_closing.discard)


def _start_in_trio(
    close: Callable[[], Awaitable[None]], too_late: Callable[[Callable[[], Awaitable[None]]], None]
) -> None:
    import trio

    try:
        trio.lowlevel.spawn_system_task(_quietly, close)
    except RuntimeError:  # trio's run is just ending, and takes no more tasks
        too_late(close)


async def _quietly(close: Callable[[], Awaitable[None]]) -> None:
    try:
        await close()
    except Exception as error:  # nobody waits for it, and in trio it would end the program
        logger.debug("closing what was dropped: %r", error)


def _close_beside_loop(close: Callable[[], Awaitable[None]]) -> None:
    """Run `close` up to where it would have to wait, in a thread: here it would wait as a task of trio's own."""
    thread = threading.Thread(target=_close_without_loop, args=(close,), daemon=True)
    thread.start()
    thread.join()


def _close_without_loop(close: Callable[[], Awaitable[None]]) -> None:
    """Run `close` up to where it would have to wait; flags are set and sockets are shut by then."""
    steps = _quietly(close).__await__()
    try:
        next(steps)
    except (StopIteration, RuntimeError):
        return
    with suppress(RuntimeError):  # it would still wait
        steps.close()


def async_when_dropped(owner: object, close: Callable[[], Awaitable[None]]) -> weakref.finalize[Any, Any]:
    """Have `close` run on the running loop once `owner` is gone without having been closed."""
    watch = weakref.finalize(owner, _run_on, current_loop(), close)
    watch.atexit = False
    return watch


def when_dropped(owner: object, close: Callable[[], None]) -> weakref.finalize[Any, Any]:
    """Have `close` run once `owner` is gone without having been closed.

    In a thread of its own: a garbage collection may come while this thread holds the very locks that closing needs.
    """
    watch = weakref.finalize(owner, _close_in_thread, close)
    watch.atexit = False
    return watch


def _close_in_thread(close: Callable[[], None]) -> None:
    threading.Thread(target=close, daemon=True).start()


async def async_begin(first: Callable[[], Awaitable[T]]) -> T:
    """Wait for the first item of an async generator, with the loop's watch over it and the generators inside off.

    httpcore nests its generators and closes only the outermost, so trio would warn of each stream that is left early.
    Without that watch the inner ones end when the outer one does, at once and in order; or, where the loop was closed
    around them, quietly.
    """
    return await _Unwatched(first)


def begin(first: Callable[[], T]) -> T:
    """Give the first item."""
    return first()


class _Unwatched(Generic[T]):
    """Awaits something, with hooks of ours for async generators while its first step is taken."""

    def __init__(self, begin: Callable[[], Awaitable[T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, T]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, _end_dropped)
        try:
            steps: Any = self._begin().__await__()
            step = next(steps)
        except StopIteration as stop:
            first: T = stop.value
            return first
        finally:
            sys.set_asyncgen_hooks(*hooks)
        try:
            while True:
                try:
                    sent = yield step
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # a cancellation: it belongs to whoever waits inside
                    take = partial(steps.throw, error)
                else:
                    take = partial(steps.send, sent)
                step = take()
        except StopIteration as stop:
            value: T = stop.value
            return value


def _end_dropped(generator: AsyncGenerator[Any, Any]) -> None:
    """End a generator that nobody holds any more; Python alone would print what httpcore raises without a loop."""
    _close_without_loop(generator.aclose)
