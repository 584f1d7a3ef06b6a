"""A port that refuses connections, and is the emulator's all the same."""

import asyncio
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Fault
from gigachat_sdk.testing._port import Port

from .conftest import open_client
from .test_limits_are_kept import wait_until
from .test_the_server_starts_and_stops import address

CHAT = "/v1/chat/completions"
STREAM = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}], "stream": True}
DAY = 86400.0


def knock(emulator: Emulator) -> str | None:
    """Try to connect, and give the name of the error."""
    with socket.socket() as sock:
        code = sock.connect_ex(address(emulator))
    return errno.errorcode[code] if code else None


@pytest.mark.parametrize("https", [False, True])
def test_it_refuses_from_the_start_until_faults_are_cleared(https: bool) -> None:
    with Emulator(https=https, faults=[Fault("refuse")]) as emulator, open_client(emulator) as http:
        assert [knock(emulator) for _ in range(3)] == ["ECONNREFUSED"] * 3
        with pytest.raises(httpx.ConnectError):
            http.get("/models")
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address(emulator))
        emulator.clear_faults()
        assert http.get("/models").status_code == 200
        assert [(record.kind, record.request) for record in emulator.faults_done] == [("refuse", None)]
    assert len(emulator.requests) == 1


def test_it_opens_by_itself() -> None:
    with Emulator(faults=[Fault("refuse", seconds=2.0, times=2)]) as emulator:
        assert knock(emulator) == "ECONNREFUSED"
        wait_until(lambda: knock(emulator) is None)
        assert len(emulator.faults_done) == 2, "one after the other"


def test_a_rule_counts_connections() -> None:
    with Emulator(faults=[Fault("refuse", nth=3, seconds=DAY)]) as emulator:
        assert [knock(emulator), knock(emulator)] == [None, None]
        wait_until(lambda: knock(emulator) == "ECONNREFUSED")


@pytest.mark.parametrize(
    ("http2", "errors"), [(False, [httpx.ConnectError] * 2), (True, [httpx.RemoteProtocolError, httpx.ConnectError])]
)
def test_an_injected_refusal_meets_the_next_request(http2: bool, errors: list[type[Exception]]) -> None:
    """A connection that is kept open would not notice; over HTTP/2 httpx looks when it has sent."""
    with Emulator(https=True) as emulator, open_client(emulator, http2=http2) as http:
        assert http.get("/models").status_code == 200
        emulator.inject(Fault("refuse"))
        for error in errors:
            with pytest.raises(error):
                http.get("/models")
        emulator.inject(Fault("status"))
        assert knock(emulator) == "ECONNREFUSED", "nothing but clear_faults or the time opens it"
        emulator.clear_faults()
        assert http.get("/models").status_code == 200


def test_a_connection_that_has_asked_nothing_ends() -> None:
    with Emulator() as emulator, socket.create_connection(address(emulator), timeout=30) as sock:
        server: Any = emulator._server
        wait_until(lambda: bool(server._connections))
        emulator.inject(Fault("refuse"))
        assert sock.recv(1) == b""


def test_a_request_on_its_way_goes_on() -> None:
    with Emulator() as emulator, open_client(emulator) as http:
        emulator.inject(Fault("stalled", after_bytes=1, path=CHAT))
        with http.stream("POST", "/chat/completions", json=STREAM) as response:
            body = response.iter_raw()
            next(body)
            emulator.inject(Fault("refuse"))
            assert (knock(emulator), emulator.in_flight) == ("ECONNREFUSED", 1)


def test_it_can_be_stopped_while_it_refuses(kept_port: int) -> None:
    emulator = Emulator(port=kept_port, faults=[Fault("refuse")])
    with emulator:
        assert knock(emulator) == "ECONNREFUSED"
    with socket.create_server(address(emulator)):
        pass
    with emulator:
        assert knock(emulator) is None


def test_clearing_after_the_end_does_nothing() -> None:
    with Emulator() as emulator:
        server: Any = emulator._server
    server.follow(cleared=True)
    server.stop()


# ---- those who wait at the port when it closes ----


@pytest.fixture
def connected() -> list[asyncio.StreamWriter]:
    return []


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def some_time(condition: Any) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def test_who_waits_at_the_port_is_let_in(
    loop: asyncio.AbstractEventLoop, connected: list[asyncio.StreamWriter]
) -> None:
    async def scene() -> None:
        port = Port(0, lambda reader, writer: connected.append(writer), None)
        await port.refuse()
        await port.refuse()
        await port.open()
        await port.open()
        with socket.create_connection(("127.0.0.1", port.number)):  # the loop has not seen it
            await port.refuse()
            with socket.socket() as late:
                late.setblocking(True)
                assert late.connect_ex(("127.0.0.1", port.number)) == errno.ECONNREFUSED
            await some_time(lambda: connected)
            connected[0].close()
            await connected[0].wait_closed()
        await port.refuse()
        await port.open()
        with socket.create_connection(("127.0.0.1", port.number)):
            await some_time(lambda: len(connected) == 2)
            connected[1].close()
            await connected[1].wait_closed()
        await port.turn_away()
        port.close()

    loop.run_until_complete(scene())


def test_who_is_let_in_and_speaks_no_tls_is_let_go(
    loop: asyncio.AbstractEventLoop, connected: list[asyncio.StreamWriter]
) -> None:
    async def scene() -> None:
        port = Port(0, lambda reader, writer: connected.append(writer), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        await port.open()
        with socket.create_connection(("127.0.0.1", port.number)) as stranger:
            stranger.sendall(b"no TLS\r\n\r\n")
            await port.refuse()
            stranger.setblocking(False)
            await asyncio.wait_for(loop.sock_recv(stranger, 1), 5)
        port.close()

    loop.run_until_complete(scene())
    assert connected == []


def test_who_is_let_in_when_everything_ends_is_let_go(
    loop: asyncio.AbstractEventLoop, connected: list[asyncio.StreamWriter]
) -> None:
    async def scene() -> None:
        port = Port(0, lambda reader, writer: connected.append(writer), None)
        await port.open()
        with socket.create_connection(("127.0.0.1", port.number)) as caller:
            await port.refuse()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            caller.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(caller, 1), 5) == b""
        port.close()

    loop.run_until_complete(scene())
    assert connected == []


# ---- a port that is lost ----


@pytest.fixture
def broken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: Port) -> None:
        raise OSError("the port is somebody else's")

    monkeypatch.setattr(Port, "refuse", refuse)


@pytest.mark.usefixtures("broken_port")
def test_who_closes_the_port_is_told_that_it_is_lost() -> None:
    with Emulator() as emulator:
        with pytest.raises(OSError, match="somebody else's"):
            emulator.inject(Fault("refuse"))
        assert knock(emulator) == "ECONNREFUSED"
        emulator.clear_faults()


@pytest.mark.usefixtures("broken_port")
def test_the_log_is_told_when_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    with Emulator(faults=[Fault("refuse", nth=2, seconds=DAY)]) as emulator:
        assert knock(emulator) is None
        wait_until(lambda: "lost its port" in caplog.text)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_many_may_change_faults_at_the_same_time() -> None:
    with Emulator() as emulator:
        threads = [threading.Thread(target=emulator.inject, args=(Fault("refuse", seconds=0.0),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(emulator.faults_done) == 8)
        wait_until(lambda: knock(emulator) is None)
