"""Parts that the user brings: token managers, stores and HTTP clients that do what they should not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gigachat_sdk import (
    AccessToken,
    APIResponseValidationError,
    AsyncClient,
    ConfigurationError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
TOKEN = "t0kenThatNobodyMaySee"


class Manager:
    """Gives what it is told to give."""

    def __init__(self, *given: Any) -> None:
        self.given = list(given)

    async def get_token(self) -> Any:
        return self.given.pop(0) if len(self.given) > 1 else self.given[0]

    async def invalidate(self, token: AccessToken) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (TOKEN, "get_token\\(\\) gave a str, and an AccessToken or None is due"),
        (AccessToken("s\u00e9cret"), "token_manager: there are characters outside ASCII"),
        (AccessToken(TOKEN + "\n"), "token_manager: there is white space"),
    ],
)
async def test_what_a_manager_gives_is_looked_at(connect: Connect, emulator: Emulator, given: Any, words: str) -> None:
    client = connect(emulator, token_manager=Manager(given))
    with pytest.raises(ConfigurationError, match=words) as caught:
        await client.models.list()
    assert TOKEN not in repr(caught.value)
    assert emulator.requests == []


async def test_a_renewed_token_is_looked_at_too(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, token_manager=Manager(AccessToken("expired-token"), 5))
    with pytest.raises(ConfigurationError, match="gave a int"):
        await client.models.list()


async def test_a_manager_may_give_no_token(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, token_manager=Manager(None), default_headers={"Authorization": "Bearer by-hand"})
    with pytest.raises(Exception, match="401"):
        await client.models.list()
    assert emulator.requests[0].headers["authorization"] == "Bearer by-hand"


def given_client(answer: Any, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer), **options)


async def test_a_hook_that_raises_is_the_users_own(connect: Connect) -> None:
    async def check(response: httpx.Response) -> None:
        response.raise_for_status()

    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(400, text="no")

    async with given_client(answer, event_hooks={"response": [check]}) as http_client:
        client = connect(access_token=TOKEN, base_url="http://h/v1", http_client=http_client)
        with pytest.raises(httpx.HTTPStatusError):
            await client.models.list()
    assert len(requests) == 1


async def test_any_version_of_http_is_shown(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": []}, extensions={"http_version": b"HTTP/3"})

    async with given_client(answer) as http_client:
        client = connect(access_token=TOKEN, base_url="http://h/v1", http_client=http_client)
        response = (await client.models.list()).response
    assert response is not None
    assert response.http_version == "HTTP/3"


async def test_an_exception_of_the_users_transport_passes_through_a_body(connect: Connect) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b'{"data": '
            raise KeyError("mine")

    async with given_client(lambda request: httpx.Response(200, stream=Body())) as http_client:
        client = connect(access_token=TOKEN, base_url="http://h/v1", http_client=http_client)
        with pytest.raises(KeyError, match="mine"):
            await client.models.list()


async def test_an_answer_that_shows_our_token_is_shown_without_it(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        said = request.headers["authorization"]
        if b'"stream":true' in request.content:
            body = f"data: {json.dumps({'message': said})}\n\n"
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=body)
        return httpx.Response(200, json={"headers": said})

    async with given_client(answer) as http_client:
        client = connect(access_token=TOKEN, base_url="http://h/v1", http_client=http_client)
        with pytest.raises(APIResponseValidationError) as refused:
            await client.models.list()
        assert refused.value.body == {"headers": "Bearer [hidden]"}
        with pytest.raises(StreamError, match=r"Bearer \[hidden\]"):
            async for _ in await client.chat.completions.create(messages=MESSAGES, stream=True):
                pass


async def test_a_call_that_a_closing_client_cuts_is_not_tried_again(connect: Connect, delays: list[float]) -> None:
    clients: list[AsyncClient] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await clients[0].aclose()
        raise httpx.ReadError("cut")

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await answer(request)

    async with httpx.AsyncClient(transport=Transport()) as http_client:
        clients.append(connect(access_token=TOKEN, base_url="http://h/v1", http_client=http_client))
        with pytest.raises(Exception, match="the connection to h was lost: cut"):
            await clients[0].models.list()
    assert delays == []


async def test_a_closed_copy_is_closed_and_its_parent_is_not(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator)
    copy = client.with_options(model="GigaChat-2")
    await copy.aclose()
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await copy.models.list()
    assert (await client.models.list()).data


async def test_a_stream_outlives_the_name_of_its_client(emulator: Emulator) -> None:
    async def ask() -> Any:
        client = emulator.async_client()
        return await client.chat.completions.create(messages=MESSAGES, stream=True)

    text = ""
    async with await ask() as stream:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == "Вы написали: hello"


async def test_a_stream_whose_client_is_closed_says_so(connect: Connect, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.sse([{"choices": []}, {"choices": []}], chunk_delay=0.05))
    client = connect(emulator)
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    await stream.__anext__()
    await client.aclose()
    with pytest.raises(StreamInterruptedError, match="the client was closed"):
        await stream.__anext__()
    await stream._answer.http.aclose()  # closed already
    assert stream.is_closed


async def test_a_stream_cut_after_fields_of_another_type_keeps_its_text(connect: Connect, emulator: Emulator) -> None:
    delta = {"content": "hi", "data_for_context": 5, "attachments": ["a"], "function_call": {"name": "f"}}
    chunk = {"choices": [{"delta": delta, "index": 0}], "usage": {"total_tokens": 1}}
    emulator.reply(CHAT, Reply.sse([chunk], done=False))
    with pytest.raises(StreamInterruptedError) as caught:
        async for _ in await connect(emulator).chat.completions.create(messages=MESSAGES, stream=True):
            pass
    assert caught.value.text == "hi"
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.attachments == ["a"]


async def test_streams_left_early_over_http2_do_not_use_a_connection_up(connect: Connect) -> None:
    with Emulator(https=True) as server:
        server.answer("слово " * 1_000)  # longer than the window of a stream: the server cannot end it
        client = connect(server, http2=True)
        for _ in range(110):
            async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                await stream.__anext__()
        assert (await client.models.list()).data
        await client.aclose()
