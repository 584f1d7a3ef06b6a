"""`client.v2`: POST /v2/chat/completions, the richer contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from typing_extensions import Unpack

from ..._accumulate_v2 import ChatCompletionV2Accumulator
from ..._calls_v2 import chat_completion_v2_call
from ..._headers import Hidden
from ..._parse_v2 import PARSED_V2, parsed_v2
from ..._response_v2 import EventReader
from ..._schema import Structure, structure_of
from ...errors import GigaChatError
from ...types.v2 import ChatCompletion, ChatCompletionChunk, ChatCompletionCreateParams, ParsedChatCompletion
from ..completion_stream import AsyncCompletionStream
from ..session import AsyncSession
from ..streaming import AsyncStream, async_open_stream

if TYPE_CHECKING:
    from typing_extensions import TypeForm  # newer than the oldest typing_extensions that will do

T = TypeVar("T")


class AsyncV2:
    """The v2 contract: content in parts, tools of the service, dialogues that it keeps, named events.

    Files, models, embeddings and all the rest have no second version.
    """

    def __init__(self, session: AsyncSession) -> None:
        self.chat = AsyncV2Chat(session)


class AsyncV2Chat:
    """What has to do with chatting."""

    def __init__(self, session: AsyncSession) -> None:
        self.completions = AsyncV2Completions(session)


class AsyncV2Completions:
    """Answers to dialogues, after the v2 contract."""

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
        """Ask the model, and return its whole answer or a stream of events.

        Source: `POST /v2/chat/completions`.

        Args:
            stream: Whether to return the answer as it arrives.
            params: The dialogue as `messages`, and everything else that `types.v2.ChatCompletionParams` explains;
                `extra_headers`, `extra_query`, `extra_body`, `timeout` and the retry settings among it.

        Returns:
            A `types.v2.ChatCompletion`, or with `stream=True` an `AsyncStream` of `types.v2.ChatCompletionChunk`.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error; see its subclasses.
            APIConnectionError: No answer came.

        Example:
            >>> completion = await client.v2.chat.completions.create(
            ...     messages=[{"role": "user", "content": "Что нового в мире?"}], tools=["web_search"]
            ... )
            >>> completion.text
            'Главные новости сегодня: ...'

            A function of yours, and the way back of its result:

            >>> messages = [{"role": "user", "content": "Где мой заказ A-1024?"}]
            >>> tools = [{"name": "get_order_status", "parameters": {"type": "object", "properties": {...}}}]
            >>> asked = await client.v2.chat.completions.create(messages=messages, tools=tools)
            >>> results = [
            ...     {"function_result": {"name": call.name, "id": call.id, "result": status_of(**call.arguments)}}
            ...     for call in asked.function_calls
            ... ]
            >>> messages = [*messages, *asked.messages, {"role": "tool", "content": results}]
            >>> (await client.v2.chat.completions.create(messages=messages, tools=tools)).text
            'Заказ A-1024 собран и будет доставлен завтра.'
        """
        session = self._session
        given = Hidden(params)
        del params  # headers among them may hold secrets, and a traceback with locals would show them
        call = chat_completion_v2_call(given, stream=stream, default_model=session.config.model)
        if not call.stream:
            return await session.request(call, ChatCompletion)
        return await async_open_stream(session, call, ChatCompletionChunk, ChatCompletionV2Accumulator(), EventReader)

    def stream(
        self, **params: Unpack[ChatCompletionCreateParams]
    ) -> AsyncCompletionStream[ChatCompletionChunk, ChatCompletion]:
        """Ask the model, and read its answer as it arrives, in a block.

        The request is checked at once, and sent when the block is entered.

        Source: `POST /v2/chat/completions`.

        Args:
            params: What `create(...)` takes but `stream`.

        Returns:
            An `AsyncCompletionStream`: iterate over it for events or over its `text_stream` for text; `snapshot`,
            `get_final_completion()` and `get_final_text()` give what they add up to.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent; nothing was.

        Example:
            >>> async with client.v2.chat.completions.stream(messages=messages, tools=["image_generate"]) as stream:
            ...     async for event in stream:
            ...         if event.tool_progress is not None:
            ...             print(event.tool_progress.name, event.tool_progress.seconds_left)
            ...         print(event.text, end="", flush=True)
            >>> (await stream.get_final_completion()).images()
            [GeneratedFile(id='c757a9c5-...', client_id=None, mime='image/jpeg', target='image')]
        """
        session = self._session
        given = Hidden(params)
        del params
        call = chat_completion_v2_call(given, stream=True, default_model=session.config.model, method="stream")
        return AsyncCompletionStream(session, call, ChatCompletionChunk, ChatCompletionV2Accumulator(), EventReader)

    @overload
    async def parse(
        self, *, response_format: type[T], **params: Unpack[ChatCompletionCreateParams]
    ) -> ParsedChatCompletion[T]: ...

    @overload  # unions and the like, for checkers that know PEP 747
    async def parse(
        self, *, response_format: TypeForm[T], **params: Unpack[ChatCompletionCreateParams]
    ) -> ParsedChatCompletion[T]: ...

    async def parse(
        self, *, response_format: Any, **params: Unpack[ChatCompletionCreateParams]
    ) -> ParsedChatCompletion[Any]:
        """Ask the model for an answer of a type, and return it as that type.

        The type's JSON Schema is sent as `response_format` of the model options, with references written out and
        `strict` set. A field that may be None and has a default may be missing from the answer. A dialogue that asks
        for functions as well may be answered by a call: then `parsed` is None.

        Source: `POST /v2/chat/completions`.

        Args:
            response_format: A pydantic model; a dataclass, a `TypedDict` or any other type that pydantic reads will do.
            params: What `create(...)` takes but `stream`.

        Returns:
            A completion whose `.parsed` is a `response_format`.

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
            >>> completion = await client.v2.chat.completions.parse(
            ...     messages=[{"role": "user", "content": "Столица Франции?"}], response_format=Capital
            ... )
            >>> completion.parsed
            Capital(city='Париж', population=2100000)
        """
        session = self._session
        given = Hidden(params)
        del params
        structure: Structure[Any] = structure_of(response_format)
        call = chat_completion_v2_call(
            given, stream=False, default_model=session.config.model, method="parse", structure=structure
        )
        result = parsed_v2(await session.request(call, PARSED_V2), structure)
        if isinstance(result, GigaChatError):
            raise result
        return result
