"""What servers send as a stream, well formed or not, split wherever it may be: the same text, or the same error."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from gigachat_sdk import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    AsyncClient,
    StreamError,
    StreamInterruptedError,
)

pytestmark = pytest.mark.anyio
LIMIT = 300  # bytes of an event
EVENT_STREAM = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


class Case(NamedTuple):
    """A body, and what comes of it: the text before the end or the error, and the error's type and words."""

    body: bytes
    text: str
    error: type[APIError] | None = None
    words: str = ""
    headers: dict[str, str] = EVENT_STREAM


def piece(text: str) -> bytes:
    return b'{"choices":[{"delta":{"content":"%s"},"index":0}]}' % text.encode()


A, B = piece("А😀"), piece("b")
TWO = b"data: %s\n\ndata: %s\n\n" % (A, B)
DONE = b"data: [DONE]\n\n"
WHOLE = TWO + DONE
COMPLETE = "А😀b"
CUT = "the stream ended before it was complete: the service closed the connection"

V1: dict[str, Case] = {
    "LF": Case(WHOLE, COMPLETE),
    "CR": Case(WHOLE.replace(b"\n", b"\r"), COMPLETE),
    "CRLF": Case(WHOLE.replace(b"\n", b"\r\n"), COMPLETE),
    "all kinds of ends": Case(b"data: %s\r\n\rdata: %s\n\r\n%s" % (A, B, DONE), COMPLETE),
    "a byte order mark": Case(b"\xef\xbb\xbf" + WHOLE, COMPLETE),
    "comments and heartbeats": Case(b": hello\n\n" + TWO + b":\n\n: \n" + DONE, COMPLETE),
    "no space after the colon": Case(WHOLE.replace(b"data: ", b"data:"), COMPLETE),
    "several data lines": Case(b"data: %s\ndata:%s\n\n" % (A[:12], A[12:]) + b"data: %s\n\n" % B + DONE, COMPLETE),
    "empty data": Case(b"data:\n\ndata\n\n" + TWO + b"data: \n\n" + DONE, COMPLETE),
    "unknown fields": Case(b"size: 5\nretry: 10\nid: 7\ndata: %s\nfoo\n\n" % A + b"data: %s\n\n" % B + DONE, COMPLETE),
    "an id with NUL": Case(b"id: a\x00b\ndata: %s\n\ndata: %s\n\n" % (A, B) + DONE, COMPLETE),
    "separators that are text": Case(b"data: %s\n\n" % piece("x\u2028y\u2029z\u0085") + DONE, "x\u2028y\u2029z\u0085"),
    "a ping with a name": Case(b"event: ping\ndata: {}\n\nevent: ping\ndata: now\n\n" + WHOLE, COMPLETE),
    "bytes that are no UTF-8 in a comment": Case(b": \xff\xfe\n\n" + WHOLE, COMPLETE),
    "done without a line end": Case(TWO + b"data: [DONE]", COMPLETE),
    "done without a space": Case(TWO + b"data:[DONE]\n\n", COMPLETE),
    "garbage after done": Case(WHOLE + b"data: no json\n\nevent: error\ndata: {}\n\n\x00\xff", COMPLETE),
    "gzip": Case(gzip.compress(WHOLE, mtime=0), COMPLETE, headers={**EVENT_STREAM, "Content-Encoding": "gzip"}),
    "deflate": Case(zlib.compress(WHOLE), COMPLETE, headers={**EVENT_STREAM, "Content-Encoding": "deflate"}),
    "a content type with parameters": Case(
        WHOLE, COMPLETE, headers={"Content-Type": "Text/Event-Stream; charset=utf-8"}
    ),
    "no content type": Case(WHOLE, COMPLETE, headers={}),
    "nothing but the end": Case(DONE, ""),
    # what is wrong
    "no done": Case(TWO, COMPLETE, StreamInterruptedError, CUT),
    "no done after a finish reason": Case(
        TWO + b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', COMPLETE, StreamInterruptedError, CUT
    ),
    "an event without its end": Case(TWO[:-1], "А😀", StreamInterruptedError, CUT),
    "nothing at all": Case(b"", "", StreamInterruptedError, CUT),
    "only comments": Case(b": ping\n\n: ping\n\n", "", StreamInterruptedError, CUT),
    "an event that is no JSON": Case(TWO + b"data: {oops\n\n" + DONE, COMPLETE, StreamError, "an event of the stream"),
    "an event that is another JSON": Case(
        TWO + b"data: [1]\n\n" + DONE, COMPLETE, StreamError, "is no ChatCompletionChunk"
    ),
    "an event over the bound": Case(
        TWO + b"data: " + b"x" * LIMIT + b"\n\n" + DONE, COMPLETE, StreamError, f"larger than {LIMIT} bytes"
    ),
    "an event without an end over the bound": Case(
        TWO + b"data: " + b"x" * LIMIT, COMPLETE, StreamError, f"larger than {LIMIT} bytes"
    ),
    "half of a compressed body": Case(
        gzip.compress(WHOLE, mtime=0)[:-30],
        "",
        APIError,
        "",
        headers={**EVENT_STREAM, "Content-Encoding": "gzip"},
    ),
    "a body that is not compressed": Case(
        WHOLE, "", StreamInterruptedError, "cannot be decoded", headers={**EVENT_STREAM, "Content-Encoding": "gzip"}
    ),
    # errors that the service sends
    "an error event": Case(
        TWO + b'event: error\ndata: {"status":429,"message":"Too many requests"}\n\n',
        COMPLETE,
        StreamError,
        "the service sent an error 429 inside the stream: Too many requests",
    ),
    "a bare error": Case(
        TWO + b'data: {"status":500,"message":"Internal"}\n\n' + DONE,
        COMPLETE,
        StreamError,
        "the service sent an error 500 inside the stream: Internal",
    ),
    "an error in an envelope": Case(
        TWO + b'data: {"error":{"message":"no more"}}\n\n' + DONE, COMPLETE, StreamError, "inside the stream: no more"
    ),
    "an error event that is text": Case(
        TWO + b"event: error\ndata: overloaded\n\n", COMPLETE, StreamError, "overloaded"
    ),
    "an error instead of a stream": Case(
        b'{"status":402,"message":"Payment Required"}', "", StreamError, "Payment Required", headers=JSON
    ),
    "an answer instead of a stream": Case(
        b'{"choices":[]}', "", APIResponseValidationError, "a stream was asked for", headers=JSON
    ),
    "a page instead of a stream": Case(
        b"<html>gateway</html>",
        "",
        APIResponseValidationError,
        "a stream was asked for",
        headers={"Content-Type": "text/html"},
    ),
}

