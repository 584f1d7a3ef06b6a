"""Runs that nobody follows any more: their errors are logged, and what a closed loop has left of them is ended."""

from __future__ import annotations

import weakref
from typing import Protocol

from .._concurrency import LoopRef, asyncio_loop, is_gone
from .._logging import logger


class Closable(Protocol):
    """What is left of a run.

    Attributes:
        is_stopping: Whether the run is ending.
        is_closed: Whether it has ended.
    """

    is_stopping: bool
    is_closed: bool

    def close(self) -> None:
        """Let its journal go. Does nothing twice."""
        ...


_begun: dict[weakref.ref[Closable], LoopRef] = {}  # on which event loop


def tell_left(error: BaseException) -> None:
    """Log why a run has ended, where nobody is there to be told, or is told of something else."""
    logger.warning("a bulk run that was left has ended with an error: %s", error)


def watch_loop_of(run: Closable) -> None:
    """Have a run ended once the running event loop is closed around it."""
    loop = asyncio_loop()
    if loop is not None:
        _begun[weakref.ref(run, lambda gone: _begun.pop(gone, None))] = loop


def end_runs_of_closed_loops() -> None:
    """End what cannot end by itself: a closed loop tells nobody, and anyio keeps the tasks that it has left."""
    for reference, loop in list(_begun.items()):
        run = reference()
        if run is not None and not run.is_closed and is_gone(loop):
            run.is_stopping = True
            try:
                run.close()
            except Exception as error:
                tell_left(error)
