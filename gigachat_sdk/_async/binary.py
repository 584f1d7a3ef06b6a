"""Downloads: the bytes of a file, whole, in pieces, or straight to a disk."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from os import PathLike
from types import TracebackType

from typing_extensions import Self

from .._concurrency import async_in_thread
from .._downloads import PartFile
from .._failures import Failure
from .._lifetimes import async_when_dropped
from .._turn import Turn
from ..errors import APIConnectionError, GigaChatError, InvalidRequestError, InvalidRequestTypeError
from ..types.http import ResponseInfo
from .session import AsyncSession
from .transport import AsyncAnswer

_BROKEN_OFF = "an earlier read of it was broken off"
_DISK_PIECE = 256 * 1024  # bytes written at once: each goes through a thread


class _AsyncPieces(AsyncIterator[bytes]):
    """The pieces of a body, cut to a size where one is asked for; an object, which needs no closing."""

    def __init__(
        self,
        next_piece: Callable[[], Awaitable[bytes | None]],
        break_off: Callable[[], Awaitable[None]],
        size: int | None,
        kept: bytes | None,
    ) -> None:
        self._next_piece = next_piece
        self._break_off = break_off
        self._size = size
        self._rest = bytearray(kept or b"")
        self._is_at_end = kept is not None
        self._turn = Turn("download")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        taken, me = self._turn.taken, object()
        try:
            if taken.setdefault("by", me) is not me:
                raise self._turn.refusal()
            return await self._next()
        except (GigaChatError, StopAsyncIteration):
            raise
        except BaseException:  # a cancellation, or what a signal's handler has raised: a piece may be lost
            if taken.get("by") is me:
                self._rest.clear()
                self._is_at_end = False
                await self._break_off()
            raise
        finally:
            if "by" in taken and taken["by"] is me:
                del taken["by"]

    async def _next(self) -> bytes:
        size = self._size
        while not self._is_at_end and (not self._rest if size is None else len(self._rest) < size):
            piece = await self._next_piece()
            if piece is None:
                self._is_at_end = True
            elif size is None and piece:
                return piece
            else:
                self._rest += piece
        if not self._rest:
            raise StopAsyncIteration
        piece = bytes(self._rest[:size])
        del self._rest[:size]
        return piece


class AsyncBinaryResponse:
    """The bytes of a file whose head has arrived; they are fetched as you read them.

    Take one of `read()`, `iter_bytes()` and `write_to_file(...)`. Reading to the end gives the connection back; use it
    as a context manager, or call `aclose()`, to give it back early. Nothing is asked again once a download has begun.

    Raises:
        APIConnectionError: While reading: the download was cut; the message says how many bytes had come.
        GigaChatError: It was read already, or closed; or another task or thread reads it.

    Example:
        >>> async with await client.files.content("c757a9c5-de04-498f-baa3-efcc54de7853") as content:
        ...     await content.write_to_file("cat.jpg")
    """

    def __init__(self, answer: AsyncAnswer, session: AsyncSession) -> None:
        self._answer = answer
        self._session = session  # keeps the connections open, should the client be gone before this is read
        self._content: bytes | None = None
        self._received = 0
        self._is_begun = False
        self._is_broken_off = False
        self._is_closed = False
        self._watch = async_when_dropped(self, answer.http.aclose)

    @property
    def content_type(self) -> str | None:
        """The MIME type of the bytes, for example `"image/jpeg"`; None where the service does not say."""
        return self.response.headers.get("content-type")

    @property
    def content_length(self) -> int | None:
        """How many bytes there are; None where the service does not say."""
        headers = self.response.headers
        length = headers.get("content-length", "")
        return int(length) if length.isdecimal() and "content-encoding" not in headers else None

    @property
    def response(self) -> ResponseInfo:
        """Status, headers, time to the head and retries of the exchange."""
        return self._answer.response

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer; None where there is none."""
        return self.response.request_id

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or read to its end."""
        return self._is_closed

    async def read(self) -> bytes:
        """Return all bytes; they are kept, so a second call returns them again.

        Raises:
            APIConnectionError: The download was cut.
            GigaChatError: It was read in pieces already, or closed.
        """
        if self._content is None:
            self._begin()
            pieces: list[bytes] = []
            try:
                while (piece := await self._next_piece()) is not None:
                    pieces.append(piece)
            except GigaChatError:
                raise
            except BaseException:
                await self._break_off()
                raise
            self._content = b"".join(pieces)
        return self._content

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Return an iterator over the bytes as they arrive.

        Args:
            chunk_size: Bytes of each piece but the last; None for pieces as they come.

        Raises:
            InvalidRequestError: `chunk_size` is no positive number.
            APIConnectionError: While iterating: the download was cut.
            GigaChatError: It was read in pieces already, or closed.

        Example:
            >>> content = await client.files.content("c757a9c5-de04-498f-baa3-efcc54de7853")
            >>> sum([len(piece) async for piece in content.iter_bytes()])
            42966
        """
        if chunk_size is not None:
            if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
                text = f"chunk_size: expected a whole number of bytes, got {type(chunk_size).__name__}"
                raise InvalidRequestTypeError(text, param="chunk_size")
            if chunk_size < 1:
                raise InvalidRequestError(f"chunk_size: give 1 or more, not {chunk_size}", param="chunk_size")
        self._begin()
        return _AsyncPieces(self._next_piece, self._break_off, chunk_size, self._content)

    async def write_to_file(self, path: str | PathLike[str]) -> None:
        """Write the bytes to a file, as they arrive: a file of any size costs no memory.

        They go to a file beside the target, which takes its place when it is complete. Whatever goes wrong, the target
        is as it was before, and nothing else is left behind.

        Args:
            path: The file to write; one that is there is replaced.

        Raises:
            OSError: The file cannot be written.
            APIConnectionError: The download was cut.
            GigaChatError: It was read in pieces already, or closed.
        """
        part = PartFile(path, uuid.uuid4().hex)
        self._check()
        try:
            await async_in_thread(part.open)
            try:
                async for piece in self.iter_bytes(_DISK_PIECE):
                    await async_in_thread(partial(part.write, piece))
                await async_in_thread(part.commit)
            finally:
                await self._let_go()
        finally:
            part.discard()

    def _check(self) -> None:
        if self._content is not None:
            return
        if self._is_broken_off:
            raise self._cut(_BROKEN_OFF, APIConnectionError)
        if self._is_begun:
            raise GigaChatError("this download was read already; fetch it again, or keep what read() returns")
        if self._is_closed:
            raise GigaChatError("this download is closed; read it inside its 'with' block, or fetch it again")

    def _begin(self) -> None:
        self._check()
        self._is_begun = True

    async def _next_piece(self) -> bytes | None:
        """Return the next piece; at the end None, and the connection is given back."""
        reason = ""
        kind: type[APIConnectionError] = APIConnectionError
        if not self._is_closed:
            try:
                piece = await self._answer.http.next_piece()
            except Failure as failure:
                reason, kind = failure.error.message, type(failure.error)
            else:
                if piece is not None:
                    self._received += len(piece)
                    return piece
                reason = "the service closed the connection"
                if self.content_length in (None, self._received) and not self._is_closed:
                    await self._let_go()
                    return None
        if self._is_broken_off:
            reason = _BROKEN_OFF
        elif self._is_closed:  # by another thread or task
            reason = "it was closed"
        await self._let_go()
        raise self._cut(reason, kind)

    async def _break_off(self) -> None:
        """Remember that a read was broken off, whose bytes may be lost: the next one must not go on after them."""
        self._is_broken_off = True
        await self._let_go()

    async def _let_go(self) -> None:
        with suppress(Exception):  # it must not hide what else there is to tell
            await self.aclose()

    def _cut(self, reason: str, kind: type[APIConnectionError]) -> APIConnectionError:
        if self._session.transport.http.is_closed:
            reason = "the client was closed"
        length = self.content_length
        so_far = f"{self._received} bytes" if length is None else f"{self._received} of {length} bytes"
        text = f"the download was cut after {so_far}: {reason}; nothing is asked again by itself"
        return kind(text, sent=True, request=self._answer.request)

    async def aclose(self) -> None:
        """Give the connection back at once; what has not been read is lost."""
        self._is_closed = True
        self._watch.detach()
        await self._answer.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<{type(self).__name__} {state}, {self.content_type}, request id {self.request_id}>"
