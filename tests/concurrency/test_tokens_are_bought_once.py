"""However many need a token at the same moment, it costs one call."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from gigachat_sdk import AsyncClient, Client, InternalServerError
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, OAUTH, at_once

AsyncWork = Callable[[int], Awaitable[Any]]
Runner = Callable[[int, AsyncWork], "list[Any]"]


def in_asyncio_tasks(count: int, work: AsyncWork, *after: Callable[[], Awaitable[None]]) -> list[Any]:
    async def main() -> list[Any]:
        results = await asyncio.gather(*(work(number) for number in range(count)), return_exceptions=True)
        for step in after:
            await step()
        return results

    return asyncio.run(main())


def in_trio_tasks(count: int, work: AsyncWork, *after: Callable[[], Awaitable[None]]) -> list[Any]:
    results: list[Any] = [None] * count

    async def run(number: int) -> None:
        try:
            results[number] = await work(number)
        except Exception as error:
            results[number] = error

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(run, number)
        for step in after:
            await step()

    trio.run(main)
    return results


both_loops = pytest.mark.parametrize("run", [in_asyncio_tasks, in_trio_tasks])


def all_fine(results: list[Any]) -> bool:
    problems = [result for result in results if isinstance(result, BaseException)]
    if problems:
        raise problems[0]
    return bool(results)


def test_64_threads_with_one_client(emulator: Emulator) -> None:
    with emulator.client() as client:
        assert all_fine(at_once(64, lambda number: client.models.list()))
    assert emulator.oauth_requests == 1
    assert len(emulator.requests_to("/v1/models")) == 64


def test_64_threads_with_64_clients(emulator: Emulator) -> None:
    clients = [emulator.client() for _ in range(64)]
    assert all_fine(at_once(64, lambda number: clients[number].models.list()))
    for client in clients:
        client.close()
    assert emulator.oauth_requests == 1


@both_loops
def test_128_tasks_with_one_client(emulator: Emulator, run: Any) -> None:
    client = emulator.async_client()
    assert all_fine(run(128, lambda number: client.models.list(), client.aclose))
    assert emulator.oauth_requests == 1
    assert len(emulator.requests_to("/v1/models")) == 128


@both_loops
def test_tasks_with_a_client_each(emulator: Emulator, run: Any) -> None:
    clients = [emulator.async_client() for _ in range(32)]
    closing = [client.aclose for client in clients]
    assert all_fine(run(32, lambda number: clients[number].models.list(), *closing))
    assert emulator.oauth_requests == 1


@both_loops
def test_sync_and_async_at_the_same_moment_cost_two_at_most(emulator: Emulator, run: Any) -> None:
    client, async_client = emulator.client(), emulator.async_client()

    def work(number: int) -> None:
        if number:
            client.models.list()
        else:
            all_fine(run(16, lambda task: async_client.models.list(), async_client.aclose))

    assert not [result for result in at_once(16, work) if result is not None]
    client.close()
    assert emulator.oauth_requests <= 2


class Refuser:
    """Refuses the token that was valid before, each answer 30 ms later than the one before."""

    def __init__(self, emulator: Emulator) -> None:
        self.old = emulator.requests_to(CHAT)[-1].headers["authorization"]
        self.answers: Counter[int] = Counter()

    def __call__(self, request: RecordedRequest) -> Reply | None:
        if request.headers["authorization"] == self.old:
            self.answers[401] += 1
            return Reply.error(401, "Token has expired", delay=0.03 * self.answers[401])
        self.answers[200] += 1
        return None


class Together:
    """Lets the first eight attempts go when all of them have come, each with the token that is going to be refused."""

    def __init__(self) -> None:
        self._come = itertools.count(1)
        self._all_are_here = threading.Event()

    def in_thread(self, request: Any, send: Callable[[Any], Any]) -> Any:
        if next(self._come) == 8:
            self._all_are_here.set()
        assert self._all_are_here.wait(30)
        return send(request)

    async def in_task(self, request: Any, send: Callable[[Any], Any]) -> Any:
        if next(self._come) == 8:
            self._all_are_here.set()
        assert await anyio.to_thread.run_sync(self._all_are_here.wait, 30)
        return await send(request)


MESSAGES: Any = [{"role": "user", "content": "x"}]


def test_a_token_that_eight_threads_find_refused_is_renewed_once(emulator: Emulator) -> None:
    with emulator.client() as other:
        other.chat.completions.create(messages=MESSAGES)
    refuser = Refuser(emulator)
    emulator.on(CHAT, refuser)
    with emulator.client(middleware=[Together().in_thread]) as client:
        assert all_fine(at_once(8, lambda number: client.chat.completions.create(messages=MESSAGES)))
    assert refuser.answers == {401: 8, 200: 8}
    assert emulator.oauth_requests == 2


@both_loops
def test_a_token_that_eight_tasks_find_refused_is_renewed_once(emulator: Emulator, run: Any) -> None:
    with emulator.client() as other:
        other.chat.completions.create(messages=MESSAGES)
    refuser = Refuser(emulator)
    emulator.on(CHAT, refuser)
    client = emulator.async_client(middleware=[Together().in_task])
    assert all_fine(run(8, lambda number: client.chat.completions.create(messages=MESSAGES), client.aclose))
    assert refuser.answers == {401: 8, 200: 8}
    assert emulator.oauth_requests == 2


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("waiters", "clients"), [(64, 1), (16, 16)])
def test_a_failing_endpoint_is_asked_for_all_threads_together(emulator: Emulator, waiters: int, clients: int) -> None:
    emulator.on(OAUTH, lambda request: Reply.error(500, "x", delay=0.1))
    made = [emulator.client() for _ in range(clients)]

    def work(number: int) -> None:
        with pytest.raises(InternalServerError):
            made[number % clients].models.list()

    assert set(at_once(waiters, work)) == {None}
    for client in made:
        client.close()
    assert emulator.requests_to("/v1/models") == []
    assert emulator.oauth_requests <= 6  # an attempt with its two retries, and somebody who came late


@both_loops
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("waiters", "clients"), [(64, 1), (16, 16)])
def test_a_failing_endpoint_is_asked_for_all_tasks_together(
    emulator: Emulator, run: Any, waiters: int, clients: int
) -> None:
    emulator.on(OAUTH, lambda request: Reply.error(500, "x", delay=0.1))
    made = [emulator.async_client() for _ in range(clients)]
    results = run(waiters, lambda number: made[number % clients].models.list(), *[client.aclose for client in made])
    assert {type(result) for result in results} == {InternalServerError}
    assert (
        len({id(result) for result in results}) == waiters
    )  # an error of one's own: tracebacks do not grow into one another
    assert emulator.oauth_requests <= 6


def test_sync_clients_take_the_token_that_an_async_one_has_bought(emulator: Emulator) -> None:
    async def first(client: AsyncClient) -> None:
        async with client:
            await client.models.list()

    asyncio.run(first(emulator.async_client()))
    trio.run(first, emulator.async_client())
    with emulator.client() as client:
        assert isinstance(client, Client)
        client.models.list()
    assert emulator.oauth_requests == 1
