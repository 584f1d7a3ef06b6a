"""What these tests share: an emulator, a store for each test, many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from gigachat_sdk.testing import Emulator

T = TypeVar("T")

CHAT = "/v1/chat/completions"
OAUTH = "/api/v2/oauth"
MESSAGES = [{"role": "user", "content": "Привет!"}]
ANSWER = "Вы написали: Привет!"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(oauth_delay=0.05) as running:
        yield running


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once."""

    async def async_sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr("gigachat_sdk._async.transport.async_sleep", async_sleep)
    monkeypatch.setattr("gigachat_sdk._sync.transport.sleep", lambda seconds: None)


def at_once(count: int, work: Callable[[int], T], seconds: float = 30.0) -> list[T | BaseException]:
    """Run `work(0)`, `work(1)`, ... in threads that start together; return what they return or raise."""
    barrier = threading.Barrier(count)
    results: list[T | BaseException] = [AssertionError("the thread did not end")] * count

    def run(number: int) -> None:
        try:
            barrier.wait()
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return results
