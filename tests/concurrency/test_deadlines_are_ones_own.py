"""A deadline ends the call it was given to, and no other: nobody fails because somebody else had no time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from gigachat_sdk import APITimeoutError, AsyncClient, Client
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import ANSWER, CHAT, MESSAGES, OAUTH, at_once

DEADLINES = {0: 5.0, 1: 0.2}  # who buys the token is at it until long after the time of who waits is up


class FirstTokenNeverComes:
    """Holds the first token request back, and tells when it has come."""

    def __init__(self, emulator: Emulator) -> None:
        self.has_come = threading.Event()
        emulator.on(OAUTH, self)

    def __call__(self, request: RecordedRequest) -> Reply | None:
        if self.has_come.is_set():
            return None
        self.has_come.set()
        return Reply(delay=60)


def test_threads_that_wait_for_a_token_end_each_in_its_own_time(emulator: Emulator) -> None:
    first = FirstTokenNeverComes(emulator)
    with emulator.client() as client:

        def work(number: int) -> Any:
            if number:
                assert first.has_come.wait(10)
            deadline = DEADLINES.get(number)
            return client.chat.completions.create(messages=MESSAGES, deadline=deadline).choices[0].message.content

        buyer, waiter, *patient = at_once(6, work)
    assert isinstance(buyer, APITimeoutError)
    assert str(buyer) == "the deadline of 5 s has passed"
    assert isinstance(waiter, APITimeoutError)
    assert str(waiter) == "the deadline of 0.2 s has passed while a token was being got"
    assert waiter.__context__ is None
    assert patient == [ANSWER] * 4
    assert emulator.oauth_requests == 2


def run_in_asyncio(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    async def main() -> list[Any]:
        return await asyncio.gather(*(work(number) for number in range(count)), return_exceptions=True)

    return asyncio.run(main())


def run_in_trio(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    results: list[Any] = [None] * count

    async def keep(number: int) -> None:
        try:
            results[number] = await work(number)
        except Exception as error:
            results[number] = error

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(keep, number)

    trio.run(main)
    return results


@pytest.mark.parametrize("run", [run_in_asyncio, run_in_trio])
def test_tasks_that_wait_for_a_token_end_each_in_its_own_time(emulator: Emulator, run: Any) -> None:
    first = FirstTokenNeverComes(emulator)
    clients: list[AsyncClient] = []

    async def work(number: int) -> Any:
        if not clients:
            clients.append(emulator.async_client())
        if number:  # the first one buys the token
            await anyio.to_thread.run_sync(first.has_come.wait, 10)
        deadline = DEADLINES.get(number)
        answer = await clients[0].chat.completions.create(messages=MESSAGES, deadline=deadline)
        return answer.choices[0].message.content

    buyer, waiter, *patient = run(6, work)
    assert isinstance(buyer, APITimeoutError)
    assert isinstance(waiter, APITimeoutError)
    assert "while a token was being got" in str(waiter)
    assert patient == [ANSWER] * 4
    assert emulator.oauth_requests == 2


@pytest.mark.parametrize("options", [{}, {"http2": True}])
def test_closing_wakes_a_thread_that_waits_for_its_answer(options: Any) -> None:
    with Emulator(https="http2" in options) as emulator:
        has_come = threading.Event()

        def late(request: RecordedRequest) -> Reply:
            has_come.set()
            return Reply(delay=60)

        emulator.on(CHAT, late)
        client = emulator.client(**options)

        def work(number: int) -> Any:
            if number == 0:
                return client.chat.completions.create(messages=MESSAGES)
            assert has_come.wait(10)
            client.close()
            return None

        error, closed = at_once(2, work)
        assert closed is None
        assert str(error).startswith("the client was closed during the call: ")
        assert len(emulator.requests_to(CHAT)) == 1


def test_a_deadline_of_one_thread_does_not_shorten_anothers_wait(emulator: Emulator) -> None:
    replies = [Reply(delay=0.5, json={"choices": []}), Reply(delay=60)]
    with emulator.client() as client:
        client.models.list()
        emulator.on(CHAT, lambda request: replies["deadline" in request.headers.get("x-session-id", "")])

        def work(number: int) -> Any:
            if number:
                return client.chat.completions.create(messages=MESSAGES, deadline=0.2, session_id="deadline")
            return client.chat.completions.create(messages=MESSAGES).choices

        patient, hasty = at_once(2, work)
    assert patient == []
    assert isinstance(hasty, APITimeoutError)


def test_a_closed_copy_leaves_its_parents_connections(emulator: Emulator) -> None:
    client = Client(access_token=emulator.issue_token(), base_url=emulator.base_url)
    copy = client.with_options(timeout=5)
    stream = client.chat.completions.create(messages=MESSAGES, stream=True)
    copy.close()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER
    client.close()
