"""Streams of chunks: iterated, closed, never asked again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar

from typing_extensions import Self

from .._accumulate import Accumulator
from .._events import Event, EventDecoder, EventTooLargeError
from .._failures import Failure
from .._headers import hide_authorization
from .._lifetimes import async_when_dropped
from .._request import Call
from .._response import ChunkReader
from .._turn import Turn
from ..errors import GigaChatError, StreamError
from ..types._base import ResponseModel
from ..types.http import ResponseInfo
from .session import AsyncSession
from .transport import AsyncAnswer

ChunkT = TypeVar("ChunkT", bound=ResponseModel)


class AsyncStream(Generic[ChunkT]):
    """The chunks of an answer, as they arrive.

    Iterate over it; leave it, or use it as a context manager, to give the connection back early. Nothing is ever asked
    again once a stream has begun.

    Raises:
        StreamInterruptedError: While iterating: the stream was cut; `.text` and `.partial` hold what had arrived.
        StreamError: While iterating: the service sent an error, or an event cannot be read.
        GigaChatError: While iterating: another task or thread reads it, or it is that of a forked child's parent.

    Example:
        >>> async with await client.chat.completions.create(messages=messages, stream=True) as stream:
        ...     async for chunk in stream:
        ...         print(chunk.choices[0].delta.content or "", end="")
    """

    def __init__(self, answer: AsyncAnswer, reader: ChunkReader[ChunkT], session: AsyncSession) -> None:
        self._answer = answer
        self._session = session  # keeps the connections open, should the client be gone before its stream is read
        self._reader = reader
        self._decoder = EventDecoder(session.config.max_event_bytes)
        self._events: deque[Event] = deque()
        self._is_closed = False
        self._is_broken_off = False
        self._turn = Turn("stream")
        self._next_piece = answer.http.next_piece
        self._watch = async_when_dropped(self, answer.http.aclose)

    @property
    def response(self) -> ResponseInfo:
        """Status, headers, time to the first byte and retries of the exchange."""
        return self._answer.response

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer; None where there is none."""
        return self._answer.response.request_id

    @property
    def is_closed(self) -> bool:
        """Whether the stream was closed, or read to its end."""
        return self._is_closed

    @property
    def is_complete(self) -> bool:
        """Whether the end of the answer has been read."""
        return self._reader.is_done

    def __aiter__(self) -> Self:
        if self._is_broken_off:
            raise self._broken_off()
        if self._is_closed and not self._reader.is_done:
            raise GigaChatError("this stream was left, or cut, before its end; what is missing is not asked again")
        return self

    async def __anext__(self) -> ChunkT:
        events, reader = self._events, self._reader
        is_at_end = reader.is_done  # the event that says so has been handed over
        taken, me = self._turn.taken, object()
        try:
            if taken.setdefault("by", me) is not me:
                raise self._turn.refusal()
            while not self._is_closed:
                if reader.is_done:
                    is_at_end = True
                    await self._answer.http.finish()
                    await self.aclose()
                    break
                if events:
                    result = reader.read(events.popleft())
                    if result is None:
                        continue
                    if isinstance(result, Exception):
                        await self._let_go()
                        raise result
                    return result
                try:
                    piece = await self._next_piece()
                    events.extend(self._decoder.finish() if piece is None else self._decoder.feed(piece))
                    if piece is not None or events:
                        continue
                    error: StreamError[Any] = reader.interrupted(self._reason("the service closed the connection"))
                except (Failure, EventTooLargeError) as failure:
                    if self.is_closed:  # by another thread or task
                        break
                    error = self._error(failure)
                await self._let_go()
                raise error
            if self._is_broken_off:
                raise self._broken_off()
            raise StopAsyncIteration
        except (GigaChatError, StopAsyncIteration):
            raise
        except BaseException:  # a cancellation, or what a signal's handler has raised: an event may be lost
            if taken.get("by") is me:
                self._is_broken_off = not is_at_end
                await self._let_go()
            raise
        finally:
            if "by" in taken and taken["by"] is me:
                del taken["by"]

    def _broken_off(self) -> StreamError[Any]:
        return self._reader.interrupted("an earlier read of it was broken off")

    def _error(self, failure: Failure | EventTooLargeError) -> StreamError[Any]:
        if isinstance(failure, Failure):
            return self._reader.interrupted(self._reason(failure.error.message))
        return self._reader.unreadable(str(failure))

    def _reason(self, otherwise: str) -> str:
        return "the client was closed" if self._session.transport.http.is_closed else otherwise

    async def aclose(self) -> None:
        """Give the connection back at once; what has not been read is lost."""
        self._is_closed = True
        self._watch.detach()
        await self._answer.http.aclose()

    async def _let_go(self) -> None:
        with suppress(Exception):  # it must not hide why
            await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<{type(self).__name__} {state}, request id {self.request_id}>"


async def async_open_stream(
    session: AsyncSession,
    call: Call,
    model: type[ChunkT],
    accumulator: Accumulator[ChunkT],
    reader: Callable[..., ChunkReader[ChunkT]] = ChunkReader,
) -> AsyncStream[ChunkT]:
    """Send a call that asks for a stream, and return when its head has arrived (internal)."""
    answer = await session.exchange(call)
    hide = partial(hide_authorization, headers=answer.sent)
    return AsyncStream(answer, reader(model, accumulator, answer.request, answer.response, hide), session)
