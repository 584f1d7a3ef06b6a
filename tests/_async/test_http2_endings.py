"""HTTP/2: connections that the service ends or breaks, and requests that break the rules; over either protocol."""

from __future__ import annotations

import io
import select
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h2.connection
import httpx
import pytest
import trustme

from gigachat_sdk import APIConnectionError, AsyncClient, GigaChatError
from gigachat_sdk._failures import is_of_the_network

from .conftest import Connect
from .http2_server import STREAM_HEAD, HTTP2Server, Request, Script, goaway, ping
from .servers import Connection, RawServer, ThreadedServer

pytestmark = pytest.mark.anyio
MESSAGES: Any = [{"role": "user", "content": "hello"}]
EVENT = b'data: {"choices":[{"delta":{"content":"a"},"index":0}]}\n\n'
DONE = b"data: [DONE]\n\n"
NOTHING: dict[str, Any] = {}
STORED: dict[str, Any] = {"storage": {"is_stateful": True}}  # such a call creates something
KINDS = pytest.mark.parametrize("options", [NOTHING, STORED], ids=["repeatable", "creating"])
FAREWELL = r"the service is ending it, as it does when it restarts \(GOAWAY of HTTP/2\)"
RULES = "breaks the rules of HTTP"


@pytest.fixture
def secure(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server and its client need for TLS."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return context, tmp_path / "ca.pem"


def to(server: Any, connect: Connect, **options: Any) -> AsyncClient:
    return connect(access_token="t", base_url=server.url + "/v1", http2=True, **options)


async def text_of(client: AsyncClient, **options: Any) -> tuple[str, int]:
    """Return what a stream brings, and how often it was asked for again."""
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True, **options)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream]), stream.response.retries_taken


# ---- connections that the service ends while nobody uses them ----


def and_hang_up(request: Request) -> Iterator[bytes]:
    yield request.answer(EVENT + DONE)
    request.hang_up()


def and_say_goodbye(request: Request) -> Iterator[bytes]:
    yield request.answer(EVENT + DONE)
    yield goaway(request.stream_id)
    request.hang_up()


@KINDS
@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize("script", [and_hang_up, and_say_goodbye])
async def test_a_connection_that_was_ended_while_idle_is_not_used_again(
    connect: Connect,
    secure: tuple[ssl.SSLContext, Path],
    delays: list[float],
    script: Script,
    is_secure: bool,
    options: dict[str, Any],
) -> None:
    with HTTP2Server(script, secure[0] if is_secure else None) as server:
        client = to(server, connect, **({"ca_bundle_file": secure[1]} if is_secure else {}))
        for number in range(1, 4):
            assert await text_of(client, **options) == ("a", 0)
            assert server.wait_until_all_are_closed()
            assert (server.connections, len(server.bodies)) == (number, number)
        http = client._session.transport.http
        assert (http.in_flight, len(http._all())) == (0, 1)
        assert http.connections <= 1  # a farewell that came together with the answer has closed it
    assert delays == []


class Told:
    """Answers, and says something when it is told to; a test waits until it was said."""

    def __init__(self, *words: Callable[[Request], bytes]) -> None:
        self.words = words
        self.speak = threading.Event()

    def __call__(self, request: Request) -> Iterator[bytes]:
        yield request.answer(EVENT + DONE)
        if request.number == 1:
            assert self.speak.wait(30)
            for word in self.words:
                yield word(request)


def wait_for_input(client: AsyncClient) -> None:
    """Wait until there is something to read on the only connection, without reading it."""
    (connection,) = client._session.transport.http._opened
    assert select.select([connection.get_extra_info("socket").fileno()], [], [], 5)[0]


@KINDS
@pytest.mark.parametrize(
    "word",
    [
        lambda request: goaway(request.stream_id),
        lambda request: goaway(2**31 - 1),  # the first of two: what is asked now would be answered, and not understood
        lambda request: ping(),  # not told from the former under TLS
    ],
)
async def test_an_idle_connection_on_which_something_was_said_is_not_used_again(
    connect: Connect, delays: list[float], word: Callable[[Request], bytes], options: dict[str, Any]
) -> None:
    script = Told(word)
    with HTTP2Server(script) as server:
        client = to(server, connect)
        assert await text_of(client, **options) == ("a", 0)
        script.speak.set()
        wait_for_input(client)
        assert await text_of(client, **options) == ("a", 0)
        assert await text_of(client, **options) == ("a", 0)
        assert (server.connections, delays) == (2, [])
        assert client._session.transport.http.connections == 1


async def test_the_end_of_a_stream_that_comes_after_its_last_event_keeps_no_connection_from_serving(
    connect: Connect,
) -> None:
    def end_later(request: Request) -> Iterator[bytes]:
        yield request.head(*STREAM_HEAD) + request.data(EVENT + DONE, is_all=False)
        yield request.data(b"")

    with HTTP2Server(end_later) as server:
        client = to(server, connect)
        for _ in range(5):
            assert await text_of(client) == ("a", 0)
        assert server.connections == 1


