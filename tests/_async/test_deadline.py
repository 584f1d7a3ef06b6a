"""`deadline`: the whole call ends in time, whatever it is waiting for."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from gigachat_sdk import (
    AccessToken,
    APITimeoutError,
    AsyncClient,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
)
from gigachat_sdk._concurrency import async_sleep
from gigachat_sdk._deadline import current_deadline
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import AttemptRequest, AttemptResponse, RetryInfo

from .conftest import Connect, Late
from .servers import STREAM_HEAD, Connection, RawServer, http_chunk

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
EVENT = http_chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
SHORT = 2.0  # far longer than a busy machine takes to send a request
Send = Callable[[AttemptRequest], Awaitable[AttemptResponse]]
PASSED = r"the deadline of 2 s has passed"
LONG_PASSED = r"the deadline of 60 s has passed"


class Dripping:
    """Sends a beginning, and then one piece again and again, without an end.

    The time of deadlines stands still. It passes when ten more pieces were sent after the test has said that it may.
    """

    def __init__(self, beginning: bytes, piece: bytes) -> None:
        self.is_over = threading.Event()
        self.may_time_pass = threading.Event()
        self.now = 0.0
        self._beginning = beginning
        self._piece = piece

    def monotonic(self) -> float:
        return self.now

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        yield self._beginning
        sent = 0
        while not self.is_over.wait(0.01):
            yield self._piece
            sent += self.may_time_pass.is_set()
            if sent == 10:
                self.now += 1000.0
        connection.is_over = True


Drip = Callable[[bytes, bytes], tuple[RawServer, Dripping]]


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drip]:
    servers: list[tuple[RawServer, Dripping]] = []

    def start(beginning: bytes, piece: bytes) -> tuple[RawServer, Dripping]:
        answer = Dripping(beginning, piece)
        monkeypatch.setattr("gigachat_sdk._deadline.time", answer)
        servers.append((RawServer(answer).__enter__(), answer))
        return servers[-1]

    yield start
    for server, answer in servers:
        answer.is_over.set()
        server.__exit__(None, None, None)


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


async def rest(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_a_silent_service_is_left_in_time(connect: Connect, emulator: Emulator) -> None:
    late = Late(emulator, CHAT)
    client = connect(emulator, deadline=SHORT)
    await client.models.list(deadline=60)
    with pytest.raises(APITimeoutError, match=f"^{PASSED}$") as caught:
        await ask(client)
    assert caught.value.sent
    assert caught.value.__context__ is None
    assert late.has_come.wait(30)
    assert len(emulator.requests_to(CHAT)) == 1


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", http_chunk(b" ")),
    ],
    ids=["in the head", "in the body"],
)
async def test_an_answer_that_drips_is_left_in_time(
    connect: Connect, drip: Drip, beginning: bytes, piece: bytes
) -> None:
    server, dripping = drip(beginning, piece)
    dripping.may_time_pass.set()
    client = connect(access_token="t", base_url=server.url)
    with pytest.raises(APITimeoutError, match=LONG_PASSED):
        await ask(client, deadline=60)
    assert len(server.requests) == 1
    await client.aclose()


@pytest.mark.parametrize(
    ("piece", "text"), [(http_chunk(b": still here\n\n"), ""), (EVENT, "a")], ids=["heartbeats", "events"]
)
async def test_a_stream_without_an_end_is_left_in_time(connect: Connect, drip: Drip, piece: bytes, text: str) -> None:
    server, dripping = drip(STREAM_HEAD + EVENT, piece)
    client = connect(access_token="t", base_url=server.url, deadline=60)
    stream = await ask(client, stream=True)
    for letter in "a" + text:
        assert (await stream.__anext__()).choices[0].delta.content == letter
    dripping.may_time_pass.set()
    with pytest.raises(StreamInterruptedError, match=LONG_PASSED) as caught:
        await rest(stream)
    assert caught.value.text.startswith("a" + text)
    await client.aclose()


async def test_a_deadline_holds_over_http2_too(connect: Connect, https_emulator: Emulator) -> None:
    Late(https_emulator, CHAT)
    client = connect(https_emulator, http2=True)
    with pytest.raises(APITimeoutError, match=PASSED):
        await ask(client, deadline=SHORT)
    https_emulator.on(CHAT, None)
    assert (await ask(client)).response.http_version == "HTTP/2"


async def test_a_given_client_is_left_in_time_between_reads(connect: Connect, emulator: Emulator, drip: Drip) -> None:
    async with httpx.AsyncClient(trust_env=False) as http_client:
        emulator.reply(CHAT, Reply(delay=60))
        with pytest.raises(APITimeoutError, match=PASSED):
            await ask(connect(emulator, http_client=http_client), deadline=SHORT)
        server, dripping = drip(STREAM_HEAD, EVENT)
        client = connect(access_token="t", base_url=server.url, http_client=http_client)
        stream = await ask(client, stream=True, deadline=60)
        dripping.may_time_pass.set()
        with pytest.raises(StreamInterruptedError, match=LONG_PASSED):
            await rest(stream)


async def test_a_retry_that_would_begin_too_late_is_none(
    client: AsyncClient, emulator: Emulator, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.reply(CHAT, Reply.error(500, "x"), Reply.error(429, "y", headers={"Retry-After": "9"}))
    with monkeypatch.context() as patch:
        patch.setattr("gigachat_sdk._retry.RETRY_FIRST_DELAY", 60.0)
        patch.setattr("gigachat_sdk._retry.RETRY_MAX_DELAY", 60.0)
        with pytest.raises(InternalServerError):
            await ask(client, deadline=8)
    with pytest.raises(RateLimitError):
        await ask(client, deadline=8)
    assert delays == []
    emulator.reply(CHAT, Reply.error(500, "x"))
    assert (await ask(client, deadline=8)).choices
    assert len(delays) == 1


async def test_a_call_of_a_client_with_a_deadline_may_take_longer_if_it_says_so(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    emulator.reply(CHAT, Reply.error(500, "x"))
    assert (await ask(connect(emulator, deadline=0.3), deadline=100)).choices
    emulator.reply(CHAT, Reply.error(500, "x"))
    assert (await ask(connect(emulator, deadline=0.3), deadline=None)).choices


async def test_waiting_for_a_token_counts(connect: Connect, emulator: Emulator) -> None:
    late = Late(emulator, "/api/v2/oauth")
    with pytest.raises(APITimeoutError, match=PASSED):
        await ask(connect(emulator, deadline=SHORT))
    assert late.has_come.wait(30)
    assert emulator.oauth_requests == 1


async def test_time_that_is_up_before_anything_was_sent_is_said_so(
    connect: Connect, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(emulator)
    await ask(client)
    steps = chain([0.0], repeat(100.0))
    monkeypatch.setattr("gigachat_sdk._deadline.time", SimpleNamespace(monotonic=lambda: next(steps)))
    with pytest.raises(APITimeoutError, match=r"^the deadline of 5 s has passed$") as caught:
        await ask(client, deadline=5)
    assert not caught.value.sent
    assert len(emulator.requests_to(CHAT)) == 1


async def test_a_call_within_its_deadline_is_like_any_other(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, deadline=30)
    assert (await ask(client)).choices
    assert await rest(await ask(client, stream=True)) == "Вы написали: hello"
    assert (await client.models.list(deadline=20)).data


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "deadline: 0 is no time for a call"),
        (-1.5, "deadline: -1.5 is no time for a call"),
        (float("nan"), "deadline: nan is no time"),
        (float("inf"), "deadline: inf is no time"),
        (True, "deadline: expected seconds, got bool"),
        ("5", "deadline: expected seconds, got str"),
    ],
)
async def test_what_is_no_time_is_refused(
    client: AsyncClient, connect: Connect, emulator: Emulator, value: Any, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        await ask(client, deadline=value)
    with pytest.raises(ConfigurationError, match=words):
        connect(emulator, deadline=value)
    assert emulator.requests == []


async def test_the_environment_may_set_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_DEADLINE", "2.5")
    assert connect(access_token="t")._session.config.retry.deadline == 2.5
    assert connect(access_token="t", deadline=3)._session.config.retry.deadline == 3
    monkeypatch.setenv("GIGACHAT_DEADLINE", "soon")
    with pytest.raises(ConfigurationError, match="GIGACHAT_DEADLINE: 'soon' is not a number"):
        connect(access_token="t")


async def test_code_of_the_users_does_not_inherit_it(connect: Connect, emulator: Emulator, delays: list[float]) -> None:
    seen: list[object] = []

    def on_retry(info: RetryInfo) -> None:
        seen.append(current_deadline())

    async def middleware(request: AttemptRequest, send: Send) -> AttemptResponse:
        seen.append(current_deadline())
        return await send(request)

    emulator.reply(CHAT, Reply.error(500, "x"), Reply(delay=60))
    client = connect(emulator, deadline=5, on_retry=on_retry, middleware=[middleware], timeout=60)
    await client.models.list()
    with pytest.raises(APITimeoutError, match=r"the deadline of 2 s has passed"):
        await ask(client, deadline=2)
    assert seen == [None] * 4


async def test_a_token_manager_of_the_users_own_is_not_waited_for(connect: Connect, emulator: Emulator) -> None:
    class Slow:
        async def get_token(self) -> AccessToken:
            await async_sleep(60 if is_async else 0.6)
            return AccessToken(emulator.issue_token())

        async def invalidate(self, token: AccessToken) -> None:
            raise AssertionError("nothing was refused")

    client = connect(emulator, token_manager=Slow())
    is_async = inspect.iscoroutinefunction(client.models.list)
    with pytest.raises(APITimeoutError, match=r"the deadline of 0\.2 s has passed") as caught:
        await client.models.list(deadline=0.2)
    assert ("while a token was being got" in str(caught.value)) is is_async  # a thread cannot be woken
    assert emulator.requests_to("/v1/models") == []
