"""Pools of connections: places are claimed and given back, idle pools are closed, retired ones serve nobody."""

from __future__ import annotations

import ssl
import threading
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest

from gigachat_sdk import APIConnectionError, APITimeoutError
from gigachat_sdk._async.network import AsyncSockets, async_watch
from gigachat_sdk._async.pool import AsyncPool
from gigachat_sdk._deadline import Deadline, running
from gigachat_sdk.testing import Emulator

from .conftest import Connect
from .servers import Connection, RawServer

pytestmark = pytest.mark.anyio
MESSAGES: Any = [{"role": "user", "content": "hello"}]


class Closed:
    """Counts how often it was closed."""

    def __init__(self) -> None:
        self.times = 0

    async def aclose(self) -> None:
        self.times += 1


def pool(capacity: int | None) -> tuple[AsyncPool, Closed]:
    closed = Closed()
    send: Any = None
    return AsyncPool(send, closed.aclose, capacity, []), closed


async def test_there_are_as_many_places_as_it_has() -> None:
    small, _ = pool(2)
    assert [small.claim() for _ in range(3)] == [True, True, False]
    small.in_flight["request"] = None
    small.release("request")
    small.release("request")  # by two who close its answer at once
    assert small.in_flight == {}
    assert [small.claim() for _ in range(2)] == [True, False]


async def test_one_without_a_capacity_takes_all() -> None:
    given, closed = pool(None)
    assert all(given.claim() for _ in range(100))
    given.release("request")
    await given.leave()
    assert closed.times == 0  # it belongs to somebody else, and serves others


async def test_one_that_serves_others_too_is_not_closed_when_somebody_lets_go() -> None:
    shared, closed = pool(16)
    shared.claim()
    shared.abandon("request")
    await shared.leave()
    assert (closed.times, shared.claim()) == (0, True)


async def test_one_that_serves_nobody_else_is_closed_when_somebody_lets_go() -> None:
    own, closed = pool(1)
    own.claim()
    own.in_flight["request"] = None
    own.abandon("request")
    assert not own.claim()  # not before it is closed either
    await own.leave()
    assert (closed.times, own.claim(), own.is_retired) == (1, False, True)


async def test_one_with_a_request_is_not_retired() -> None:
    busy, _ = pool(2)
    busy.claim()
    assert not busy.retire()
    assert busy.claim()
    busy.in_flight = {"a": None, "b": None}
    busy.release("a")
    busy.release("b")
    assert busy.retire()
    assert not busy.claim()


async def test_closing_it_closes_the_answers_that_somebody_holds() -> None:
    held, closed = pool(2)
    answer = Closed()
    held.in_flight = {"waiting": None, "read": answer}
    await held.aclose()
    assert (answer.times, closed.times) == (1, 1)


async def test_pools_that_were_idle_for_long_are_closed(
    connect: Connect, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(emulator)
    http = client._session.transport.http
    streams = [await client.chat.completions.create(messages=MESSAGES, stream=True) for _ in range(20)]
    assert len(http._all()) == 2
    for stream in streams:
        await stream.aclose()
    for last in http._all():
        last.idle_since -= 100
    await client.models.list()
    await client.models.list()
    assert len(http._all()) == 1


async def test_a_transport_without_a_pool_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="gigachat_sdk")
    assert async_watch(SimpleNamespace(), set()) is None
    assert async_watch(SimpleNamespace(_pool=SimpleNamespace()), set()) is None
    assert async_watch(httpx.MockTransport(lambda request: httpx.Response(200)), set()) is None
    assert len(caplog.records) == 3


async def test_a_handshake_that_takes_too_long_leaves_no_connection(connect: Connect) -> None:
    has_read = threading.Event()

    def stay_silent(connection: Connection, request: bytes) -> list[bytes]:
        raise AssertionError("no request comes without a handshake")

    class Silent(RawServer):
        def serve(self, connection: Connection) -> None:
            while connection.socket.recv(65536):
                has_read.set()

    with Silent(stay_silent) as server:
        client = connect(access_token="t", base_url=f"https://127.0.0.1:{server.port}/v1", max_retries=0)
        with pytest.raises(APITimeoutError, match="could not connect"):
            await client.models.list(timeout=httpx.Timeout(30, connect=1))
        assert has_read.wait(30)
        assert client._session.transport.http.connections == 0
        assert server.wait_until_all_are_closed()
        with pytest.raises(APITimeoutError, match=r"the deadline of 0\.2 s has passed"):
            await client.models.list(deadline=0.2)
        assert server.wait_until_all_are_closed()


class Stream:
    """A connection that is only asked to close."""

    def __init__(self) -> None:
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


class Backend:
    """Opens such connections."""

    def __init__(self) -> None:
        self.stream = Stream()

    async def connect_tcp(self, *given: Any) -> Any:
        return self.stream


def sockets() -> tuple[AsyncSockets, Backend]:
    backend: Any = Backend()
    return AsyncSockets(backend, set()), backend


async def test_no_phase_of_a_connection_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    opener, _ = sockets()
    connection = await opener.connect_tcp("host", 1)
    deadline = Deadline(5)
    deadline.ends_at -= 10
    with running(deadline):
        with pytest.raises(httpcore.ConnectTimeout, match="the deadline of 5 s has passed"):
            await opener.connect_tcp("host", 1)
        with pytest.raises(httpcore.ConnectTimeout, match="the deadline of 5 s has passed"):
            await connection.start_tls(ssl.create_default_context())
        with pytest.raises(httpcore.WriteTimeout, match="the deadline of 5 s has passed"):
            await connection.write(b"x")
        with pytest.raises(httpcore.ReadTimeout, match="the deadline of 5 s has passed"):
            await connection.read(1)


async def test_a_connection_that_is_made_while_its_pool_closes_is_closed() -> None:
    opener, backend = sockets()
    opener.interrupt()
    with pytest.raises(httpcore.ConnectError, match="the client was closed"):
        await opener.connect_tcp("host", 1)
    assert backend.stream.is_closed
    assert opener.opened == set()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_client_that_is_closed_around_the_sending_ends_the_call(
    connect: Connect, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    client = connect(emulator, access_token=emulator.issue_token())
    await client.models.list()
    http = client._session.transport.http
    before = len(emulator.requests)
    answers = iter({"before": [True], "after": [False, True]}[when])
    monkeypatch.setattr(http, "_was_closed", lambda: next(answers))
    http.is_closed = False
    with pytest.raises(APIConnectionError, match="it closed its connections") as caught:
        await client.models.list(max_retries=0)
    assert caught.value.sent is (when == "after")
    assert len(emulator.requests) - before == (1 if when == "after" else 0)
    assert (http.in_flight, http.connections) == (0, 0)
