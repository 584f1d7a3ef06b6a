"""`client.threads.messages`: /v1/threads/messages, /v1/threads/messages/run and /v1/threads/messages/rerun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, overload

from typing_extensions import Unpack

from ..._accumulate_threads import ThreadCompletionAccumulator
from ..._endpoints import name_model, run_call
from ..._headers import Hidden
from ..._request import Call, get_call, json_call, validated
from ..._retry import CallKind
from ...types import (
    ChatCompletionMessage,
    KnownModel,
    MessageParam,
    RequestOptions,
    ThreadCompletion,
    ThreadCompletionChunk,
    ThreadMessageList,
    ThreadMessagesCreated,
)
from ...types.threads_params import (
    ThreadMessagesCreateRequest,
    ThreadMessagesQuery,
    ThreadMessagesRerunParams,
    ThreadMessagesRerunRequest,
    ThreadMessagesRunParams,
    ThreadMessagesRunRequest,
)
from ..session import AsyncSession
from ..streaming import AsyncStream, async_open_stream


class AsyncThreadMessages:
    """The messages of a thread, and answers to them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(
        self,
        thread_id: str,
        *,
        limit: int | None = None,
        before: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> ThreadMessageList:
        """Return the messages of a thread.

        Source: `GET /v1/threads/messages`.

        Args:
            thread_id: The thread's id.
            limit: The most messages to return.
            before: Unix seconds: messages older than this alone.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [message.role for message in await client.threads.messages.list(thread.id)]
            ['user', 'assistant']
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        fields = {"thread_id": thread_id, "limit": limit, "before": before}
        query = validated(ThreadMessagesQuery, fields).to_payload()
        return await self._session.request(get_call("list", "/threads/messages", given, query), ThreadMessageList)

    async def create(
        self,
        *,
        messages: Iterable[MessageParam | ChatCompletionMessage],
        thread_id: str | None = None,
        assistant_id: str | None = None,
        model: KnownModel | str | None = None,
        **options: Unpack[RequestOptions],
    ) -> ThreadMessagesCreated:
        """Put messages into a thread without an answer; `threads.runs.create` asks for one.

        Source: `POST /v1/threads/messages`.

        Args:
            messages: The messages: dicts, answers of earlier calls, or a mix.
            thread_id: The thread's id; without it a new one is made.
            assistant_id: The assistant that is to answer in a new thread.
            model: The model that is to answer in a new thread without an assistant; without it the client's `model`.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> made = await client.threads.messages.create(messages=[{"role": "user", "content": "Привет!"}])
            >>> made.thread_id, len(made)
            ('93d6b96b-ae36-4be6-ac3a-44cee7613c3a', 1)
        """
        given = Hidden(options)
        del options
        fields = {"messages": messages, "thread_id": thread_id, "assistant_id": assistant_id, "model": model}
        name_model(fields, self._session.config.model)
        call = json_call("create", "/threads/messages", ThreadMessagesCreateRequest, fields, given, CallKind.CREATING)
        return await self._session.request(call, ThreadMessagesCreated)

    @overload
    async def run(
        self, *, stream: Literal[False] | None = None, **params: Unpack[ThreadMessagesRunParams]
    ) -> ThreadCompletion: ...

    @overload
    async def run(
        self, *, stream: Literal[True], **params: Unpack[ThreadMessagesRunParams]
    ) -> AsyncStream[ThreadCompletionChunk]: ...

    @overload
    async def run(
        self, *, stream: bool | None, **params: Unpack[ThreadMessagesRunParams]
    ) -> ThreadCompletion | AsyncStream[ThreadCompletionChunk]: ...

    async def run(
        self, *, stream: bool | None = None, **params: Unpack[ThreadMessagesRunParams]
    ) -> ThreadCompletion | AsyncStream[ThreadCompletionChunk]:
        """Put messages into a thread, and return the model's answer to them.

        Source: `POST /v1/threads/messages/run`.

        Args:
            stream: Whether to return the answer as it arrives.
            params: `messages`, the `thread_id` to go on with, and everything else that `ThreadMessagesRunParams` and
                `ThreadRunOptions` explain; the options of every call among it. The call is not sent again when its
                answer was lost.

        Returns:
            A `ThreadCompletion`, or with `stream=True` an `AsyncStream` of `ThreadCompletionChunk`.

        Raises:
            TypeError: An unknown keyword, or `messages` is missing.
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> first = await client.threads.messages.run(messages=[{"role": "user", "content": "Меня зовут Анна."}])
            >>> second = await client.threads.messages.run(
            ...     thread_id=first.thread_id, messages=[{"role": "user", "content": "Как меня зовут?"}]
            ... )
            >>> second.message.content
            'Вас зовут Анна.'
        """
        given = Hidden(params)
        del params
        name_model(given, self._session.config.model)
        request = ThreadMessagesRunRequest
        call = run_call("run", "/threads/messages/run", request, given, request.model_fields, stream=stream)
        return await self._answer(call)

    @overload
    async def rerun(
        self, thread_id: str, *, stream: Literal[False] | None = None, **params: Unpack[ThreadMessagesRerunParams]
    ) -> ThreadCompletion: ...

    @overload
    async def rerun(
        self, thread_id: str, *, stream: Literal[True], **params: Unpack[ThreadMessagesRerunParams]
    ) -> AsyncStream[ThreadCompletionChunk]: ...

    @overload
    async def rerun(
        self, thread_id: str, *, stream: bool | None, **params: Unpack[ThreadMessagesRerunParams]
    ) -> ThreadCompletion | AsyncStream[ThreadCompletionChunk]: ...

    async def rerun(
        self, thread_id: str, *, stream: bool | None = None, **params: Unpack[ThreadMessagesRerunParams]
    ) -> ThreadCompletion | AsyncStream[ThreadCompletionChunk]:
        """Let the model answer the last message of a thread anew.

        Source: `POST /v1/threads/messages/rerun`.

        Args:
            thread_id: The thread's id.
            stream: Whether to return the answer as it arrives.
            params: `update_interval`, everything that `ThreadRunOptions` explains, and the options of every call. The
                call is not sent again when its answer was lost.

        Returns:
            A `ThreadCompletion`, or with `stream=True` an `AsyncStream` of `ThreadCompletionChunk`.

        Raises:
            TypeError: An unknown keyword.
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> async for chunk in await client.threads.messages.rerun(thread.id, stream=True):
            ...     print(chunk.choices[0].delta.content or "", end="")
        """
        given = Hidden(params)
        del params
        given["thread_id"] = thread_id
        request = ThreadMessagesRerunRequest
        call = run_call("rerun", "/threads/messages/rerun", request, given, request.model_fields, stream=stream)
        return await self._answer(call)

    async def _answer(self, call: Call) -> ThreadCompletion | AsyncStream[ThreadCompletionChunk]:
        if not call.stream:
            return await self._session.request(call, ThreadCompletion)
        return await async_open_stream(self._session, call, ThreadCompletionChunk, ThreadCompletionAccumulator())
