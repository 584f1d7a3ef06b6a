"""The helper of streams: a block that sends the request, adds up what arrives, and gives the connection back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

from typing_extensions import Self

from .._accumulate import TextAccumulator
from .._request import Call
from .._response import ChunkReader
from ..errors import APIResponseValidationError, GigaChatError
from ..types._base import ResponseModel, attach
from ..types.http import ResponseInfo
from .session import AsyncSession
from .streaming import AsyncStream, async_open_stream

ChunkT = TypeVar("ChunkT", bound=ResponseModel)
CompletionT = TypeVar("CompletionT", bound=ResponseModel)


class AsyncCompletionStream(Generic[ChunkT, CompletionT]):
    """A stream in a block: its events, its text, and the answer that they add up to.

    The request is sent when the block is entered. Leaving it, early or not, gives the connection back.

    Raises:
        StreamInterruptedError: While reading: the stream was cut; `.text` and `.partial` hold what had arrived.
        StreamError: While reading: the service sent an error, or an event cannot be read.
        APIStatusError: On entering: the service answered with an error.
        APIConnectionError: On entering: no answer came.
        GigaChatError: Reading outside of the block, and asking for the final answer of a stream that was left early.

    Example:
        >>> async with client.chat.completions.stream(messages=messages) as stream:
        ...     async for text in stream.text_stream:
        ...         print(text, end="", flush=True)
        ...     completion = await stream.get_final_completion()
        >>> completion.usage.total_tokens
        42
    """

    def __init__(
        self,
        session: AsyncSession,
        call: Call,
        chunk: type[ChunkT],
        accumulator: TextAccumulator[ChunkT, CompletionT],
        reader: Callable[..., ChunkReader[ChunkT]] = ChunkReader,
    ) -> None:
        self._session = session
        self._call = call
        self._chunk = chunk
        self._accumulator = accumulator
        self._reader = reader
        self._stream: AsyncStream[ChunkT] | None = None
        self._is_used = False

    async def __aenter__(self) -> Self:
        if self._is_used:
            raise GigaChatError("this stream has been entered before; call stream(...) for another one")
        self._is_used = True
        self._stream = await async_open_stream(self._session, self._call, self._chunk, self._accumulator, self._reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _opened(self) -> AsyncStream[ChunkT]:
        if self._stream is None:
            raise GigaChatError("this stream is read inside its block: async with client...stream(...) as stream")
        return self._stream

    def __aiter__(self) -> Self:
        if self._stream is not None:
            self._stream.__aiter__()  # refuses one that was left
        return self

    async def __anext__(self) -> ChunkT:
        return await self._opened().__anext__()

    @property
    def text_stream(self) -> AsyncTextStream:
        """The pieces of text as they arrive; events that bring none are left out."""
        return AsyncTextStream(self._next_text)

    async def _next_text(self) -> str:
        while True:
            text = self._accumulator.text_of(await self.__anext__())
            if text:
                return text

    @property
    def snapshot(self) -> CompletionT | None:
        """The answer as far as it has been read; None before the first event."""
        answer = self._accumulator.partial()
        return answer if answer is None or self._stream is None else attach(answer, self._stream.response)

    @property
    def response(self) -> ResponseInfo:
        """Status, headers, time to the first byte and retries of the exchange."""
        return self._opened().response

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer; None where there is none."""
        return self._opened().request_id

    async def get_final_completion(self) -> CompletionT:
        """Read what is left, and return the whole answer; also after the block, where it was read to its end.

        Raises:
            GigaChatError: The stream was left before its end; `.snapshot` holds what had arrived.
            APIResponseValidationError: The stream brought no answer at all.
        """
        stream = self._opened()
        while not stream.is_closed:
            async for _ in stream:
                continue
        if not stream.is_complete:
            raise GigaChatError("this stream was left before its end; .snapshot holds what had arrived")
        answer = self.snapshot
        if answer is None:
            raise APIResponseValidationError("the stream brought no answer before its end", response=stream.response)
        return answer

    async def get_final_text(self) -> str:
        """Read what is left, and return the whole text.

        Raises:
            GigaChatError: The stream was left before its end; `.snapshot` holds what had arrived.
        """
        await self.get_final_completion()
        return self._accumulator.text

    async def aclose(self) -> None:
        """Give the connection back at once; what has not been read is lost."""
        if self._stream is not None:
            await self._stream.aclose()

    def __repr__(self) -> str:
        state = "not entered" if self._stream is None else "closed" if self._stream.is_closed else "open"
        return f"<{type(self).__name__} {state}>"


class AsyncTextStream:
    """The pieces of text of a stream, as they arrive."""

    # An object and no async generator: one that is left early would have to be closed by its loop.
    def __init__(self, next_text: Callable[[], Awaitable[str]]) -> None:
        self._next = next_text

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await self._next()
