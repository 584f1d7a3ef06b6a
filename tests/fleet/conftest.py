"""Stores of a fleet of workers, on a Redis of the tests' own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from redis_server import RedisServer

import gigachat_sdk._redis_lock as lock_module
from gigachat_sdk import RedisTokenStore
from gigachat_sdk._redis_lock import Keeper

NOW = 1_800_000_000.0
numbers = count()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Stores:
    """Makes the stores of workers: each has one of its own, as each process has."""

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self.namespace = f"store-{next(numbers)}"

    def worker(self, **options: Any) -> RedisTokenStore:
        return RedisTokenStore(self.server.url, **{"namespace": self.namespace, "clock": self.clock, **options})

    def keys(self) -> list[str]:
        return sorted(self.server.client.scan_iter(f"{{{self.namespace}}}*"))

    def key(self, kind: str) -> str:
        (found,) = [key for key in self.keys() if f":{kind}:" in key]
        return found


@pytest.fixture(autouse=True)
def _no_locks_left() -> Iterator[None]:
    """Give back what a test has left locked, as the end of a process does."""
    yield
    lock_module._finish_all(30)
    assert not Keeper.running


@pytest.fixture
def fleet(redis_server: RedisServer, clock: Clock) -> Stores:
    return Stores(redis_server, clock)


@pytest.fixture
def away(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """A fleet whose Redis has not been started yet; it is looked for at once, however long a refused attempt takes."""
    monkeypatch.setattr(lock_module, "_LONG", 60.0)
    with RedisServer() as server:
        server.stop()
        yield Stores(server, clock)


def until(is_so: Callable[[], Any]) -> None:
    gives_up = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < gives_up, "it did not come to pass"
        time.sleep(0.002)
