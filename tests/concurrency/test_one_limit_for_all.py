"""One limiter, many callers: the service never sees one request too many, whoever leaves and however."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from gigachat_sdk import AsyncClient, Client, LocalLimiter
from gigachat_sdk.testing import Emulator, Fault, Reply

from .conftest import ANSWER, CHAT, MESSAGES, at_once

ASK: Any = {"messages": MESSAGES}
LATE = Fault("latency", path=CHAT, seconds=0.005)
LONG = Fault("latency", path=CHAT, seconds=0.05)  # long enough for several to be in flight on a busy machine


def ask(client: Client) -> str:
    return client.chat.completions.create(**ASK).choices[0].message.content or ""


def read(client: Client) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**ASK, stream=True))


async def ask_or_read(client: AsyncClient, number: int) -> str:
    if number % 2:
        return (await client.chat.completions.create(**ASK)).choices[0].message.content or ""
    stream = await client.chat.completions.create(**ASK, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_threads_of_several_clients_share_it() -> None:
    limiter = LocalLimiter(3)
    with Emulator(concurrency=3, faults=[LONG]) as emulator:
        clients = [emulator.client(limiter=limiter, max_retries=0) for _ in range(4)]
        results = at_once(64, lambda number: (ask if number % 2 else read)(clients[number % 4]))
        assert results == [ANSWER] * 64
        assert emulator.max_in_flight == 3
        for client in clients:
            client.close()
    assert (limiter.held, limiter.waiting) == (0, 0)


@pytest.mark.anyio
async def test_tasks_and_threads_share_it() -> None:
    limiter, results = LocalLimiter(3), dict[int, str]()
    with Emulator(concurrency=3, faults=[LONG]) as emulator:
        client = emulator.client(limiter=limiter, max_retries=0)
        threaded: list[Any] = []
        thread = threading.Thread(target=lambda: threaded.extend(at_once(16, lambda number: ask(client))))
        thread.start()
        async with emulator.async_client(limiter=limiter, max_retries=0) as async_client:

            async def work(number: int) -> None:
                results[number] = await ask_or_read(async_client, number)

            async with anyio.create_task_group() as group:
                for number in range(64):
                    group.start_soon(work, number)
        await anyio.to_thread.run_sync(thread.join)
        client.close()
        assert emulator.max_in_flight == 3
    assert list(results.values()) == [ANSWER] * 64
    assert threaded == [ANSWER] * 16
    assert (limiter.held, limiter.waiting) == (0, 0)


@pytest.mark.anyio
async def test_those_who_leave_anywhere_lose_no_slot() -> None:
    """Cancelled while they wait, while they ask, and while they read; the rest is served all the same."""
    limiter, results = LocalLimiter(2), dict[int, str]()
    with Emulator(faults=[LATE]) as emulator:
        async with emulator.async_client(limiter=limiter, max_retries=0) as client:
            scopes = [anyio.CancelScope() for _ in range(60)]

            async def work(number: int) -> None:
                with scopes[number]:
                    results[number] = await ask_or_read(client, number)

            async def leave() -> None:
                for number in range(0, 60, 3):
                    await anyio.sleep(0.002)
                    scopes[number].cancel()

            async with anyio.create_task_group() as group:
                for number in range(60):
                    group.start_soon(work, number)
                group.start_soon(leave)
            assert {number for number in range(60) if number % 3} <= results.keys()
            assert set(results.values()) == {ANSWER}
            assert (limiter.held, limiter.waiting) == (0, 0)
            assert client._session.transport.http.in_flight == 0


@pytest.mark.anyio
async def test_a_middleware_that_gives_up_and_sends_again_counts_each_time() -> None:
    limiter = LocalLimiter(1)

    async def hasty(request: Any, send: Any) -> Any:
        request.headers["X-Patience"] = "none"
        with anyio.move_on_after(0.02):
            return await send(request)
        del request.headers["X-Patience"]
        return await send(request)

    with Emulator() as emulator:
        emulator.on(CHAT, lambda request: Reply(delay=60) if "x-patience" in request.headers else None)
        async with emulator.async_client(limiter=limiter, middleware=[hasty]) as client:

            async def work() -> None:
                await ask_or_read(client, 1)
                assert limiter.held <= 1

            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(work)
    assert limiter._buckets["*"].newest == 8  # slots given out: each of the four has sent twice
    assert limiter.held == 0