DELTA = b'event: response.message.delta\ndata: {"messages":[{"role":"assistant","content":[{"text":"%s"}]}]}\n\n'
TWO_2 = DELTA % "А😀".encode() + DELTA % b"b"
DONE_2 = b'event: response.message.done\ndata: {"finish_reason":"stop","usage":{"total_tokens":3}}\n\n'
WHOLE_2 = TWO_2 + DONE_2

V2: dict[str, Case] = {
    "LF": Case(WHOLE_2, COMPLETE),
    "CR": Case(WHOLE_2.replace(b"\n", b"\r"), COMPLETE),
    "CRLF": Case(WHOLE_2.replace(b"\n", b"\r\n"), COMPLETE),
    "the name after the data": Case(
        b"\n\n".join(b"\n".join(reversed(event.split(b"\n"))) for event in WHOLE_2.split(b"\n\n")), COMPLETE
    ),
    "no names": Case(re.sub(rb"event: .*\n", b"", WHOLE_2), COMPLETE),
    "a byte order mark": Case(b"\xef\xbb\xbf" + WHOLE_2, COMPLETE),
    "heartbeats": Case(b": ping\n\n" + TWO_2 + b": ping\n\n" + DONE_2, COMPLETE),
    "an unknown event": Case(
        b'event: response.new\ndata: {"messages":[{"role":"assistant","content":[{"text":"x"}]}]}\n\n' + WHOLE_2,
        COMPLETE,
    ),
    "the work of a tool": Case(
        b'event: response.tool.in_progress\ndata: {"tool_execution":{"name":"web_search","seconds_left":3}}\n\n'
        + WHOLE_2,
        COMPLETE,
    ),
    "garbage after the end": Case(WHOLE_2 + b"data: no json\n\n\xff", COMPLETE),
    "done as in v1": Case(TWO_2 + DONE, COMPLETE),
    "no end": Case(TWO_2, COMPLETE, StreamInterruptedError, CUT),
    "an end without its end": Case(TWO_2 + DONE_2[:-1], COMPLETE, StreamInterruptedError, CUT),
    "an error event": Case(
        TWO_2 + b'event: error\ndata: {"status":500,"message":"Internal"}\n\n',
        COMPLETE,
        StreamError,
        "an error 500 inside the stream: Internal",
    ),
    "an error of the response": Case(
        TWO_2 + b'event: response.error\ndata: {"status":500,"message":"Internal"}\n\n',
        COMPLETE,
        StreamError,
        "Internal",
    ),
    "a bare error": Case(
        TWO_2 + b'data: {"status":429,"message":"Too many"}\n\n',
        COMPLETE,
        StreamError,
        "an error 429 inside the stream: Too many",
    ),
    "an error under the name of a delta": Case(
        TWO_2 + b'event: response.message.delta\ndata: {"status":429,"message":"Too many"}\n\n',
        COMPLETE,
        StreamError,
        "Too many",
    ),
    "no JSON": Case(
        TWO_2 + b"event: response.message.delta\ndata: {oops\n\n", COMPLETE, StreamError, "an event of the stream"
    ),
    "an event over the bound": Case(
        TWO_2 + b"data: " + b"x" * LIMIT + b"\n\n", COMPLETE, StreamError, f"larger than {LIMIT} bytes"
    ),
}


