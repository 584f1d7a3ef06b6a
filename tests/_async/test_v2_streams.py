"""`client.v2.chat.completions.create(..., stream=True)`: named events, how they end, what becomes of the connection."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    APIResponseValidationError,
    AsyncClient,
    AsyncStream,
    GigaChatError,
    NotFoundError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.testing._replies import to_event
from gigachat_sdk.types.v2 import ChatCompletion, ChatCompletionChunk

from .conftest import Connect
from .servers import STREAM_HEAD, RawServer, http_chunk

pytestmark = pytest.mark.anyio

CHAT = "/v2/chat/completions"
WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
RECORDED = (WIRE / "primary_chat_stream_simple.sse").read_bytes()
MESSAGES: list[Any] = [{"role": "user", "content": "Привет, как дела? Расскажи что-нибудь"}]
DELTA, DONE = "response.message.delta", "response.message.done"
END = {"finish_reason": "stop"}


def says(text: str, role: str = "assistant") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [{"text": text}]}]}


async def opened(client: AsyncClient, **params: Any) -> AsyncStream[ChatCompletionChunk]:
    return await client.v2.chat.completions.create(messages=MESSAGES, stream=True, **params)


async def read(client: AsyncClient, emulator: Emulator, reply: Reply) -> list[ChatCompletionChunk]:
    emulator.reply(CHAT, reply)
    return [chunk async for chunk in await opened(client)]


async def listen(stream: AsyncStream[ChatCompletionChunk], seen: list[str]) -> None:
    async for chunk in stream:
        seen.append(chunk.text)  # noqa: PERF401  # to be seen even if an error follows


async def test_a_stream_tells_the_same_as_the_whole_answer(client: AsyncClient, emulator: Emulator) -> None:
    whole = await client.v2.chat.completions.create(messages=MESSAGES)
    stream = await opened(client)
    chunks = [chunk async for chunk in stream]
    assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert [chunk.event for chunk in chunks] == [DELTA] * (len(chunks) - 1) + [DONE]
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", whole.usage)
    assert stream.request_id == chunks[0].request_id == stream.response.headers["x-request-id"]
    assert (stream.is_closed, stream.is_complete) == (True, True)
    request = emulator.requests_to(CHAT)[1]
    assert request.json()["stream"] is True
    assert request.headers["accept"] == "text/event-stream"
    assert "stream" not in emulator.requests_to(CHAT)[0].json()


async def test_http_2_is_preferred_over_tls(connect: Connect, https_emulator: Emulator) -> None:
    async def versions(client: AsyncClient) -> list[str]:
        stream = await opened(client)
        async for chunk in stream:
            assert chunk.response == stream.response
        whole = await client.v2.chat.completions.create(messages=MESSAGES)
        return [stream.response.http_version, whole.response.http_version]

    assert await versions(connect(https_emulator)) == ["HTTP/2", "HTTP/1.1"]
    assert await versions(connect(https_emulator, http2=False)) == ["HTTP/1.1", "HTTP/1.1"]
    assert await versions(connect(https_emulator, http2=True)) == ["HTTP/2", "HTTP/2"]


@pytest.mark.parametrize("size", [1, 10, 1000])
async def test_the_recorded_stream_however_it_arrives(client: AsyncClient, emulator: Emulator, size: int) -> None:
    pieces = [RECORDED[start : start + size] for start in range(0, len(RECORDED), size)]
    reply = Reply(chunks=pieces, headers={"Content-Type": "text/event-stream"})
    chunks = await read(client, emulator, reply)
    documents = [json.loads(line[6:]) for line in RECORDED.decode().splitlines() if line.startswith("data: ")]
    assert [chunk.to_dict() for chunk in chunks] == documents
    assert [chunk.event for chunk in chunks] == [DELTA, DONE]
    twin = pickle.loads(pickle.dumps(chunks[0]))
    assert (twin, twin.event, twin.text, twin.request_id) == (chunks[0], DELTA, "1, 2, 3", chunks[0].request_id)


async def test_reasoning_tools_and_calls_have_events_of_their_own(client: AsyncClient, emulator: Emulator) -> None:
    stream = await opened(
        client,
        tools=["image_generate"],
        tool_config={"mode": "forced", "tool_name": "image_generate"},
        model_options={"reasoning": {"effort": "low"}},
    )
    chunks = [chunk async for chunk in stream]
    names = [chunk.event for chunk in chunks]
    assert "response.tool.in_progress" in names
    assert "response.tool.completed" in names
    assert "".join(chunk.reasoning for chunk in chunks)
    assert len([file for chunk in chunks for file in chunk.files]) == 1
    functions = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]
    stream = await opened(client, tools=functions, tool_config={"mode": "forced", "function_name": "f"})
    [*_, last] = [chunk async for chunk in stream]
    assert (last.event, last.finish_reason) == (DONE, "function_call")
    assert [call.name for call in last.function_calls] == ["f"]
    assert last.messages[0].state_id


@pytest.mark.parametrize(
    "reply",
    [
        Reply.sse([says("а"), says("б"), END], done=False),
        Reply.sse([says("а"), says("б"), END]),
        Reply.sse([says("а"), says("б")]),
        Reply.named_sse([(DELTA, says("а")), (DELTA, says("б")), (DONE, END)]),
        Reply.named_sse([(DELTA, says("а")), (DELTA, says("б")), (DONE, {**END, **says("аб")})]),
        Reply.named_sse(
            [(DELTA, says("а")), ("ping", ""), ("response.new", says("не мне")), (DONE, {**END, **says("б")})]
        ),
        Reply.named_sse([(DELTA, says("а")), (DELTA, says("б")), (DONE, {})]),
    ],
)
async def test_every_known_way_to_end(client: AsyncClient, emulator: Emulator, reply: Reply) -> None:
    assert "".join(chunk.text for chunk in await read(client, emulator, reply)) == "аб"


async def test_the_end_is_not_waited_for(client: AsyncClient, emulator: Emulator) -> None:
    reply = Reply.named_sse([(DELTA, says("а")), (DONE, END), (DELTA, says("б")), ("error", {"message": "m"})])
    assert [chunk.text for chunk in await read(client, emulator, reply)] == ["а", ""]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply.named_sse([(DELTA, says("ду", "reasoning")), (DELTA, says("При")), (DELTA, says("вет"))]), "Привет"),
        (Reply.named_sse([(DELTA, {**says("При"), **END})]), "При"),
        (Reply.sse([says("При")], done=False), "При"),
        (Reply.named_sse([(DELTA, says("При")), ("response.done", END)]), "При"),
        (
            Reply(
                chunks=[RECORDED[: RECORDED.index(b"event: response.message.done")]],
                headers={"Content-Type": "text/event-stream"},
            ),
            "1, 2, 3",
        ),
        (Reply(chunks=[RECORDED[:-1]], headers={"Content-Type": "text/event-stream"}), "1, 2, 3"),
    ],
)
async def test_a_stream_that_is_cut(client: AsyncClient, emulator: Emulator, reply: Reply, text: str) -> None:
    emulator.reply(CHAT, reply)
    stream = await opened(client)
    seen: list[str] = []
    with pytest.raises(StreamInterruptedError) as caught:
        await listen(stream, seen)
    error = caught.value
    assert "".join(seen) == error.text == text
    assert isinstance(error.partial, ChatCompletion)
    assert (error.partial.text, error.partial.request_id) == (text, stream.request_id)
    assert (stream.is_closed, stream.is_complete) == (True, False)
    assert pickle.loads(pickle.dumps(error)).partial == error.partial
    assert len(emulator.requests_to(CHAT)) == 1


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("error", {"status": 500, "message": "m"}),
        ("response.error", {"status": 500, "message": "m"}),
        ("", {"status": 500, "message": "m"}),
        (DELTA, {"status": 500, "message": "m"}),
    ],
)
async def test_an_error_inside_a_stream(client: AsyncClient, emulator: Emulator, name: str, data: Any) -> None:
    emulator.reply(CHAT, Reply.named_sse([(DELTA, says("При")), (name, data)]))
    seen: list[str] = []
    with pytest.raises(StreamError, match="the service sent an error 500 inside the stream: m") as caught:
        await listen(await opened(client), seen)
    assert (seen, caught.value.text, caught.value.body) == (["При"], "При", data)
    assert not isinstance(caught.value, StreamInterruptedError)


async def test_what_cannot_be_read_is_an_error(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(StreamError, match="an event of the stream is no ChatCompletionChunk: messages: "):
        await read(client, emulator, Reply.named_sse([(DELTA, {"messages": 5})]))


async def test_answers_that_are_no_stream(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="No such model"):
        await opened(client, model="Nobody")
    emulator.reply(CHAT, Reply(json={"messages": []}))
    with pytest.raises(APIResponseValidationError, match="a stream was asked for"):
        await opened(client)


async def test_a_stream_that_was_read_leaves_its_connection(connect: Connect) -> None:
    piece, end = (to_event(data, name) for name, data in ((DELTA, says("а")), (DONE, END)))
    with RawServer(
        lambda connection, request: [STREAM_HEAD, http_chunk(piece), http_chunk(end), http_chunk(b"")]
    ) as server:
        client = connect(access_token="t", base_url=server.url + "/v1", proxy=None)
        for _ in range(3):
            assert [chunk.text async for chunk in await opened(client)] == ["а", ""]
        assert (server.connections, len(server.requests)) == (1, 3)
        assert server.requests[0].startswith(b"POST /v2/chat/completions HTTP/1.1\r\n")
        async with await opened(client) as stream:
            await stream.__anext__()
        assert server.wait_until_all_are_closed()


async def test_a_stream_can_be_left_early(client: AsyncClient) -> None:
    async with await opened(client) as stream:
        assert (await stream.__anext__()).event == DELTA
    assert (stream.is_closed, stream.is_complete) == (True, False)
    with pytest.raises(GigaChatError, match="left, or cut, before its end"):
        [chunk async for chunk in stream]
    assert (await client.v2.chat.completions.create(messages=MESSAGES)).text
