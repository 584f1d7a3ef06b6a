"""`client.threads`: /v1/threads, /v1/threads/retrieve, /v1/threads/delete, and runs: /v1/threads/run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, overload

from typing_extensions import Unpack

from ..._accumulate_threads import ThreadCompletionAccumulator
from ..._endpoints import deleted_thread, run_call, the_one
from ..._headers import Hidden
from ..._request import get_call, json_call, validated
from ..._retry import CallKind
from ...types import RequestOptions, Thread, ThreadCompletionChunk, ThreadDeleted, ThreadList, ThreadRun
from ...types.threads_params import (
    ThreadCreateRequest,
    ThreadRequest,
    ThreadRunParams,
    ThreadRunRequest,
    ThreadsQuery,
    ThreadsRetrieveRequest,
)
from ..session import AsyncSession
from ..streaming import AsyncStream, async_open_stream
from .thread_messages import AsyncThreadMessages


class AsyncThreads:
    """Dialogues kept by the service.

    The service's documents do not mention them any more; new programs keep their dialogues themselves, or use threads
    of the v2 contract.

    Attributes:
        messages: The messages of a thread, and answers to them.
        runs: Answers of a thread's assistant in the background.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.messages = AsyncThreadMessages(session)
        self.runs = AsyncThreadRuns(session)

    async def list(
        self,
        *,
        assistants_ids: Iterable[str] | None = None,
        limit: int | None = None,
        before: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> ThreadList:
        """Return the account's threads, the newest first.

        Source: `GET /v1/threads`.

        Args:
            assistants_ids: Threads of these assistants alone.
            limit: The most threads to return.
            before: Unix seconds: threads older than this alone.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [thread.id for thread in await client.threads.list(limit=2)]
            ['2cc91bae-34f7-4ee4-bcae-f5f71880deda', '9b1cc6d9-0eeb-46de-b01f-6f74c9a82df7']
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        fields = {"assistants_ids": assistants_ids, "limit": limit, "before": before}
        query = validated(ThreadsQuery, fields).to_payload()
        return await self._session.request(get_call("list", "/threads", given, query), ThreadList)

    async def retrieve(self, thread_id: str, **options: Unpack[RequestOptions]) -> Thread:
        """Return one thread.

        Source: `POST /v1/threads/retrieve` with its id.

        Args:
            thread_id: Its id.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Raises:
            NotFoundError: There is none; its status is 200 where the service answered with a list without it.
            InvalidRequestError: The id is empty, or no string.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.threads.retrieve("2cc91bae-34f7-4ee4-bcae-f5f71880deda")).status
            'ready'
        """
        given = Hidden(options)
        del options
        validated(ThreadRequest, {"thread_id": thread_id})
        fields = {"threads_ids": [thread_id]}
        call = json_call("retrieve", "/threads/retrieve", ThreadsRetrieveRequest, fields, given, CallKind.READ)
        return the_one(await self._session.request(call, ThreadList), "thread_id", thread_id)

    async def retrieve_many(self, threads_ids: Iterable[str], **options: Unpack[RequestOptions]) -> ThreadList:
        """Return several threads at once.

        Source: `POST /v1/threads/retrieve`.

        Args:
            threads_ids: Their ids.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Raises:
            InvalidRequestError: There is no id, or an empty one.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [thread.status for thread in await client.threads.retrieve_many(["2cc91bae-...", "9b1cc6d9-..."])]
            ['ready', 'in_progress']
        """
        given = Hidden(options)
        del options
        fields = {"threads_ids": threads_ids}
        call = json_call("retrieve_many", "/threads/retrieve", ThreadsRetrieveRequest, fields, given, CallKind.READ)
        return await self._session.request(call, ThreadList)

    async def create(self, **options: Unpack[RequestOptions]) -> Thread:
        """Make an empty thread; `messages.create` and `messages.run` make one by themselves.

        Source: `POST /v1/threads`.

        Args:
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.threads.create()).id
            '93d6b96b-ae36-4be6-ac3a-44cee7613c3a'
        """
        given = Hidden(options)
        del options
        call = json_call("create", "/threads", ThreadCreateRequest, {}, given, CallKind.CREATING)
        return await self._session.request(call, Thread)

    async def delete(self, thread_id: str, **options: Unpack[RequestOptions]) -> ThreadDeleted:
        """Delete a thread and its messages.

        Source: `POST /v1/threads/delete`.

        Args:
            thread_id: Its id.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: The id is empty, or no string.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.threads.delete("2cc91bae-34f7-4ee4-bcae-f5f71880deda")).deleted
            True
        """
        given = Hidden(options)
        del options
        fields = {"thread_id": thread_id}
        call = json_call("delete", "/threads/delete", ThreadRequest, fields, given, CallKind.CREATING)
        answer = await self._session.exchange(call)
        return deleted_thread(answer.content, answer.response)


class AsyncThreadRuns:
    """Answers of a thread's assistant or model in the background: start one, and look how it goes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @overload
    async def create(
        self, thread_id: str, *, stream: Literal[False] | None = None, **params: Unpack[ThreadRunParams]
    ) -> ThreadRun: ...

    @overload
    async def create(
        self, thread_id: str, *, stream: Literal[True], **params: Unpack[ThreadRunParams]
    ) -> AsyncStream[ThreadCompletionChunk]: ...

    @overload
    async def create(
        self, thread_id: str, *, stream: bool | None, **params: Unpack[ThreadRunParams]
    ) -> ThreadRun | AsyncStream[ThreadCompletionChunk]: ...

    async def create(
        self, thread_id: str, *, stream: bool | None = None, **params: Unpack[ThreadRunParams]
    ) -> ThreadRun | AsyncStream[ThreadCompletionChunk]:
        """Let the model answer what stands in a thread; return at once, or the answer as it arrives.

        Source: `POST /v1/threads/run`.

        Args:
            thread_id: The thread's id. It takes one run at a time.
            stream: Whether to return the answer as it arrives.
            params: `assistant_id`, everything that `ThreadRunOptions` explains, and the options of every call. The call
                is not sent again when its answer was lost.

        Returns:
            A `ThreadRun` to `retrieve` again until it is ready, or with `stream=True` an `AsyncStream` of
            `ThreadCompletionChunk`.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.threads.runs.create(thread.id, temperature=0.5)).status
            'in_progress'
        """
        given = Hidden(params)
        del params  # headers among them may hold secrets, and a traceback with locals would show them
        given["thread_id"] = thread_id
        call = run_call("create", "/threads/run", ThreadRunRequest, given, ThreadRunRequest.model_fields, stream=stream)
        if not call.stream:
            return await self._session.request(call, ThreadRun)
        return await async_open_stream(self._session, call, ThreadCompletionChunk, ThreadCompletionAccumulator())

    async def retrieve(self, thread_id: str, **options: Unpack[RequestOptions]) -> ThreadRun:
        """Return how the run of a thread goes, and what it answered once it is ready.

        Source: `GET /v1/threads/run`.

        Args:
            thread_id: The thread's id; it has one run at a time, which has no id of its own.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            InvalidRequestError: The id is empty, or no string.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> run = await client.threads.runs.retrieve(thread.id)
            >>> run.messages[-1].content if run.status == "ready" else run.status
            'Здравствуйте! Чем могу помочь?'
        """
        given = Hidden(options)
        del options
        query = validated(ThreadRequest, {"thread_id": thread_id}).to_payload()
        return await self._session.request(get_call("retrieve", "/threads/run", given, query), ThreadRun)