async def test_a_stream_that_does_not_end_after_its_last_event_is_given_up_with_its_connection(
    connect: Connect,
) -> None:
    def never_end(request: Request) -> Iterator[bytes]:
        yield request.head(*STREAM_HEAD) + request.data(EVENT + DONE, is_all=False)

    with HTTP2Server(never_end) as server:
        client = to(server, connect)
        assert [await text_of(client) for _ in range(2)] == [("a", 0)] * 2
        assert client._session.transport.http.connections == 0
        assert server.connections == 2


async def test_a_given_clients_connection_serves_others_and_is_waited_for_by_nobody(connect: Connect) -> None:
    def never_end(request: Request) -> Iterator[bytes]:
        yield request.head(*STREAM_HEAD) + request.data(EVENT + DONE, is_all=False)

    with HTTP2Server(never_end) as server:
        async with httpx.AsyncClient(http1=False, http2=True) as given:
            client = connect(access_token="t", base_url=server.url, http_client=given)
            assert [await text_of(client) for _ in range(2)] == [("a", 0)] * 2
        assert server.connections == 1


# ---- connections that the service ends while somebody asks ----


@KINDS
async def test_a_request_that_the_service_has_not_taken_is_sent_whole_over_another_connection(
    connect: Connect, options: dict[str, Any]
) -> None:
    def goodbye_at_the_second(request: Request) -> Iterator[bytes]:
        yield goaway(1) if request.number == 2 else request.answer(EVENT + DONE)

    with HTTP2Server(goodbye_at_the_second) as server:
        client = to(server, connect)
        assert [(await text_of(client, **options))[0] for _ in range(2)] == ["a", "a"]
        assert server.bodies[2] == server.bodies[1] != b""


@pytest.mark.parametrize("can_rewind", [True, False])
async def test_an_upload_that_the_service_has_not_taken_is_rewound(
    connect: Connect, delays: list[float], can_rewind: bool
) -> None:
    def goodbye_at_the_second(request: Request) -> Iterator[bytes]:
        if request.number == 2:
            yield goaway(1)
        else:
            yield request.head((":status", "200"), ("content-type", "application/json"))
            yield request.data(b'{"id":"1","bytes":4,"filename":"a.txt","object":"file","purpose":"general"}')

    content: Any = io.BytesIO(b"text")
    if not can_rewind:
        content = SimpleNamespace(read=content.read)
    with HTTP2Server(goodbye_at_the_second) as server:
        client = to(server, connect)
        await client.files.create(file=("a.txt", b"text"))
        if can_rewind:
            await client.files.create(file=("a.txt", content))
            assert b"text" in server.bodies[-1]
        else:
            with pytest.raises(APIConnectionError, match="its body cannot be read again"):
                await client.files.create(file=("a.txt", content))
    assert delays == []


@KINDS
async def test_a_connection_that_is_closed_before_anything_was_sent_is_no_fault_of_the_request(
    connect: Connect, delays: list[float], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    send_headers = h2.connection.H2Connection.send_headers
    broken: list[object] = []

    def refuse_once(self: h2.connection.H2Connection, *args: Any, **options: Any) -> None:
        if self.config.client_side and not broken:
            broken.append(self)
            self.state_machine.state = h2.connection.ConnectionState.CLOSED
        send_headers(self, *args, **options)

    monkeypatch.setattr(h2.connection.H2Connection, "send_headers", refuse_once)
    with HTTP2Server(lambda request: [request.answer(EVENT + DONE)]) as server:
        client = to(server, connect)
        assert await text_of(client, **options) == ("a", 1)
        broken.clear()
        with pytest.raises(APIConnectionError, match="was closed before the request was taken") as caught:
            await text_of(client, max_retries=0, **options)
        assert not caught.value.sent
        assert (len(server.bodies), len(delays)) == (1, 1)


def answer_after_goodbye(request: Request) -> Iterator[bytes]:
    yield goaway(2**31 - 1) + request.answer(EVENT + DONE)


def take_nothing(request: Request) -> Iterator[bytes]:
    yield goaway(0)


def break_off(request: Request) -> Iterator[bytes]:
    yield goaway(request.stream_id)


def break_off_with_an_error(request: Request) -> Iterator[bytes]:
    yield goaway(request.stream_id, 11)


def say_garbage(request: Request) -> Iterator[bytes]:
    yield b"\0\0\1\0\0\0\0\0\0x"  # data of no stream


def have_an_odd_status(request: Request) -> Iterator[bytes]:
    yield request.head((":status", "abc"), is_all=True)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (answer_after_goodbye, "was lost: Invalid input ConnectionInputs.RECV_HEADERS"),
        (break_off, f"was lost: {FAREWELL}"),
        (take_nothing, f"was lost: {FAREWELL}"),
        (break_off_with_an_error, "was lost: <ConnectionTerminated error_code:"),
        (say_garbage, "was lost: "),
        (have_an_odd_status, "was lost: ValueError: invalid literal for int"),
    ],
)
async def test_an_answer_that_was_lost_is_no_fault_of_the_request(
    connect: Connect, delays: list[float], script: Script, words: str
) -> None:
    with HTTP2Server(script) as server:
        client = to(server, connect)
        for options, times in (STORED, 1), (NOTHING, 3):
            with pytest.raises(APIConnectionError, match=words) as caught:
                await text_of(client, **options)
            assert (caught.value.sent, len(server.bodies)) == (True, times)
            assert caught.value.__context__ is None
            server.bodies.clear()
        with pytest.raises(APIConnectionError, match=words):
            await client.chat.completions.create(messages=MESSAGES, max_retries=0)
    assert len(delays) == 2


