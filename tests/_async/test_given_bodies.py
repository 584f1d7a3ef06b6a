"""The bodies of requests as a given client gets them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .conftest import Connect

pytestmark = pytest.mark.anyio

MESSAGES: Any = [{"role": "user", "content": "x"}]
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "y"}}]}


async def test_a_body_is_no_generator_which_trio_would_miss_when_a_call_is_cancelled(connect: Connect) -> None:
    sent: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        stream: Any = request.stream
        for _ in range(2):  # once more where a connection over HTTP/2 ended before it took the request
            pieces = stream.__aiter__()
            assert not hasattr(pieces, "gi_frame")
            assert not hasattr(pieces, "ag_frame")
            sent.append(b"".join([piece async for piece in pieces]))
        return httpx.Response(200, json=ANSWER)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as given:
        client = connect(access_token="t", http_client=given)
        await client.chat.completions.create(messages=MESSAGES)
    assert sent == [sent[0]] * 2
    assert b'"content":"x"' in sent[0]
