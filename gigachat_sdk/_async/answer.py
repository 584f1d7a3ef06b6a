"""An answer of the HTTP layer: its body, read once and within the deadline, and its connection, given back."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import httpx

from .._concurrency import async_finish_soon, async_interrupt
from .._constants import BODY_END_WAIT, CLOCK_ERROR
from .._deadline import Deadline, running
from .._decompress import is_known
from .._failures import Failure, failure_of, is_of_the_network
from .._lifetimes import async_begin
from .._logging import logger
from .._retry import Outcome
from .._turn import inherited
from ..errors import APIConnectionError, APITimeoutError
from ..limits import Slot
from ..types.http import Headers
from .bodies import AsyncBytesBody, AsyncDecompressed
from .pool import AsyncPool


class AsyncHTTPResponse:
    """An answer whose head has arrived."""

    def __init__(
        self,
        request: httpx.Request,
        response: httpx.Response,
        started: float,
        pool: AsyncPool,
        deadline: Deadline | None = None,
        slot: Slot | None = None,
    ) -> None:
        self._deadline = deadline
        self._slot = slot
        self._process = os.getpid()
        self._request = request  # not response.request: a given client may have sent another one
        self._response = response
        self._pool = pool
        self._raw: Any = None  # httpx's generator; typed as an iterator there, which cannot be closed
        self._pieces: Any = None  # the same, or what decodes it
        self._is_reading = False
        self._is_at_end = False
        self._is_closed = False
        self._started = started
        self.status_code: int = response.status_code
        self.headers: Headers = Headers(response.headers.raw)
        version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
        self.http_version: str = version.decode("ascii", "replace")

    @property
    def elapsed(self) -> float:
        """Seconds since the request was begun."""
        return time.perf_counter() - self._started

    async def read_into(self, pieces: list[bytes]) -> None:
        """Read the whole body and give the connection back; what was read before an error stays in `pieces`.

        Raises:
            Failure: The body was cut, or time ran out.
        """
        try:
            while (piece := await self.next_piece()) is not None:
                pieces.append(piece)
        finally:
            await self.let_go()

    async def next_piece(self) -> bytes | None:
        """Read the next piece of the body; None at its end. Whatever breaks a read off closes the answer.

        Raises:
            Failure: The body was cut, or time ran out; or it was closed before its end.
            GigaChatError: This is a forked child, and the answer its parent's.
        """
        if self._process != os.getpid():
            raise inherited("answer")
        if self._pool.is_retired and self._pool.capacity is None:  # of a given client: ours alone was closed
            await self.let_go()
        if self._deadline is None or self._is_closed:
            return await self._next_piece()
        if self._deadline.remaining <= 0:
            raise too_late(self._deadline, sent=True)
        with running(self._deadline):
            return await self._next_piece()

    async def _next_piece(self) -> bytes | None:
        is_first = self._pieces is None
        # Another thread that closes sets `_is_closed` and then looks here: one of the two knows of the other.
        self._is_reading = True
        try:
            if self._is_closed:  # httpx would take it for the end of the body
                raise closed_early()
            if is_first:
                self._begin()
            piece: bytes = await async_begin(self._pieces.__anext__) if is_first else await self._pieces.__anext__()
        except StopAsyncIteration:
            self._is_reading = False
            if self._is_closed:  # meanwhile, and a body without a length ends where its connection does
                raise closed_early() from None
            self._is_at_end = True
            return None
        except BaseException as error:
            self._is_reading = False
            await self.let_go()
            if not is_of_the_network(error):
                raise
            failure = in_time(failure_of(error, self._request, self._pool.route), self._deadline)
        else:
            if self._was_closed():  # by another task, which has left the generators to this one
                await self._end_reading()
            self._is_reading = False
            return piece
        raise failure

    def _was_closed(self) -> bool:
        return self._is_closed

    def _begin(self) -> None:
        if self._response.is_closed:  # something of a given client has read it, and has decoded it, too
            if self._is_closed:  # or else another thread has just closed it
                raise closed_early()
            self._raw = self._pieces = AsyncBytesBody(self._response.content).__aiter__()
            return
        # Its own iteration: httpx's adds two layers of generators, and takes half of a compressed body for a whole one.
        stream: Any = self._response.stream
        self._raw = self._pieces = stream.__aiter__()
        encoding: str = self._response.headers.get("content-encoding", "")  # ours would fold all fields for it
        if encoding and (self.status_code < 400 or is_known(encoding)):  # an error is told by its status all the same
            self._pieces = AsyncDecompressed(self._raw, encoding)

    async def finish(self) -> None:
        """Read the end of a complete body, so that its connection can be used again; give up if it lags behind."""
        self._is_at_end = self.http_version != "HTTP/1.1" and self._pool.capacity != 1  # a given client's, for many
        try:
            if not self._is_at_end:
                await async_finish_soon(self._read_to_end, BODY_END_WAIT, self._socket())
        finally:  # a cancellation must not keep the place
            await self.let_go()

    async def _read_to_end(self) -> None:
        with suppress(Failure):  # the answer is complete without it; the connection is closed
            while await self.next_piece() is not None:
                pass

    def _socket(self) -> Any:
        """The socket of a connection that serves this answer alone."""
        is_own = (self.http_version == "HTTP/1.1" or self._pool.capacity == 1) and not self._response.is_closed
        stream = self._response.extensions.get("network_stream") if is_own else None
        return None if stream is None else stream.get_extra_info("socket")

    async def let_go(self) -> None:
        """Close it where there is something else to tell than what closing raises."""
        try:
            await self.aclose()
        except Exception as error:
            logger.debug("closing the connection of an answer raised %s", type(error).__name__)

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        if self._is_closed:
            return
        if self._process != os.getpid():  # after a fork the connection is the parent's, who may be reading
            self._is_closed = True
            return
        # What may be given back twice comes first: a signal's handler may end this at any line, and it is called again.
        if self._slot is not None:
            self._slot.release()
        is_left = self.http_version == "HTTP/2" and not self._is_at_end
        if is_left:
            self._pool.abandon(self._request)
        else:
            self._pool.release(self._request)
        self._is_closed = True
        is_read_elsewhere = self._is_reading  # by another thread or task, which this wakes
        if is_read_elsewhere:
            async_interrupt(self._socket())
        try:
            await self._response.aclose()
        finally:
            if not is_read_elsewhere:
                await self._end_reading()
            if is_left:
                await self._pool.leave()

    async def _end_reading(self) -> None:
        if hasattr(self._raw, "aclose"):  # a given transport may give an iterator
            await self._raw.aclose()


def is_spent(response: httpx.Response) -> bool:
    """Say whether the bytes of an answer are gone before anybody could read them."""
    if not (response.is_closed or response.is_stream_consumed):
        return False
    try:
        _ = response.content
    except httpx.ResponseNotRead:
        return True
    return False


def closed_early() -> Failure:
    """Return the failure of whoever reads what another thread or task has closed."""
    return Failure(APIConnectionError("it was closed before its end", sent=True), Outcome.FINAL)


def too_late(deadline: Deadline, *, sent: bool) -> Failure:
    """Return the failure of whoever has no time left."""
    return Failure(APITimeoutError(deadline.words, sent=sent), Outcome.FINAL)


def in_time(failure: Failure, deadline: Deadline | None) -> Failure:
    """Say of a timeout that it was the deadline's, where it was."""
    if deadline is None or not isinstance(failure.error, APITimeoutError) or deadline.remaining > CLOCK_ERROR:
        return failure
    return too_late(deadline, sent=failure.error.sent)
