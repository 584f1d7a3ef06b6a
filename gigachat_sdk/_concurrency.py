"""The only place where sync and async differ by hand: locks, sleeping, threads, what belongs to an event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from socket import SHUT_RD, SHUT_RDWR
from socket import socket as base
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
import sniffio

from ._deadline import DeadlineError, shortened
from ._logging import logger

T = TypeVar("T")


async def async_sleep(seconds: float) -> None:
    """Let other tasks run for `seconds`."""
    await anyio.sleep(seconds)


def sleep(seconds: float) -> None:
    """Block this thread for `seconds`."""
    time.sleep(seconds)


async def async_in_thread(function: Callable[[], T]) -> T:
    """Run what blocks (building a TLS context) off the event loop."""
    return await anyio.to_thread.run_sync(function)


def in_thread(function: Callable[[], T]) -> T:
    """Run it right here: a thread may block."""
    return function()


async def async_read_in_thread(function: Callable[[], T]) -> T:
    """Run a read that may never end (a pipe, a dead mount) off the event loop; given up, its thread goes on alone.

    In a thread of its own: those of anyio would keep the program from ending, and there are only so many of them.

    Raises:
        DeadlineError: The deadline of the call came first.
    """
    seconds = shortened(None)
    loop, is_over = current_loop(), anyio.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def read() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            run_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
            run_soon(is_over.set)

    threading.Thread(target=copy_context().run, args=(read,), daemon=True).start()
    with anyio.move_on_after(seconds):
        await is_over.wait()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # a traceback with this frame in it would be a ring
    if not results:
        raise DeadlineError
    return results[0]


def read_in_thread(function: Callable[[], T]) -> T:
    """Run it right here, if there is time left; nothing can end a read that blocks."""
    shortened(None)
    return function()


async def async_within(seconds: float, function: Callable[[], Awaitable[T]]) -> T:
    """Wait for a function of the user's, which may know nothing of deadlines.

    Raises:
        DeadlineError: It took longer than `seconds`.
    """
    with anyio.move_on_after(seconds):
        return await function()
    raise DeadlineError


def within(seconds: float, function: Callable[[], T]) -> T:
    """Call a function: a thread cannot be woken."""
    return function()


async def async_call(function: Callable[[], Awaitable[T] | T]) -> T:
    """Call a function of the user's, which may be a coroutine function."""
    result: Any = function()
    value: T = await result if inspect.isawaitable(result) else result
    return value


def call(function: Callable[[], T]) -> T:
    """Call a function of the user's."""
    return function()


def current_loop() -> Any:
    """Return what stands for the running event loop: an asyncio loop, or trio's token."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()


async def async_begin(first: Callable[[], Awaitable[T]]) -> T:
    """Wait for the first item of an async generator, with the loop's watch over it and the generators inside off.

    httpcore nests its generators and closes only the outermost, so trio would warn of each stream that is left early.
    Without the hooks the inner ones end when the outer one does, at once and in order.
    """
    return await _Unwatched(first)


def begin(first: Callable[[], T]) -> T:
    """Give the first item."""
    return first()


class _Unwatched(Generic[T]):
    """Awaits something, with the hooks for async generators off while its first step is taken."""

    def __init__(self, begin: Callable[[], Awaitable[T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, T]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        steps: Any = self._begin().__await__()
        take: Callable[[], Any] = partial(next, steps)
        try:
            while True:
                try:
                    step = take()
                finally:
                    sys.set_asyncgen_hooks(*hooks)
                try:
                    sent = yield step
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # a cancellation: it belongs to whoever waits inside
                    take = partial(steps.throw, error)
                else:
                    take = partial(steps.send, sent)
        except StopIteration as stop:
            value: T = stop.value
            return value


class Lock:
    """A lock between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        if not wait:
            return self._lock.acquire(blocking=False)
        seconds = shortened(None)
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            raise DeadlineError
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


class AsyncLock:
    """A lock between tasks, one for each event loop.

    Loops do not wait for each other, nor for threads: a thread that waited for a task of its own loop would never
    wake. So sync and async clients at the same moment may both do the guarded work, once each.
    """

    def __init__(self) -> None:
        self._locks: weakref.WeakKeyDictionary[Any, anyio.Lock] = weakref.WeakKeyDictionary()

    def _lock(self) -> anyio.Lock:
        loop = current_loop()
        lock = self._locks.get(loop)
        if lock is None:
            lock = self._locks[loop] = anyio.Lock()
        return lock

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        lock = self._lock()
        if wait:
            with anyio.move_on_after(shortened(None)):
                await lock.acquire()
                return True
            raise DeadlineError
        try:
            lock.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock().release()


class _HasConnections(Protocol):
    def leave_to_parent(self) -> None: ...


_with_connections: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    """Keep a child from closing, be it at its end, what its parent is using."""
    local: _HasConnections
    for local in list(_with_connections):
        local.leave_to_parent()


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)


class Local(Generic[T]):
    """Values that are made once and closed together, by name."""

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._values: dict[Any, T] = {}
        self._guard = threading.Lock()
        _with_connections.add(self)
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
        _with_connections.add(self)
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
        _run_on(loop, guardian.aclose)


def _run_on(loop: Any, close: Callable[[], Awaitable[None]]) -> None:
    """Have `close` run on a loop that may be another thread's, or gone; from anywhere, the garbage collector too."""
    try:
        if isinstance(loop, asyncio.AbstractEventLoop):
            loop.call_soon_threadsafe(_start, loop, close)
        else:
            loop.run_sync_soon(_start_in_trio, close)
    except RuntimeError:  # the loop is closed, or trio's run is over: nothing can wait any more
        _close_without_loop(close)


def _start(loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]) -> None:
    task = loop.create_task(_quietly(close))
    _closing.add(task)  # the loop itself holds tasks weakly
    task.add_done_callback(_closing.discard)


def _start_in_trio(close: Callable[[], Awaitable[None]]) -> None:
    import trio

    try:
        trio.lowlevel.spawn_system_task(_quietly, close)
    except RuntimeError:  # trio's run is just ending, and takes no more tasks
        _close_without_loop(close)


async def _quietly(close: Callable[[], Awaitable[None]]) -> None:
    try:
        await close()
    except Exception as error:  # nobody waits for it, and in trio it would end the program
        logger.debug("closing what was dropped: %r", error)


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


def async_interrupt(socket: Any) -> None:
    """Do nothing: closing a connection wakes the task that reads from it."""


def interrupt(socket: Any) -> None:
    """Wake the thread that reads from a socket; closing it alone would leave the read waiting."""
    if socket is not None:
        _shut(socket, SHUT_RDWR)


def _shut(socket: Any, how: int) -> None:
    with suppress(OSError):  # it may not be connected any more
        # The base class's method: the one of a TLS socket would pull its state away under the reader.
        base.shutdown(socket, how)


async def async_finish_soon(read_to_end: Callable[[], Awaitable[None]], seconds: float, socket: Any) -> None:
    """Read the rest of a body, and give up after `seconds`."""
    with anyio.move_on_after(seconds):
        await read_to_end()


def finish_soon(read_to_end: Callable[[], None], seconds: float, socket: Any) -> None:
    """Read the rest of a body; after `seconds` the reading side of the socket is shut, which ends the read.

    httpx fixes the read timeout when a body begins, so a blocking read can only be ended from outside.
    """
    guard = threading.Lock()
    is_over = False

    def give_up() -> None:
        with guard:
            if not is_over and socket is not None:
                _shut(socket, SHUT_RD)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        read_to_end()
    finally:
        with guard:  # from here on the connection may serve somebody else
            is_over = True
        timer.cancel()
