"""Error answers whose body cannot be read: the status that is known decides."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gigachat_sdk import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    PaymentRequiredError,
    RateLimitError,
    UnprocessableEntityError,
)

from .conftest import Connect
from .servers import Connection, RawServer, plain_answer

pytestmark = pytest.mark.anyio

JSON = b"Content-Type: application/json\r\nx-request-id: r\r\n"
CUT = JSON + b'Content-Length: 300\r\n\r\n{"message"'
EMPTY = JSON + b"Content-Length: 300\r\n\r\n"
CHUNK = JSON + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz"
NO_GZIP = JSON + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
CUT_GZIP = JSON + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"words", compresslevel=0)[:-8]


class Cut:
    """Answers everything with a head and a body that is not whole, and ends the connection."""

    def __init__(self, head: bytes, *more: bytes) -> None:
        self.pieces = (b"HTTP/1.1 " + head + b"\r\n", *more)

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        connection.is_over = True
        yield b"".join(self.pieces)


async def ask(client: Any, **options: Any) -> Any:
    return await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **options)


@pytest.mark.parametrize(
    ("status", "rest", "kind", "body", "requests"),
    [
        (b"400 Bad", CUT, BadRequestError, '{"message"', 1),
        (b"400 Bad", EMPTY, BadRequestError, None, 1),
        (b"400 Bad", CHUNK, BadRequestError, "abc", 1),
        (b"400 Bad", NO_GZIP, BadRequestError, None, 1),
        (b"400 Bad", CUT_GZIP, BadRequestError, "words", 1),
        (b"401 No", CUT, AuthenticationError, '{"message"', 1),
        (b"402 Pay", CUT, PaymentRequiredError, '{"message"', 1),
        (b"422 Bad", CUT, UnprocessableEntityError, '{"message"', 1),
        (b"302 Found", CUT, APIStatusError, '{"message"', 1),
        (b"429 Too", CUT, RateLimitError, '{"message"', 3),
        (b"503 Busy", CUT, InternalServerError, '{"message"', 3),
        (b"503 Busy", NO_GZIP, InternalServerError, None, 3),
    ],
)
async def test_the_status_decides_what_is_raised_and_whether_it_is_sent_again(
    connect: Connect,
    delays: list[float],
    status: bytes,
    rest: bytes,
    kind: type[APIStatusError],
    body: str | None,
    requests: int,
) -> None:
    with RawServer(Cut(status, rest)) as server:
        client = connect(access_token="t", base_url=server.url, max_concurrency=1)
        with pytest.raises(APIStatusError) as caught:
            await ask(client)
        assert client._session.transport.limiter.held == 0
        await client.aclose()
    error = caught.value
    assert (type(error), error.status_code, error.body, error.request_id) == (kind, int(status[:3]), body, "r")
    assert "(its body could not be read to its end: the " in str(error)
    assert (error.__context__, error.__cause__) == (None, None)
    assert (len(server.requests), len(delays)) == (requests, requests - 1)


@pytest.mark.parametrize(("seconds", "expected"), [(3, [3.0, 3.0]), (600, [])])
async def test_the_service_says_when_all_the_same(
    connect: Connect, delays: list[float], seconds: int, expected: list[float]
) -> None:
    with RawServer(Cut(b"429 Too", b"Retry-After: %d\r\n" % seconds, CUT)) as server:
        with pytest.raises(RateLimitError) as caught:
            await ask(connect(access_token="t", base_url=server.url))
        assert (caught.value.retry_after, delays) == (seconds, expected)


async def test_a_refused_token_is_renewed_all_the_same(connect: Connect) -> None:
    tokens: list[str] = []

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        if b"/oauth" in request.split(b"\r\n")[0]:
            tokens.append(f"token-{len(tokens)}")
            expires_at = int((time.time() + 1800) * 1000)
            yield plain_answer(json.dumps({"access_token": tokens[-1], "expires_at": expires_at}).encode())
        elif b"token-0" in request:
            yield from Cut(b"401 No", CUT)(connection, request)
        else:
            yield plain_answer(b'{"choices":[]}')

    with RawServer(answer) as server:
        client = connect(credentials="YTpi", auth_url=f"{server.url}/oauth", base_url=server.url)
        assert (await ask(client)).choices == []
        await client.aclose()
    assert tokens == ["token-0", "token-1"]


class Stalled:
    """Answers with the head of an error, and with its body only when it is told to."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 400 Bad\r\n" + CUT
        self.has_begun.set()
        self.may_end.wait(10)
        connection.is_over = True


async def test_a_body_that_does_not_come_in_time_is_left_out(connect: Connect) -> None:
    stalled = Stalled()
    with RawServer(stalled) as server:
        client = connect(access_token="t", base_url=server.url, timeout=httpx.Timeout(30, read=1.0))
        with pytest.raises(BadRequestError, match=r"could not be read to its end: .* did not answer within 1\.0 s"):
            await ask(client)
        stalled.may_end.set()
    assert len(server.requests) == 1


async def test_a_deadline_is_a_deadline_all_the_same(connect: Connect) -> None:
    stalled = Stalled()
    with RawServer(stalled) as server:
        client = connect(access_token="t", base_url=server.url)
        with pytest.raises(APITimeoutError):
            await ask(client, deadline=0.1)
        stalled.may_end.set()


async def test_a_client_that_is_closed_meanwhile_says_so(connect: Connect) -> None:
    stalled = Stalled()
    with RawServer(stalled) as server:
        client = connect(access_token="t", base_url=server.url)
        read = client._session.transport._read

        async def closed(http: Any, *, is_success: bool) -> Any:
            await client.aclose()
            return await read(http, is_success=is_success)

        client._session.transport._read = closed  # type: ignore[method-assign]  # closes it at this very moment
        with pytest.raises(APIConnectionError, match="the client was closed during the call"):
            await ask(client)
        stalled.may_end.set()


@pytest.mark.parametrize("shown", [1, 8, 20, 29])
async def test_a_body_that_is_cut_within_our_token_shows_none_of_it(connect: Connect, shown: int) -> None:
    token = "abcdefghijklmnopqrstuvwxyz012"
    head = JSON + b"Content-Length: 300\r\n\r\nBearer "
    refusal = Cut(b"400 Bad", head + token[:shown].encode())
    with RawServer(refusal) as server, pytest.raises(BadRequestError) as caught:
        await ask(connect(access_token=token, base_url=server.url))
    assert caught.value.body == ("Bearer a" if shown == 1 else "Bearer [hidden]")


async def test_a_success_that_is_cut_is_a_lost_answer_still(connect: Connect) -> None:
    with RawServer(Cut(b"200 OK", CUT)) as server, pytest.raises(APIConnectionError, match="was lost"):
        await ask(connect(access_token="t", base_url=server.url), max_retries=0)
