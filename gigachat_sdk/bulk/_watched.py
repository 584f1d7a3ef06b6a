"""The limiter of a run: one that is ending does not wait for those who wait for a slot, and they send nothing."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from ..limits import ConcurrencyLimiter, Slot


class StoppedError(Exception):
    """A request that nobody wants any more, since the run is ending, and that was not sent, or not again."""


class Waiting(Protocol):
    """What the books of a run know of those who wait.

    Attributes:
        in_line: For each item that waits for a slot, its thread or something of its own.
        is_stopping: Whether the run is ending.
    """

    in_line: set[object]
    is_stopping: bool


class Watched:
    """The limiter of a run, which gives no slot once the run is ending (internal).

    Args:
        limiter: The client's.
        books: The run's.
    """

    def __init__(self, limiter: ConcurrencyLimiter, books: Waiting) -> None:
        self._limiter = limiter
        self._books = books

    def acquire(self, model: str | None = None) -> Slot:
        """Take a slot."""
        with self._in_line(threading.get_ident()):
            slot = self._limiter.acquire(model)
        return self._checked(slot)

    async def aacquire(self, model: str | None = None) -> Slot:
        """Take a slot."""
        with self._in_line(object()):
            slot = await self._limiter.aacquire(model)
        return self._checked(slot)

    @contextmanager
    def _in_line(self, place: object) -> Generator[None, None, None]:
        """Say that somebody waits for a slot; whoever ends the run sets its flag first, and then looks who waits."""
        line = self._books.in_line
        line.add(place)
        try:
            if self._books.is_stopping:
                raise StoppedError
            yield
        except Exception:
            line.discard(place)
            if self._books.is_stopping:
                raise StoppedError from None
            raise
        finally:
            line.discard(place)

    def _checked(self, slot: Slot) -> Slot:
        if self._books.is_stopping:
            slot.release()
            raise StoppedError
        return slot
