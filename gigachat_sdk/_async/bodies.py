"""Bodies as httpx iterates over them; objects and no generators, which trio would miss when a connection breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from .._body import Body
from .._concurrency import async_read_in_thread
from .._deadline import DeadlineError
from .._decompress import CutError, DecompressError, Decompressor
from .._failures import SpentBody


class AsyncBytesBody(httpx.AsyncByteStream):
    """The bytes of a request; an object and no generator, which trio would miss when the connection breaks in it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._rest: list[bytes] = []

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Once more where an HTTP/2 connection ended before it took the request: httpcore goes to another one by itself.
        self._rest = [self._body]
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class AsyncSourceBody(httpx.AsyncByteStream):
    """The bytes of a request that are read while they are sent; once more where a given client's `auth` asks so."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._is_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._is_begun and not self._body.rewind():
            raise SpentBody
        self._is_begun = True
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await async_read_in_thread(self._body.read)
        except DeadlineError:
            piece = None
        if piece is None:
            raise httpx.WriteTimeout("the source of the body gave nothing in time")
        if not piece:
            raise StopAsyncIteration
        return piece


class AsyncDecompressed:
    """The pieces of a compressed answer, decompressed; an object and no generator, so that it outlives an error."""

    def __init__(self, pieces: Any, encoding: str) -> None:
        self._pieces = pieces
        self._decompressor = Decompressor(encoding)

    async def __anext__(self) -> bytes:
        found = b""
        wrong: Exception
        try:
            while not found:
                found = self._decompressor.feed(await self._pieces.__anext__())
        except StopAsyncIteration:
            wrong = self._end()
        except DecompressError as error:
            wrong = httpx.DecodingError(str(error))
        else:
            return found
        raise wrong

    def _end(self) -> Exception:
        try:
            self._decompressor.end()
        except CutError as error:
            return httpx.RemoteProtocolError(str(error))
        return StopAsyncIteration()
