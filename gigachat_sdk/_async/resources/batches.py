"""`client.batches`: many requests in one file, answered when the service has time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import monotonic

import pydantic
from typing_extensions import Unpack

from ..._batches import BatchLines, batch_call, batch_id, check_wait, read_all, read_results, the_batch
from ..._concurrency import async_call, async_in_thread, async_read_in_thread, async_sleep
from ..._headers import Hidden
from ..._request import BODYLESS_NAMES, get_call, quoted, take_options
from ..._uploads import Upload, with_client_id
from ...errors import APITimeoutError, BatchTimeoutError, InvalidRequestError
from ...types import Batch, BatchFile, BatchList, BatchMethod, BatchResults, RequestOptions
from ..binary import AsyncBinaryResponse
from ..session import AsyncSession


class AsyncBatches:
    """Requests that need no answer at once: cheaper, and answered within a day."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(
        self,
        *,
        requests: Iterable[Mapping[str, object] | pydantic.BaseModel] | None = None,
        file: BatchFile | None = None,
        method: BatchMethod = "chat_completions",
        **options: Unpack[RequestOptions],
    ) -> Batch:
        """Hand in a batch of requests.

        Each request is validated as the call that it is before anything is sent. It is not sent again by itself when
        its answer was lost, since that could make a second batch.

        Source: `POST /v1/batches`.

        Args:
            requests: Any iterable of requests: the keywords of `chat.completions.create(...)` or
                `embeddings.create(...)` as a dict, or `{"id": ..., "request": {...}}`. A request without an id gets
                its position as one: `"0"`, `"1"`, ...
            file: Instead of them a file with such a request as JSON on each line (JSONL): a path (a `str` is always
                one), bytes, or a file object open in binary mode.
            method: `"chat_completions"` or `"embedder"`: what answers them.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`; there is no
                `extra_body`.

        Raises:
            TypeError: Neither `requests` nor `file` is given, or both are; or a request has an unknown keyword.
            InvalidRequestError: A request cannot be sent; the message says which (`requests[3]`, `file, line 4`). Or
                two have the same id, or there are none.
            OSError: The file cannot be opened or read.
            PermissionDeniedError: Batches are not in the account's plan.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> batch = await client.batches.create(
            ...     requests=[{"messages": [{"role": "user", "content": text}]} for text in ("Привет!", "Пока!")]
            ... )
            >>> batch.status, batch.request_counts.total
            ('created', 2)
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        taken = take_options(given, BODYLESS_NAMES, "create")
        if (requests is None) == (file is None):
            raise TypeError("create() takes one of requests= and file=")
        lines = BatchLines(method, self._session.config.model)
        if requests is not None:
            taken_once = lines.listed(requests)  # a generator of the user's runs here, where he expects it
            body = await async_in_thread(partial(lines.of_requests, taken_once))
        else:
            upload = Upload(file, needs_name=False)
            try:
                content = await async_read_in_thread(partial(read_all, upload))
            finally:
                upload.close()
            body = await async_in_thread(partial(lines.of_file, content))
        return await self._session.request(batch_call(body, lines.method, taken), Batch)

    async def list(self, **options: Unpack[RequestOptions]) -> BatchList:
        """Return the batches of the account.

        Source: `GET /v1/batches`.

        Args:
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [(batch.id, batch.status) for batch in await client.batches.list()]
            [('7c9e6679-7425-40de-944b-e07fc1f90ae7', 'completed')]
        """
        given = Hidden(options)
        del options
        return await self._session.request(get_call("list", "/batches", given), BatchList)

    async def retrieve(self, batch: str | Batch, **options: Unpack[RequestOptions]) -> Batch:
        """Return how far a batch is.

        Source: `GET /v1/batches?batch_id=...`.

        Args:
            batch: Its id, or what a former call said of it.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Raises:
            NotFoundError: There is no such batch.
            InvalidRequestError: The id is empty.

        Example:
            >>> (await client.batches.retrieve("7c9e6679-7425-40de-944b-e07fc1f90ae7")).status
            'in_progress'
        """
        given = Hidden(options)
        del options
        return await self._retrieve("retrieve", batch, given)

    async def _retrieve(self, method: str, batch: str | Batch, given: Hidden) -> Batch:
        wanted = batch_id(batch)
        call = get_call(method, "/batches", with_client_id(given, batch), {"batch_id": wanted})
        return the_batch(await self._session.request(call, BatchList), wanted)

    async def wait(
        self,
        batch: str | Batch,
        *,
        poll_interval: float = 10.0,
        on_progress: Callable[[Batch], object] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Batch:
        """Ask again and again until a batch is over, and return it.

        Source: `GET /v1/batches?batch_id=...`.

        Args:
            batch: Its id, or what a former call said of it.
            poll_interval: Seconds between two questions.
            on_progress: Called with the batch after each answer, the last one too. Asynchronous clients run coroutine
                functions as well.
            options: `deadline`, the seconds after which to give up the wait, without it however long it takes; and for
                each question `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Returns:
            The batch, completed; or with another status that is final, `"failed"` for one: see `is_completed`.

        Raises:
            BatchTimeoutError: The deadline came first; `.batch` says how far it was. It goes on at the service.
            APITimeoutError: The deadline came before the first answer.
            NotFoundError: There is no such batch.
            InvalidRequestError: The id is empty, or a number makes no sense.

        Example:
            >>> batch = await client.batches.wait(batch, deadline=24 * 60 * 60)
            >>> results = await client.batches.results(batch)
        """
        given = Hidden(options)
        del options
        deadline = given.pop("deadline", None)
        check_wait(poll_interval, deadline, on_progress, is_async=True)
        ends_at = float("inf") if deadline is None else monotonic() + deadline
        found = batch if isinstance(batch, Batch) else None
        while True:
            left = ends_at - monotonic()
            if found is not None and left <= 0:
                break
            try:
                found = await self._retrieve("wait", batch, _within(given, left))
            except APITimeoutError:
                if found is None or monotonic() < ends_at:
                    raise
                break
            if on_progress is not None:
                await async_call(partial(on_progress, found))
            if found.is_over:
                return found
            await async_sleep(max(0.0, min(poll_interval, ends_at - monotonic())))
        raise BatchTimeoutError(
            f"batch {found.id!r} is {found.status!r} after {deadline:g} s; it goes on, and can be waited for again",
            batch=found,
        )

    async def results(self, batch: str | Batch, **options: Unpack[RequestOptions]) -> BatchResults:
        """Download the results of a batch that is completed.

        Source: `GET /v1/files/{file}/content` with the batch's `output_file_id`.

        Args:
            batch: Its id, or what a former call said of it.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Returns:
            A result for each request, by its id: the typed answer, or why there is none. One line that cannot be read
            costs no other.

        Raises:
            InvalidRequestError: The batch is not completed, so there are no results.
            NotFoundError: There is no such batch, or its results are gone.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came, or the download was cut.

        Example:
            >>> for result in await client.batches.results(batch):
            ...     if result.completion:
            ...         print(result.id, result.completion.choices[0].message.content)
        """
        given = Hidden(options)
        del options
        found = batch if isinstance(batch, Batch) else await self._retrieve("results", batch, given)
        if found.output_file_id is None and found is batch:  # what was known of it may be old
            found = await self._retrieve("results", batch, given)
        if found.output_file_id is None:
            raise InvalidRequestError(
                f"batch: {found.id!r} is {found.status!r} and has no results; wait for it with batches.wait(...)",
                param="batch",
            )
        path = f"/files/{quoted(found.output_file_id, 'output_file_id')}/content"
        call = get_call("results", path, with_client_id(given, found))
        call.is_raw = True
        download = AsyncBinaryResponse(await self._session.exchange(call), self._session)
        content = await download.read()
        return await async_in_thread(partial(read_results, content, download.response))


def _within(given: Hidden, seconds: float) -> Hidden:
    """Give one question what is left of the wait's deadline, if there is one."""
    return given if seconds == float("inf") else Hidden({**given, "deadline": seconds})
