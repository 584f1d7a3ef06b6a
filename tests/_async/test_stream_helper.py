"""`chat.completions.stream(...)` of both contracts: a block, its events, its text, and what they add up to."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from gigachat_sdk import (
    APIResponseValidationError,
    AsyncClient,
    AsyncCompletionStream,
    ChatCompletion,
    ChatCompletionChunk,
    GigaChatError,
    InvalidRequestError,
    NotFoundError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import v2

from .conftest import Connect
from .servers import STREAM_HEAD, RawServer, http_chunk

pytestmark = pytest.mark.anyio

PATHS = {"v1": "/v1/chat/completions", "v2": "/v2/chat/completions"}
TEXT = "Вы написали: Привет, как дела?"
MESSAGES: list[Any] = [{"role": "user", "content": "Привет, как дела?"}]


@pytest.fixture(params=["v1", "v2"])
def contract(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def completions(client: AsyncClient, contract: str) -> Any:
    return client.chat.completions if contract == "v1" else client.v2.chat.completions


def stream_of(client: AsyncClient, contract: str, **params: Any) -> AsyncCompletionStream[Any, Any]:
    return completions(client, contract).stream(messages=MESSAGES, **params)


def cut(contract: str) -> Reply:
    if contract == "v1":
        return Reply.sse([{"choices": [{"delta": {"content": "При"}}]}], done=False)
    return Reply.sse([{"messages": [{"role": "assistant", "content": [{"text": "При"}]}]}], done=False)


async def read(stream: AsyncCompletionStream[Any, Any]) -> list[Any]:
    return [event async for event in stream]


async def test_events_add_up_to_the_whole_answer(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    whole = await completions(client, contract).create(messages=MESSAGES)
    async with stream_of(client, contract) as stream:
        events = await read(stream)
        final = await stream.get_final_completion()
    assert len(events) > 3
    assert {type(event) for event in events} == {ChatCompletionChunk if contract == "v1" else v2.ChatCompletionChunk}
    assert type(final) is (ChatCompletion if contract == "v1" else v2.ChatCompletion)
    assert {**final.to_dict(), **dates(whole)} == whole.to_dict()
    assert await stream.get_final_text() == TEXT
    assert stream.snapshot == final
    assert final.request_id == stream.request_id == events[0].request_id == stream.response.headers["x-request-id"]
    assert emulator.requests_to(PATHS[contract])[1].json()["stream"] is True


def dates(completion: Any) -> dict[str, Any]:
    return {name: value for name, value in completion.to_dict().items() if name.startswith("created")}


async def test_text_comes_alone(client: AsyncClient, contract: str) -> None:
    async with stream_of(client, contract) as stream:
        texts = [text async for text in stream.text_stream]
    assert "".join(texts) == TEXT
    assert len(texts) > 3
    assert all(texts)
    assert await stream.get_final_text() == TEXT


async def test_text_may_be_left_and_taken_up_again(client: AsyncClient, contract: str) -> None:
    async with stream_of(client, contract) as stream:
        said = ""
        async for text in stream.text_stream:
            said += text
            break
        async for text in stream.text_stream:
            said += text
            break
        event = await stream.__anext__()
        said += event.text if contract == "v2" else event.choices[0].delta.content
        said += "".join([text async for text in stream.text_stream])
    assert said == TEXT


async def test_the_snapshot_grows(client: AsyncClient, contract: str) -> None:
    sizes: list[int] = []
    async with stream_of(client, contract) as stream:
        assert stream.snapshot is None
        async for _ in stream:
            snapshot = stream.snapshot
            assert snapshot.request_id == stream.request_id
            sizes.append(len(snapshot.text if contract == "v2" else snapshot.choices[0].message.content))
    assert sizes == sorted(sizes)
    assert 0 < sizes[0] < sizes[-1] == len(TEXT)


async def test_the_final_answer_reads_what_is_left(client: AsyncClient, contract: str) -> None:
    async with stream_of(client, contract) as stream:
        await stream.__anext__()
        assert await stream.get_final_text() == TEXT
        assert (await stream.get_final_completion()).usage.total_tokens > 0
        assert await read(stream) == []


async def test_functions_come_whole(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    emulator.answer({"function_call": {"name": "f", "arguments": {"a": 1}}})
    function = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    params: Any = {"functions": [function]} if contract == "v1" else {"tools": [function]}
    async with stream_of(client, contract, **params) as stream:
        final = await stream.get_final_completion()
    calls = final.function_calls if contract == "v2" else [final.choices[0].message.function_call]
    assert [(call.name, call.arguments) for call in calls] == [("f", {"a": 1})]
    back: Any = final.messages if contract == "v2" else [final.choices[0].message]
    result: Any = (
        {"role": "tool", "content": [{"function_result": {"name": "f", "id": calls[0].id, "result": {}}}]}
        if contract == "v2"
        else {"role": "function", "name": "f", "content": {}}
    )
    emulator.answer("Готово")
    async with completions(client, contract).stream(messages=[*MESSAGES, *back, result], **params) as stream:
        assert await stream.get_final_text() == "Готово"


async def test_the_request_is_sent_on_entering(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    stream = stream_of(client, contract)
    await stream.aclose()
    assert emulator.requests == []
    assert repr(stream) == "<AsyncCompletionStream not entered>"
    async with stream as entered:
        assert entered is stream
        assert repr(stream) == "<AsyncCompletionStream open>"
    assert repr(stream) == "<AsyncCompletionStream closed>"
    assert len(emulator.requests_to(PATHS[contract])) == 1


async def test_mistakes_are_told_before_it(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^model: expected a string, got 5"):
        stream_of(client, contract, model=5)
    with pytest.raises(TypeError, match=r"stream\(\) takes no stream: it streams by itself"):
        stream_of(client, contract, stream=True)
    with pytest.raises(TypeError, match=r"stream\(\) missing 1 required keyword-only argument: 'messages'"):
        completions(client, contract).stream()
    assert emulator.requests == []


async def test_outside_of_its_block_there_is_nothing(client: AsyncClient, contract: str) -> None:
    stream = stream_of(client, contract)
    words = "this stream is read inside its block"
    assert stream.snapshot is None
    with pytest.raises(GigaChatError, match=words):
        await stream.__anext__()
    with pytest.raises(GigaChatError, match=words):
        await stream.text_stream.__anext__()
    with pytest.raises(GigaChatError, match=words):
        await stream.get_final_text()
    with pytest.raises(GigaChatError, match=words):
        _ = stream.response
    with pytest.raises(GigaChatError, match=words):
        _ = stream.request_id


async def test_a_block_is_entered_once(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    async with stream_of(client, contract) as stream:
        assert await read(stream)
    with pytest.raises(GigaChatError, match="entered before"):
        await stream.__aenter__()
    assert len(emulator.requests_to(PATHS[contract])) == 1


async def test_a_refusal_is_raised_on_entering(client: AsyncClient, contract: str) -> None:
    stream = stream_of(client, contract, model="Nobody")
    with pytest.raises(NotFoundError, match="No such model"):
        await stream.__aenter__()
    assert stream.snapshot is None
    await stream.aclose()


async def test_a_stream_that_is_cut_keeps_what_had_arrived(
    client: AsyncClient, emulator: Emulator, contract: str
) -> None:
    emulator.reply(PATHS[contract], cut(contract))
    async with stream_of(client, contract) as stream:
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.get_final_completion()
    assert caught.value.text == "При"
    assert caught.value.partial == stream.snapshot
    with pytest.raises(GigaChatError, match=r"left before its end; \.snapshot holds what had arrived"):
        await stream.get_final_text()


async def test_an_error_of_the_service_comes_through_text_too(
    client: AsyncClient, emulator: Emulator, contract: str
) -> None:
    emulator.reply(PATHS[contract], Reply.sse([{"status": 500, "message": "m"}]))
    async with stream_of(client, contract) as stream:
        with pytest.raises(StreamError, match="the service sent an error 500 inside the stream: m"):
            await stream.text_stream.__anext__()


async def test_a_stream_without_an_answer(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    emulator.reply(PATHS[contract], Reply.sse([]))
    async with stream_of(client, contract) as stream:
        with pytest.raises(APIResponseValidationError, match="the stream brought no answer before its end") as caught:
            await stream.get_final_completion()
    assert caught.value.request_id == stream.request_id


async def test_leaving_early_gives_the_connection_back(connect: Connect, contract: str) -> None:
    document: dict[str, Any] = {
        "choices": [{"delta": {"content": "а"}}],
        "messages": [{"role": "assistant", "content": [{"text": "а"}]}],
    }
    event = http_chunk(b"data: " + json.dumps(document).encode() + b"\n\n")
    with RawServer(lambda connection, request: [STREAM_HEAD, event]) as server:
        client = connect(access_token="t", base_url=server.url + "/v1")
        with contextlib.suppress(ZeroDivisionError):
            async with stream_of(client, contract) as stream:
                await stream.__anext__()
                raise ZeroDivisionError
        assert server.wait_until_all_are_closed()
        async with stream_of(client, contract) as stream:
            async for _ in stream.text_stream:
                break
            await stream.aclose()
            with pytest.raises(GigaChatError, match="left, or cut, before its end"):
                await read(stream)
            with pytest.raises(GigaChatError, match="left before its end"):
                await stream.get_final_completion()
        assert server.wait_until_all_are_closed()


async def test_what_was_read_to_its_end_can_be_asked_for_after_the_block(client: AsyncClient, contract: str) -> None:
    async with stream_of(client, contract) as stream:
        assert await read(stream)
    assert await stream.get_final_text() == TEXT
    assert (await stream.get_final_completion()).request_id == stream.request_id


async def test_iterating_outside_of_the_block_is_told(client: AsyncClient, contract: str) -> None:
    with pytest.raises(GigaChatError, match="is read inside its block"):
        async for _ in stream_of(client, contract):
            pass
