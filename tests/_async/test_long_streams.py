"""Streams of any length: what has been read is not kept."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gigachat_sdk import AsyncClient

pytestmark = pytest.mark.anyio
CHUNKS = 50_000
EVENTS = {
    "v1": (b'data: {"choices":[{"delta":{"content":"x"},"index":0}]}\n\n', b"data: [DONE]\n\n"),
    "v2": (
        b'event: response.message.delta\ndata: {"messages":[{"role":"assistant","content":[{"text":"x"}]}]}\n\n',
        b'event: response.message.done\ndata: {"finish_reason":"stop"}\n\n',
    ),
}


class Repeated(httpx.AsyncByteStream):
    """One event again and again, a few at a time, and then the last one."""

    def __init__(self, event: bytes, last: bytes) -> None:
        self.event = event
        self.last = last

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(CHUNKS // 5):
            yield self.event * 5
        yield self.last


async def open_stream(client: AsyncClient, contract: str) -> Any:
    messages: Any = [{"role": "user", "content": "?"}]
    if contract == "v1":
        return await client.chat.completions.create(messages=messages, stream=True)
    return await client.v2.chat.completions.create(messages=messages, stream=True)


@pytest.mark.parametrize("contract", sorted(EVENTS))
async def test_memory_stays_flat_over_fifty_thousand_chunks(contract: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Repeated(*EVENTS[contract]))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        client = AsyncClient(access_token="t", http_client=http_client)
        stream = await open_stream(client, contract)
        count, sizes = 0, list[int]()
        tracemalloc.start()
        try:
            async for _ in stream:
                count += 1
                if count % (CHUNKS // 5) == 0:
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count >= CHUNKS
    assert len(sizes) == 5
    # A chunk takes about two thousand bytes. The text itself is kept, for the error of a stream that is cut.
    assert sizes[-1] - sizes[0] < 12 * CHUNKS
    assert peak - sizes[0] < 24 * CHUNKS
