"""`client.chat.completions`: POST /v1/chat/completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from typing_extensions import Unpack

from ..._accumulate import ChatCompletionAccumulator
from ..._calls import chat_completion_call
from ..._headers import Hidden
from ..._parse import PARSED, parsed
from ..._schema import Structure, structure_of
from ...errors import GigaChatError
from ...types import ChatCompletion, ChatCompletionChunk
from ...types.chat_params import ChatCompletionCreateParams, ChatCompletionParseParams
from ...types.chat_parsed import ParsedChatCompletion
from ..completion_stream import AsyncCompletionStream
from ..session import AsyncSession
from ..streaming import AsyncStream, async_open_stream

if TYPE_CHECKING:
    from typing_extensions import TypeForm  # newer than the oldest typing_extensions that will do

T = TypeVar("T")


class AsyncChat:
    """What has to do with chatting."""

    def __init__(self, session: AsyncSession) -> None:
        self.completions = AsyncCompletions(session)


class AsyncCompletions:
    """Answers to dialogues."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @overload
    async def create(
        self, *, stream: Literal[False] | None = None, **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[ChatCompletionCreateParams]
    ) -> AsyncStream[ChatCompletionChunk]: ...

    @overload
    async def create(
        self, *, stream: bool | None, **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...

    async def create(
        self, *, stream: bool | None = None, **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """Ask the model, and return its whole answer or a stream of chunks.

        Source: `POST /v1/chat/completions`.

        Args:
            stream: Whether to return the answer as it arrives.
            params: The dialogue as `messages`, and everything else that `ChatCompletionCreateParams` explains;
                `extra_headers`, `extra_query`, `extra_body`, `timeout` and the retry settings among it.

        Returns:
            A `ChatCompletion`, or with `stream=True` an `AsyncStream` of `ChatCompletionChunk`.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error; see its subclasses.
            APIConnectionError: No answer came.

        Example:
            >>> completion = await client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "Привет!"}], model="GigaChat-2-Max"
            ... )
            >>> completion.choices[0].message.content
            'Привет! Чем могу помочь?'
        """
        session = self._session
        given = Hidden(params)
        del params  # headers among them may hold secrets, and a traceback with locals would show them
        call = chat_completion_call(given, stream=stream, default_model=session.config.model)
        if not call.stream:
            return await session.request(call, ChatCompletion)
        return await async_open_stream(session, call, ChatCompletionChunk, ChatCompletionAccumulator())

    def stream(
        self, **params: Unpack[ChatCompletionCreateParams]
    ) -> AsyncCompletionStream[ChatCompletionChunk, ChatCompletion]:
        """Ask the model, and read its answer as it arrives, in a block.

        The request is checked at once, and sent when the block is entered.

        Source: `POST /v1/chat/completions`.

        Args:
            params: What `create(...)` takes but `stream`.

        Returns:
            An `AsyncCompletionStream`: iterate over it for events or over its `text_stream` for text; `snapshot`,
            `get_final_completion()` and `get_final_text()` give what they add up to.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent; nothing was.

        Example:
            >>> async with client.chat.completions.stream(messages=messages) as stream:
            ...     async for text in stream.text_stream:
            ...         print(text, end="", flush=True)
            >>> (await stream.get_final_completion()).usage.total_tokens
            42
        """
        session = self._session
        given = Hidden(params)
        del params
        call = chat_completion_call(given, stream=True, default_model=session.config.model, method="stream")
        return AsyncCompletionStream(session, call, ChatCompletionChunk, ChatCompletionAccumulator())

    @overload
    async def parse(
        self, *, response_format: type[T], **params: Unpack[ChatCompletionParseParams]
    ) -> ParsedChatCompletion[T]: ...

    @overload  # unions and the like, for checkers that know PEP 747
    async def parse(
        self, *, response_format: TypeForm[T], **params: Unpack[ChatCompletionParseParams]
    ) -> ParsedChatCompletion[T]: ...

    async def parse(
        self, *, response_format: Any, **params: Unpack[ChatCompletionParseParams]
    ) -> ParsedChatCompletion[Any]:
        """Ask the model for an answer of a type, and return it as that type.

        The type's JSON Schema is sent as `response_format`, with references written out and `strict` set. A field
        that may be None and has a default may be missing from the answer. A dialogue that asks for functions as well
        may be answered by a call: then `parsed` is None.

        Source: `POST /v1/chat/completions`.

        Args:
            response_format: A pydantic model; a dataclass, a `TypedDict` or any other type that pydantic reads will do.
            params: What `create(...)` takes but `response_format` and `stream`.

        Returns:
            A completion whose `.choices[0].message.parsed` is a `response_format`.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent, or the type holds itself; nothing was sent.
            LengthFinishReasonError: The answer was cut by `max_tokens`; `.completion` holds it.
            ContentFilterError: The service withheld the answer; `.completion` holds what came instead.
            APIResponseValidationError: The answer is no `response_format`; `.body` holds it.
            APIStatusError: The service answered with an error; see its subclasses.
            APIConnectionError: No answer came.

        Example:
            >>> class Capital(pydantic.BaseModel):
            ...     city: str
            ...     population: int
            >>> completion = await client.chat.completions.parse(
            ...     messages=[{"role": "user", "content": "Столица Франции?"}], response_format=Capital
            ... )
            >>> completion.choices[0].message.parsed.city
            'Париж'
        """
        session = self._session
        given = Hidden(params)
        del params
        structure: Structure[Any] = structure_of(response_format)
        given["response_format"] = structure.response_format
        call = chat_completion_call(given, stream=False, default_model=session.config.model, method="parse")
        result = parsed(await session.request(call, PARSED), structure)
        if isinstance(result, GigaChatError):
            raise result
        return result
