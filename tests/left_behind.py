"""What tests leave behind: no thread, as one that goes on works in the tests after it; a socket, by an older anyio."""

from __future__ import annotations

import gc
import threading
import time
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]  # its stub leaves it out
from collections.abc import Collection, Iterator
from importlib.metadata import version

import pytest

from gigachat_sdk import _redis_keeper

PATIENCE = 30.0  # seconds that a thread has to end after its test; one that ends takes far less
# An older anyio leaves the socket of a connection open whose task was cancelled while it connected.
LEAVES_SOCKETS = tuple(int(part) for part in version("anyio").split(".")[:2]) < (4, 13)
# Threads of others: trio's wait for the next work of whoever needs one, and then end by themselves; Ray's has no end.
OF_OTHERS = ("Trio thread", "data-usage-metrics-poller")


def threads() -> set[threading.Thread]:
    """Return the threads that run now, but for those of others."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith(OF_OTHERS)}


def end_limiters() -> None:
    """Let go of the slots that a test still holds, and of Redis, as at the end of a program, and end the threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_redis_keeper, "LINGER", 0.0)
        for keeper in list(_redis_keeper._keepers):
            thread = keeper._thread
            if thread is not None and thread.is_alive():  # it is not, in the child of a fork
                keeper.settings = keeper.settings._replace(lease=0.0)  # a server that is gone need not be told
                keeper.say_farewell(PATIENCE)
                thread.join(PATIENCE)
            if keeper._prober is not None and keeper._prober.is_alive():
                keeper.buckets = {}  # a slot that is dropped from now on would keep it going


def close_sockets_of_closed_loops() -> None:
    """Close what asyncio keeps open of loops that were closed around it: a collection would find it in another test."""
    for thing in gc.get_objects():
        if type(thing) is _SelectorSocketTransport and thing._sock is not None and thing._loop.is_closed():
            thing._sock.close()
            thing._sock = None
    gc.collect()


def outlive(before: Collection[threading.Thread]) -> Iterator[threading.Thread]:
    """Wait for the end of threads that were not there before; return those that do not end."""
    deadline = time.monotonic() + PATIENCE
    for thread in threads().difference(before):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            yield thread
