"""Bodies as httpx iterates over them; objects and no generators, which trio would miss when a connection breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from .._body import Body
from .._concurrency import async_in_thread


class AsyncBytesBody(httpx.AsyncByteStream):
    """The bytes of a request; an object and no generator, which trio would miss when the connection breaks in it."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class AsyncSourceBody(httpx.AsyncByteStream):
    """The bytes of a request that are read while they are sent."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await async_in_thread(self._body.read)
        if not piece:
            raise StopAsyncIteration
        return piece


class AsyncRawBody(httpx.AsyncByteStream):
    """A body as it came, for httpx to decode; an object and no generator, so that it outlives a failed decoding."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await self._pieces.__anext__()
        return piece
