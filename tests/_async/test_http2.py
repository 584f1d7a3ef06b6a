"""HTTP/2: each request has a connection of its own, so that no stream takes another along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gigachat_sdk import APITimeoutError, AsyncClient, StreamInterruptedError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "one two three"}]
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
STALLED = Reply(chunks=[EVENT, EVENT], chunk_delay=60, headers={"Content-Type": "text/event-stream"})
IMPATIENT = httpx.Timeout(30, read=2.0)  # the head is to come within it


@pytest.fixture
def https_emulator() -> Iterator[Emulator]:
    """One for each test: what a request that never arrived has left of its replies must not meet the next test."""
    with Emulator(https=True) as running:
        yield running


@pytest.fixture
def client(connect: Connect, https_emulator: Emulator) -> AsyncClient:
    return connect(https_emulator, http2=True)


async def open_stream(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, stream=True, **options)


async def rest(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content async for chunk in stream])


async def test_a_stream_that_times_out_does_not_take_its_siblings_along(
    client: AsyncClient, https_emulator: Emulator
) -> None:
    sibling = await open_stream(client)
    https_emulator.reply(CHAT, STALLED)
    slow = await open_stream(client, timeout=IMPATIENT, max_retries=0)
    with pytest.raises(StreamInterruptedError):
        await rest(slow)
    assert sibling.response.http_version == "HTTP/2"
    assert await rest(sibling) == "Вы написали: one two three"


async def test_a_call_that_times_out_does_not_take_its_siblings_along(
    client: AsyncClient, https_emulator: Emulator
) -> None:
    sibling = await open_stream(client)
    https_emulator.reply(CHAT, Reply(delay=60))
    with pytest.raises(APITimeoutError):
        await client.chat.completions.create(messages=MESSAGES, timeout=httpx.Timeout(30, read=0.1), max_retries=0)
    assert await rest(sibling) == "Вы написали: one two three"


async def test_a_connection_serves_one_request_after_the_other(client: AsyncClient) -> None:
    for _ in range(3):
        await client.chat.completions.create(messages=MESSAGES)
        await rest(await open_stream(client))
    assert client._session.transport.http.connections == 1


async def test_a_stream_left_early_tells_the_server_at_once(client: AsyncClient, https_emulator: Emulator) -> None:
    https_emulator.reply(CHAT, STALLED)
    stream = await open_stream(client)
    await stream.__anext__()
    assert client._session.transport.http.connections == 1
    await stream.aclose()
    assert client._session.transport.http.connections == 0
    assert await rest(await open_stream(client)) == "Вы написали: one two three"
    assert client._session.transport.http.connections == 1
