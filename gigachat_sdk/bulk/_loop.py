"""What the tasks of a run need of their event loop, which may be one of asyncio or of trio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

import anyio
import sniffio

from .._concurrency import current_loop


class Bell:
    """Something that happens again and again, and that tasks of one loop wait for."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake all who wait."""
        event, self._event = self._event, None
        if event is not None:
            with suppress(RuntimeError):  # the loop was closed around them
                event.set()

    async def wait(self) -> None:
        """Wait for the next ring."""
        event = self._event = self._event or anyio.Event()
        await event.wait()


def spawn(work: Callable[[], Awaitable[None]], context: Context, tasks: set[Any]) -> None:
    """Begin a task that belongs to the event loop and to no task group; it must not raise.

    Args:
        work: What it does.
        context: Its context variables.
        tasks: Where an asyncio task is kept while it runs: its loop holds it weakly.
    """
    if sniffio.current_async_library() == "trio":
        import trio

        trio.lowlevel.spawn_system_task(work, context=context)
        return
    task = context.run(asyncio.ensure_future, work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def runs_here(loop: Any) -> bool:
    """Say whether an event loop is the one that runs here and now.

    Where a run is dropped, no other one does unless its own is over: see `async_when_dropped`.
    """
    try:
        return current_loop() is loop
    except RuntimeError:  # there is none
        return False


def is_cancellation(error: BaseException) -> bool:
    """Say whether an exception is a cancellation, or a group of nothing else, as a loop raises that is ending."""
    parts: Sequence[BaseException] = getattr(error, "exceptions", ())
    return isinstance(error, anyio.get_cancelled_exc_class()) or (bool(parts) and all(map(is_cancellation, parts)))