class Pieces(httpx.AsyncByteStream):
    """A body in given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def splits(body: bytes) -> Iterator[list[bytes]]:
    """Give a body whole, byte by byte, and in two pieces at every place there is."""
    yield [body]
    yield [body[place : place + 1] for place in range(len(body))]
    for place in range(1, len(body)):
        yield [body[:place], body[place:]]


async def outcome(client: AsyncClient, contract: str) -> tuple[str, Any]:
    """Read a stream as a user would; return its text and its error."""
    messages: Any = [{"role": "user", "content": "?"}]
    text = ""
    try:
        if contract == "v1":
            async for chunk in await client.chat.completions.create(messages=messages, stream=True):
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
        else:
            async for event in await client.v2.chat.completions.create(messages=messages, stream=True):
                text += event.text
    except APIError as error:
        return text, error
    return text, None


@pytest.mark.parametrize(
    ("contract", "case"),
    [
        *(pytest.param("v1", case, id=f"v1: {name}") for name, case in V1.items()),
        *(pytest.param("v2", case, id=f"v2: {name}") for name, case in V2.items()),
    ],
)
async def test_any_split_of_a_body_gives_the_same_text_or_the_same_error(contract: str, case: Case) -> None:
    body: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=case.headers, stream=Pieces(body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        client = AsyncClient(access_token="t", http_client=http_client, max_event_bytes=LIMIT, max_retries=0)
        for body[:] in splits(case.body):
            text, error = await outcome(client, contract)
            assert text == case.text, body
            if case.error is None:
                assert error is None, body
            else:
                assert isinstance(error, case.error), (body, error)
                assert case.words in str(error), (body, error)
                assert (error.__context__, error.__cause__) == (None, None)
                if isinstance(error, StreamError) and case.headers != JSON:
                    assert error.text == case.text
        assert client._session.transport.http.in_flight == 0


async def test_every_error_of_the_table_is_one_of_ours() -> None:
    kinds = {case.error for case in (*V1.values(), *V2.values())} - {None}
    assert kinds == {APIError, APIResponseValidationError, StreamError, StreamInterruptedError}
    assert not issubclass(StreamError, APIConnectionError)
