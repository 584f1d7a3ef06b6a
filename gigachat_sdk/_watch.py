"""What bulk work makes of a call of its own: which limiter it takes slots of, and whether anybody wants it yet.

The user's own client is asked, with its own limiter; only a context variable reaches down to where slots are taken and
retries are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from .limits import ConcurrencyLimiter

LOOK = 0.1  # seconds between two looks whether anybody wants what waits yet

View: TypeAlias = Callable[[ConcurrencyLimiter], ConcurrencyLimiter]
Look: TypeAlias = Callable[[], None]

_watches: ContextVar[list[tuple[View, Look]] | None] = ContextVar("gigachat_sdk_watch", default=None)


@contextmanager
def watching(view: View, look: Look) -> Generator[None, None, None]:
    """Watch over the calls inside the block.

    Args:
        view: Makes the limiter that they take their slots of, of a client's.
        look: Is called before and while they wait; what it raises ends them.
    """
    watches = [(view, look)]
    token = _watches.set(watches)
    try:
        yield
    finally:
        watches.clear()  # a task of the user's that was begun inside has the variable for ever
        _watches.reset(token)


def watched(limiter: ConcurrencyLimiter | None) -> ConcurrencyLimiter | None:
    """Return the limiter to take a slot of, here, instead of a client's; without one, whoever watches has a look."""
    for view, look in _watches.get() or ():
        if limiter is not None:
            return view(limiter)
        look()
    return limiter


def pauses(seconds: float) -> Iterator[float]:
    """Yield the seconds to sleep, one after the other, where a call is to wait; whoever watches looks after each."""
    watches = _watches.get()
    if not watches:
        yield seconds
        return
    while seconds > 0:
        yield min(seconds, LOOK)
        seconds -= LOOK
        for _, look in watches:
            look()
