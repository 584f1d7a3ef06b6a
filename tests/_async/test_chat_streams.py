"""`client.chat.completions.create(..., stream=True)`: what arrives, how it ends, what becomes of the connection."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from gigachat_sdk import (
    APIResponseValidationError,
    APIStatusError,
    AsyncClient,
    AsyncStream,
    ChatCompletion,
    ChatCompletionChunk,
    ConfigurationError,
    GigaChatError,
    NotFoundError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
MESSAGES = [{"role": "user", "content": "Привет, как дела? Расскажи что-нибудь"}]
LEFT = r"^this stream was left, or cut, before its end"
EVENT_STREAM = {"Content-Type": "text/event-stream"}


def piece(text: str, **more: object) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}, "index": 0, **more}]}


async def texts(stream: AsyncStream[ChatCompletionChunk]) -> list[str | None]:
    return [chunk.choices[0].delta.content async for chunk in stream]


async def listen(stream: AsyncStream[ChatCompletionChunk], seen: list[str | None]) -> None:
    async for chunk in stream:
        seen.append(chunk.choices[0].delta.content)  # noqa: PERF401  # to be seen even if an error follows


async def open_stream(client: AsyncClient) -> AsyncStream[ChatCompletionChunk]:
    return await client.chat.completions.create(messages=MESSAGES, stream=True)


async def read_stream(client: AsyncClient, emulator: Emulator, reply: Reply) -> list[str | None]:
    emulator.reply(CHAT, reply)
    return await texts(await open_stream(client))


async def test_a_stream_tells_the_same_as_the_whole_answer(client: AsyncClient, emulator: Emulator) -> None:
    whole = await client.chat.completions.create(messages=MESSAGES)
    stream = await open_stream(client)
    chunks = [chunk async for chunk in stream if type(chunk) is ChatCompletionChunk]
    assert len(chunks) > 3
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage
    assert stream.request_id == chunks[0].request_id == stream.response.headers["x-request-id"]
    assert stream.response.status_code == 200
    request = emulator.requests_to(CHAT)[1]
    assert request.json()["stream"] is True
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["accept-encoding"] == "identity"
    assert "stream" not in emulator.requests_to(CHAT)[0].json()


@pytest.mark.parametrize("http2", [False, True])
async def test_a_stream_over_tls(connect: Connect, https_emulator: Emulator, http2: bool) -> None:
    client = connect(https_emulator, http2=http2)
    stream = await open_stream(client)
    assert "".join(text or "" for text in await texts(stream)) == f"Вы написали: {MESSAGES[0]['content']}"
    assert stream.response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


async def test_a_stream_is_its_own_iterator_and_ends_for_good(client: AsyncClient) -> None:
    stream = await open_stream(client)
    assert stream.__aiter__() is stream
    assert repr(stream) == f"<AsyncStream open, request id {stream.request_id}>"
    first = await stream.__anext__()
    rest = await texts(stream)
    assert first.choices[0].delta.content
    assert rest
    assert await texts(stream) == []
    assert repr(stream) == f"<AsyncStream closed, request id {stream.request_id}>"


async def test_a_stream_closes_with_its_block(client: AsyncClient) -> None:
    async with await open_stream(client) as stream:
        assert (await stream.__anext__()).choices
    with pytest.raises(GigaChatError, match=LEFT):
        await texts(stream)
    assert "closed" in repr(stream)


async def test_a_stream_can_be_closed_early_and_twice(client: AsyncClient) -> None:
    stream = await open_stream(client)
    await stream.__anext__()
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(GigaChatError, match=LEFT):
        await texts(stream)
    assert len(await client.models.list()) > 0


async def test_a_stream_can_be_closed_before_it_is_read(client: AsyncClient) -> None:
    stream = await open_stream(client)
    await stream.aclose()
    with pytest.raises(GigaChatError, match=LEFT):
        await texts(stream)


async def test_a_stream_that_was_read_can_be_closed_and_has_nothing_more(client: AsyncClient) -> None:
    stream = await open_stream(client)
    await texts(stream)
    assert await texts(stream) == []
    await stream.aclose()


@pytest.mark.parametrize("end", [[], [piece("", finish_reason="stop")]])
async def test_a_stream_cut_before_its_end_keeps_what_had_arrived(
    client: AsyncClient, emulator: Emulator, end: list[object]
) -> None:
    emulator.reply(CHAT, Reply.sse([piece("При"), piece("вет"), *end], done=False))
    stream = await open_stream(client)
    seen: list[str | None] = []
    with pytest.raises(StreamInterruptedError, match="the service closed the connection") as caught:
        await listen(stream, seen)
    error = caught.value
    assert "".join(text or "" for text in seen) == error.text == "Привет"
    assert type(error.partial) is ChatCompletion
    assert error.partial.choices[0].message.content == "Привет"
    assert error.partial.choices[0].finish_reason == ("stop" if end else None)
    assert (error.request_id, error.status_code) == (stream.request_id, 200)
    assert error.__context__ is None
    assert "6 characters had arrived" in str(error)
    with pytest.raises(GigaChatError, match=LEFT):
        await texts(stream)
    assert len(emulator.requests_to(CHAT)) == 1
    assert pickle.loads(pickle.dumps(error)).partial == error.partial


async def test_a_stream_cut_before_anything_arrived(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(StreamInterruptedError) as caught:
        await read_stream(client, emulator, Reply(chunks=[], headers=EVENT_STREAM))
    assert (caught.value.text, caught.value.partial) == ("", None)


@pytest.mark.parametrize(
    "event",
    [
        'event: error\ndata: {"status":500,"message":"Сломалось"}\n\n',
        'data: {"status":500,"message":"Сломалось"}\n\n',
        'event: error\ndata: {"code":500,"message":"Сломалось"}\n\n',
    ],
)
async def test_an_error_inside_a_stream(client: AsyncClient, emulator: Emulator, event: str) -> None:
    reply = Reply(
        chunks=[b'data: {"choices":[{"delta":{}}]}\n\n', event.encode(), b"data: [DONE]\n\n"], headers=EVENT_STREAM
    )
    with pytest.raises(StreamError, match="the service sent an error 500 inside the stream: Сломалось") as caught:
        await read_stream(client, emulator, reply)
    assert type(caught.value) is StreamError
    assert caught.value.body["message"] == "Сломалось"
    assert len(await client.models.list()) > 0


async def test_an_error_event_without_data(client: AsyncClient, emulator: Emulator) -> None:
    reply = Reply(chunks=[b"event: error\ndata:\n\n"], headers=EVENT_STREAM)
    with pytest.raises(StreamError, match="the service sent an error inside the stream"):
        await read_stream(client, emulator, reply)


@pytest.mark.parametrize("event", [b"data: {no json\n\n", b'data: {"choices": 1}\n\n', b"data: \xff\n\n"])
async def test_an_event_that_cannot_be_read(client: AsyncClient, emulator: Emulator, event: bytes) -> None:
    with pytest.raises(StreamError, match="an event of the stream is no ChatCompletionChunk") as caught:
        await read_stream(client, emulator, Reply(chunks=[event], headers=EVENT_STREAM))
    error = caught.value
    assert "\n" not in str(error)
    assert (error.__context__, error.__cause__) == (None, None)


async def test_an_event_without_bounds_is_given_up(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, max_event_bytes=1000)
    with pytest.raises(StreamError, match="larger than 1000 bytes"):
        await read_stream(client, emulator, Reply(chunks=[b"data: " + b"x" * 2000], headers=EVENT_STREAM))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(json={"status": 404, "message": "No such model"}), StreamError),
        (Reply(json={"choices": []}), APIResponseValidationError),
        (Reply(body="<html></html>", headers={"Content-Type": "text/html"}), APIResponseValidationError),
        (Reply.error(404, "No such model"), NotFoundError),
        (Reply.error(400, "x"), APIStatusError),
    ],
)
async def test_an_answer_that_is_no_stream_is_raised_by_create(
    client: AsyncClient, emulator: Emulator, reply: Reply, kind: type[Exception]
) -> None:
    emulator.reply(CHAT, reply)
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(messages=MESSAGES, stream=True)
    assert caught.value.body is not None
    assert len(emulator.requests_to(CHAT)) == 1


async def test_a_stream_without_content_type_is_read(client: AsyncClient, emulator: Emulator) -> None:
    assert await read_stream(client, emulator, Reply(chunks=Reply.sse([piece("a")]).chunks)) == ["a"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
async def test_every_line_end_and_filler_of_an_event_stream(
    client: AsyncClient, emulator: Emulator, line_end: str
) -> None:
    text = json.dumps(piece("а\u2028б\u2029в\u0085г"), ensure_ascii=False)
    lines = [": comment", "", "data:", "", "retry: 10", "", "id: 1", f"data: {text}", "", f"data:{text}", ""]
    body = line_end.join([*lines, "data: [DONE]", "", ""]).encode()
    for chunks in ([body], [body[:40], body[40:]], [bytes([byte]) for byte in body]):
        got = await read_stream(client, emulator, Reply(chunks=chunks, headers=EVENT_STREAM))
        assert got == ["а\u2028б\u2029в\u0085г"] * 2


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data: [DONE]\n", b"data: [DONE]", b"data:[DONE]"])
async def test_done_counts_when_its_line_or_the_body_ends(client: AsyncClient, emulator: Emulator, end: bytes) -> None:
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert await read_stream(client, emulator, Reply(chunks=[body, end], headers=EVENT_STREAM)) == ["a"]


async def test_what_comes_after_done_is_ignored(client: AsyncClient, emulator: Emulator) -> None:
    reply = Reply.sse([piece("a"), "[DONE]", piece("b")])
    assert await read_stream(client, emulator, reply) == ["a"]


@pytest.mark.parametrize("file", ["stream_simple.sse", "fixture_v1_chat_stream_2023.sse"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_recorded_streams_come_out_as_they_came(
    client: AsyncClient, emulator: Emulator, file: str, size: int
) -> None:
    body = (WIRE / file).read_bytes()
    expected = [
        json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ") and "[DONE]" not in line
    ]
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    emulator.reply(CHAT, Reply(chunks=chunks, headers=EVENT_STREAM))
    stream = await open_stream(client)
    assert [chunk.to_dict() async for chunk in stream] == expected


async def test_a_function_call_inside_a_stream(client: AsyncClient, emulator: Emulator) -> None:
    emulator.answer({"function_call": {"name": "weather", "arguments": {"place": "Тула"}}})
    functions = [{"name": "weather", "parameters": {"type": "object", "properties": {}}}]
    stream = await client.chat.completions.create(messages=MESSAGES, functions=functions, stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream]
    assert deltas[0].function_call.arguments == {"place": "Тула"}
    assert deltas[0].functions_state_id


async def test_stream_false_and_none_give_the_whole_answer(client: AsyncClient, emulator: Emulator) -> None:
    for stream in (False, None):
        answer = await client.chat.completions.create(messages=MESSAGES, stream=stream)
        assert type(answer) is ChatCompletion
    assert all("stream" not in request.json() for request in emulator.requests_to(CHAT))


@pytest.mark.parametrize(
    ("value", "words"),
    [("8", "expected a number of bytes, got str"), (True, "got bool"), (0, "give a number over 0, not 0")],
)
async def test_a_bound_that_is_none_is_refused(connect: Connect, emulator: Emulator, value: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"max_event_bytes: .*{words}"):
        connect(emulator, max_event_bytes=value)
