"""What bulk work makes of the limiter while it asks something: set around a call, read by whoever takes a slot for it.

The user's own client is asked, with its own limiter; only a context variable reaches down to where slots are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from .limits import ConcurrencyLimiter

View: TypeAlias = Callable[[ConcurrencyLimiter], ConcurrencyLimiter]

_views: ContextVar[list[View] | None] = ContextVar("gigachat_sdk_watch", default=None)


@contextmanager
def watching(view: View) -> Generator[None, None, None]:
    """Have the calls inside the block take their slots of what `view` makes of a limiter."""
    views = [view]
    token = _views.set(views)
    try:
        yield
    finally:
        views.clear()  # a task of the user's that was begun inside has the variable for ever
        _views.reset(token)


def watched(limiter: ConcurrencyLimiter | None) -> ConcurrencyLimiter | None:
    """Return the limiter to take a slot of, here, instead of a client's."""
    view = next(iter(_views.get() or ()), None)
    return limiter if limiter is None or view is None else view(limiter)
