"""An emulator, and the three ways to do bulk work behind one face."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import gigachat_sdk._async.auth
import gigachat_sdk._sync.auth
import gigachat_sdk.bulk.ray
from gigachat_sdk import AsyncClient, Client, LocalLimiter, MemoryTokenStore, bulk
from gigachat_sdk._concurrency import async_call
from gigachat_sdk.bulk.ray import ChatMapper
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

CHAT = "/v1/chat/completions"


def asking(text: str, **more: Any) -> dict[str, Any]:
    """A request."""
    return {"messages": [{"role": "user", "content": text}], **more}


def numbered(count: int) -> list[dict[str, Any]]:
    """Some requests."""
    return [asking(str(number)) for number in range(count)]


def texts(results: list[bulk.BulkResult[Any]]) -> list[str]:
    """What was answered."""
    return [result.unwrap().choices[0].message.content.removeprefix("Вы написали: ") for result in results]


def asked(emulator: Emulator) -> list[str]:
    """What the emulator was asked, in this order."""
    return [request.json()["messages"][-1]["content"] for request in emulator.requests_to(CHAT)]


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; only LF ends one."""
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def refusing(emulator: Emulator, replies: dict[str, Reply]) -> None:
    """Answer some texts with errors, as long as they stand in `replies`."""

    def handler(request: RecordedRequest) -> Reply | None:
        return replies.get(request.json()["messages"][-1]["content"])

    emulator.on(CHAT, handler)


class Engine:
    """Threads, or tasks of an event loop."""

    def __init__(self, kind: str, emulator: Emulator) -> None:
        self.kind = kind
        self._emulator = emulator

    def run(
        self,
        requests: Any,
        *args: Any,
        settings: dict[str, Any] | None = None,
        shape: Callable[[Any], Any] = lambda client: client,
        **options: Any,
    ) -> tuple[list[bulk.BulkResult[Any]], BaseException | None]:
        """Do bulk work, with what `shape` makes of a client; return the results, and the error that ended it."""
        results: list[bulk.BulkResult[Any]] = []
        given = {"max_retries": 0, **options}

        def work() -> None:
            with self._emulator.client(**settings or {}) as client:
                shaped: Client = shape(client)
                with bulk.map(shaped, requests, *args, **given) as run:
                    results.extend(run)
                    assert list(run) == []

        async def amain() -> None:
            async with self._emulator.async_client(**settings or {}) as client:
                shaped: AsyncClient = await async_call(partial(shape, client))
                async with bulk.amap(shaped, requests, *args, **given) as run:
                    async for result in run:
                        results.append(result)  # noqa: PERF401  # those before an error count too
                    assert [result async for result in run] == []

        try:
            if self.kind == "threads":
                work()
            else:
                anyio.run(amain, backend=self.kind)
        except Exception as error:
            return results, error
        return results, None

    def results(self, requests: Any, *args: Any, **options: Any) -> list[bulk.BulkResult[Any]]:
        """Do bulk work that nothing ends before its end."""
        results, error = self.run(requests, *args, **options)
        if error is not None:
            raise error
        return results


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(params=["threads", "asyncio", "trio"])
def engine(request: pytest.FixtureRequest, emulator: Emulator) -> Engine:
    return Engine(request.param, emulator)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


# ---- mappers for Ray Data ----

Made = list[tuple[Any, ...]]


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The environment of an actor leads to an emulator."""
    monkeypatch.setenv("GIGACHAT_BASE_URL", emulator.base_url)
    monkeypatch.setenv("GIGACHAT_AUTH_URL", emulator.auth_url)
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", emulator.credentials)
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "0")
    emulator.answer(lambda request: request["messages"][-1]["content"] + "!")
    return emulator


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """What would count in Redis counts in this process; here is how it was made."""
    made: Made = []

    def limiter(*given: Any, **more: Any) -> LocalLimiter:
        made.append(("limiter", *given, more))
        return LocalLimiter(given[1])

    def store(*given: Any, **more: Any) -> MemoryTokenStore:
        made.append(("store", *given, more))
        return MemoryTokenStore()

    monkeypatch.setattr(gigachat_sdk.bulk.ray, "RedisLimiter", limiter)
    monkeypatch.setattr(gigachat_sdk.bulk.ray, "RedisTokenStore", store)
    return made


@pytest.fixture
def mapper(account: Emulator, made: Made) -> Iterator[Any]:
    """Makes mappers, and closes them."""
    mappers: list[ChatMapper] = []

    def make(**given: Any) -> ChatMapper:
        mappers.append(ChatMapper(**{"limit": 4, "redis_url": "redis://host/0", **given}))
        return mappers[-1]

    yield make
    for each in mappers:
        each.close()
