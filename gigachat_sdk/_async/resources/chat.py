"""`client.chat.completions`: POST /v1/chat/completions."""

from __future__ import annotations

from functools import partial
from typing import Literal, overload

from typing_extensions import Unpack

from ..._accumulate import ChatCompletionAccumulator
from ..._request import Hidden, chat_completion_call, hide_authorization
from ..._response import ChunkReader
from ...types import ChatCompletion, ChatCompletionChunk
from ...types.chat_params import ChatCompletionCreateParams
from ..session import AsyncSession
from ..streaming import AsyncStream


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
            return await session.transport.request(call, ChatCompletion, session.tokens)
        answer = await session.transport.exchange(call, session.tokens)
        hide = partial(hide_authorization, headers=answer.sent)
        reader = ChunkReader(ChatCompletionChunk, ChatCompletionAccumulator(), answer.request, answer.response, hide)
        return AsyncStream(answer, reader, session)