# ---- requests that break the rules ----


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("field", [{"X-Odd": "a\nb"}, {"Connection Odd": "a"}, {"X-Odd": " a"}])
async def test_a_header_that_breaks_the_rules_is_sent_by_nobody(
    connect: Connect, delays: list[float], field: dict[str, str], http2: bool
) -> None:
    def never(*given: Any) -> Any:
        raise AssertionError("it was sent")

    server: Any = HTTP2Server(never) if http2 else RawServer(never)
    with server:
        client = connect(access_token="t", base_url=server.url, http2=http2, default_headers=NOTHING)
        with pytest.raises(GigaChatError):
            await client.chat.completions.create(messages=MESSAGES, extra_headers=field)
    assert delays == []


class Listening(ThreadedServer):
    """Reads what comes, and says nothing."""

    def serve(self, connection: Connection) -> None:
        while connection.socket.recv(65536):
            pass


@pytest.mark.parametrize(("length", "reason"), [("3", "Too much data"), ("300", "Too little data")])
async def test_a_content_length_that_is_not_the_bodys_is_told_and_not_tried_again(
    connect: Connect, delays: list[float], length: str, reason: str
) -> None:
    async def mislead(request: Any, send: Any) -> Any:
        request.headers["Content-Length"] = length
        return await send(request)

    with Listening() as server:
        client = connect(access_token="t", base_url=server.url, middleware=[mislead])
        with pytest.raises(APIConnectionError, match=f"{RULES}: {reason} for declared Content-Length$") as caught:
            await client.chat.completions.create(messages=MESSAGES)
        assert delays == []
        assert not caught.value.sent


# ---- whose an exception is ----


class Odd(Exception):
    """Another package's: a job that has had its time, say."""


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine"), Odd("mine"), MemoryError()])
async def test_what_code_of_the_users_raises_stays_as_it_is(connect: Connect, error: Exception) -> None:
    async def fail(request: httpx.Request) -> None:
        raise error

    with HTTP2Server(lambda request: [request.answer(EVENT + DONE)]) as server:
        given = httpx.AsyncClient(event_hooks={"request": [fail]}, http1=False, http2=True)
        client = connect(access_token="t", base_url=server.url, http_client=given)
        with pytest.raises(type(error)) as caught:
            await client.chat.completions.create(messages=MESSAGES)
        assert caught.value is error
        await given.aclose()


@pytest.mark.parametrize("error", [Odd("stop"), MemoryError()])
async def test_what_comes_from_without_into_the_code_of_the_protocol_stays_as_it_is(error: Exception) -> None:
    code = compile("raise error", "http2.py", "exec")
    with pytest.raises(type(error)) as caught:
        exec(code, {"__name__": "httpcore._async.http2", "error": error})  # as another thread can do
    assert not is_of_the_network(caught.value)


def run_in(modules: list[str]) -> BaseException:
    """Return the error that code of the last of some modules raises, which those before it have called."""
    code = compile("def go(): modules and modules.pop(0)(); raise ValueError('miscounted')", "x.py", "exec")
    called: Any = None
    for module in reversed(modules):
        names: dict[str, Any] = {"__name__": module, "modules": [called] if called else []}
        exec(code, names)
        called = names["go"]
    with pytest.raises(ValueError, match="miscounted") as caught:
        called()
    return caught.value


@pytest.mark.parametrize(
    ("modules", "is_of_it"),
    [
        (["httpcore._async.http2", "httpcore._synchronization", "anyio._core._synchronization"], True),
        (["httpcore._async.http2", "httpcore._synchronization", "trio._sync", "trio._core._ki"], True),
        (["httpcore._sync.http2", "httpcore._synchronization", "threading"], True),
        (["httpcore._async.http2", "program", "anyio._core._synchronization"], False),
        (["threading"], False),
        (["httpcore._async.http2", "anyio_of_another_name"], False),
    ],
)
async def test_a_semaphore_that_the_protocol_has_miscounted_is_the_connections_fault(
    modules: list[str], is_of_it: bool
) -> None:
    assert is_of_the_network(run_in(modules)) is is_of_it
