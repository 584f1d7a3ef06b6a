"""A middleware that leaves before its request is answered: the slot stays taken, and comes back with the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import AsyncClient, Client, InvalidRequestError, LimiterTimeoutError, LocalLimiter
from gigachat_sdk.testing import Emulator

from .conftest import CHAT, MESSAGES

ASK: Any = {"messages": MESSAGES}
STREAM = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as running:
        yield running


class Gate:
    """Holds the first request of a client up on its way, in its slot, until it is opened."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened, self.is_first = threading.Event(), threading.Event(), True
        http = client._session.transport.http
        really_send = http.send

        def send(*args: Any, **named: Any) -> Any:
            if self.is_first and args[1].endswith("/completions"):  # tokens come this way too
                self.is_first = False
                self.reached.set()
                assert self.opened.wait(30)
            return really_send(*args, **named)

        monkeypatch.setattr(http, "send", send)


class AsyncGate:
    """The same for the tasks of an async client."""

    def __init__(self, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened, self.is_first = anyio.Event(), anyio.Event(), True
        http = client._session.transport.http
        really_send = http.send

        async def send(*args: Any, **named: Any) -> Any:
            if self.is_first and args[1].endswith("/completions"):  # tokens come this way too
                self.is_first = False
                self.reached.set()
                await self.opened.wait()
            return await really_send(*args, **named)

        monkeypatch.setattr(http, "send", send)


@STREAM
def test_a_thread_that_still_sends_keeps_the_slot_of_an_attempt_that_is_over(
    emulator: Emulator, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    limiter, late = LocalLimiter(1, timeout=0), list[Future[Any]]()

    def leave(request: Any, send: Any) -> Any:
        late.append(pool.submit(send, request))
        assert gate.reached.wait(30)
        raise TimeoutError("took too long")

    with emulator.client(limiter=limiter, middleware=[leave], max_retries=0) as client:
        gate = Gate(client, monkeypatch)
        with pytest.raises(TimeoutError, match="took too long"):
            client.chat.completions.create(**ASK, stream=stream)
        assert limiter.held == 1
        with pytest.raises(LimiterTimeoutError):
            client.chat.completions.create(**ASK)
        gate.opened.set()
        assert late[0].result(30).status_code == 200
        assert (limiter.held, client._session.transport.http.in_flight) == (0, 0)


@STREAM
@pytest.mark.anyio
async def test_a_task_that_still_sends_keeps_it_too(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    limiter = LocalLimiter(1, timeout=0)

    async def leave(request: Any, send: Any) -> Any:
        group.start_soon(send, request)
        await gate.reached.wait()
        raise TimeoutError("took too long")

    async with emulator.async_client(limiter=limiter, middleware=[leave], max_retries=0) as client:
        gate = AsyncGate(client, monkeypatch)
        async with anyio.create_task_group() as group:
            with pytest.raises(TimeoutError, match="took too long"):
                await client.chat.completions.create(**ASK, stream=stream)
            assert limiter.held == 1
            with pytest.raises(LimiterTimeoutError):
                await client.chat.completions.create(**ASK)
            gate.opened.set()
        assert (limiter.held, client._session.transport.http.in_flight) == (0, 0)


@STREAM
def test_of_two_answers_the_one_that_comes_too_late_is_let_go(
    emulator: Emulator, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    limiter, late = LocalLimiter(2, timeout=0), list[Future[Any]]()

    def hedge(request: Any, send: Any) -> Any:
        late.append(pool.submit(send, request))
        assert gate.reached.wait(30)
        return send(request)

    with emulator.client(limiter=limiter, middleware=[hedge], max_retries=0) as client:
        gate = Gate(client, monkeypatch)
        answer: Any = client.chat.completions.create(**ASK, stream=stream)
        assert not stream or list(answer)
        assert limiter.held == 1
        gate.opened.set()
        assert late[0].result(30).status_code == 200
        assert (limiter.held, client._session.transport.http.in_flight) == (0, 0)


@STREAM
@pytest.mark.anyio
async def test_of_two_answers_the_one_that_comes_to_a_task_too_late_is_let_go(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    limiter = LocalLimiter(2, timeout=0)

    async def hedge(request: Any, send: Any) -> Any:
        group.start_soon(send, request)
        await gate.reached.wait()
        return await send(request)

    async with emulator.async_client(limiter=limiter, middleware=[hedge], max_retries=0) as client:
        gate = AsyncGate(client, monkeypatch)
        async with anyio.create_task_group() as group:
            answer: Any = await client.chat.completions.create(**ASK, stream=stream)
            assert not stream or [chunk async for chunk in answer]
            assert limiter.held == 1
            gate.opened.set()
        assert (limiter.held, client._session.transport.http.in_flight) == (0, 0)


def test_nothing_is_sent_in_a_thread_once_the_attempt_is_over(
    emulator: Emulator, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, kept = LocalLimiter(1), list[Any]()

    def leave(request: Any, send: Any) -> Any:
        kept.append(pool.submit(send, request))
        assert gate.reached.wait(30)
        kept.append(pool.submit(send, request))
        while not limiter.waiting:
            threading.Event().wait(0.001)
        kept.append(lambda: send(request))
        raise TimeoutError("took too long")

    with emulator.client(limiter=limiter, middleware=[leave], max_retries=0) as client:
        gate = Gate(client, monkeypatch)
        with pytest.raises(TimeoutError, match="took too long"):
            client.chat.completions.create(**ASK)
        gate.opened.set()
        assert kept[0].result(30).status_code == 200
        for send in (lambda: kept[1].result(30), kept[2]):
            with pytest.raises(InvalidRequestError, match="called after its attempt was over; nothing was sent"):
                send()
        assert (limiter.held, len(emulator.requests_to(CHAT))) == (0, 1)


@pytest.mark.anyio
async def test_nothing_is_sent_in_a_task_once_the_attempt_is_over(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, refused = LocalLimiter(1), list[str]()

    async def send_late(send: Any, request: Any) -> None:
        with pytest.raises(InvalidRequestError, match="called after its attempt was over; nothing was sent"):
            await send(request)
        refused.append("once")

    async def leave(request: Any, send: Any) -> Any:
        kept.append((send, request))
        group.start_soon(send, request)
        await gate.reached.wait()
        group.start_soon(send_late, send, request)
        while not limiter.waiting:
            await anyio.lowlevel.checkpoint()
        raise TimeoutError("took too long")

    kept: list[Any] = []
    async with emulator.async_client(limiter=limiter, middleware=[leave], max_retries=0) as client:
        gate = AsyncGate(client, monkeypatch)
        async with anyio.create_task_group() as group:
            with pytest.raises(TimeoutError, match="took too long"):
                await client.chat.completions.create(**ASK)
            gate.opened.set()
        await send_late(*kept[0])
        assert (limiter.held, len(emulator.requests_to(CHAT)), len(refused)) == (0, 1, 2)
