"""Bulk work by tasks of asyncio or trio."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any, Generic

import anyio
import anyio.lowlevel
from typing_extensions import Self

from .. import AsyncClient
from .._concurrency import async_in_thread, async_sleep, current_loop
from .._lifetimes import async_when_dropped
from ._books import Books, Wait
from ._items import BulkRequest, Item, refusal_of
from ._left import tell_left, watch_loop_of
from ._loop import Bell, is_cancellation, runs_here, spawn
from ._options import Options
from ._progress import BulkProgress
from ._results import BulkResult, ResponseT
from ._watched import StoppedError

# The runs that a task works for. It inherits them from the task that has begun it, which may wait for its end.
_works_for: ContextVar[frozenset[object]] = ContextVar("gigachat_sdk_bulk", default=frozenset())


class Gang(Generic[ResponseT]):
    """The tasks of a run, and what they share; it knows nothing of the run, which may be dropped (internal)."""

    def __init__(self, client: AsyncClient, options: Options[ResponseT]) -> None:
        self.books = Books(options, client)
        self.news = Bell()  # something is ready, or over
        self.room = Bell()  # something was asked, or given back
        self._call = options.endpoint.method_of(client)
        self._most = options.concurrency
        self._context = copy_context()
        self._inner = copy_context()
        self._mark = object()
        self._inner.run(_works_for.set, _works_for.get() | {self._mark})
        self._backlog: deque[Item] = deque()
        self._workers = 0
        self._running = 0
        self._scopes: set[anyio.CancelScope] = set()
        self._tasks: set[Any] = set()
        self._loop: Any = None  # that of the tasks
        self._is_lost = False
        self._feeder: int | None = None  # the task that takes requests
        self._feeding: anyio.CancelScope | None = None  # what it does
        self.is_closed = False

    async def begin(self, requests: Any) -> None:
        """Open the journal, and begin to take requests."""
        self._loop = current_loop()
        watch_loop_of(self.books)
        await async_in_thread(self.books.open)
        self._start(partial(self._feed, requests))

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._running += 1

        async def run() -> None:
            try:
                with anyio.CancelScope() as scope:
                    self._scopes.add(scope)
                    try:
                        if not self.is_closed:
                            await work()
                    finally:
                        self._scopes.discard(scope)
            except BaseException:  # the loop itself is ending, and nobody may be there to close what is open
                self._is_lost = self.is_closed = self.books.is_stopping = True
                if not runs_here(self._loop):  # it was closed around this task, which is collected now
                    return
                for other in list(self._scopes):  # Python 3.10 loses a cancellation that comes while one connects
                    other.cancel()
                raise
            finally:
                self._running -= 1
                self.news.ring()
                if self._is_lost and not self._running:
                    with suppress(Exception):  # there is nobody to be told
                        self.books.close()

        spawn(run, self._inner.copy(), self._tasks)

    async def _feed(self, requests: Any) -> None:
        """Take requests while there is room for them."""
        books = self.books
        source: Any = None
        self._feeder = anyio.get_current_task().id
        try:
            source = aiter(requests) if hasattr(requests, "__aiter__") else _asynchronous(requests)
            with anyio.CancelScope() as self._feeding:
                await self._take_all(source)
        except StopAsyncIteration:
            books.end()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # of the source
            if books.is_stopping:  # as it was being closed
                books.fail(error)
            else:
                books.end(error)
        finally:
            self._feeder = None
            close = getattr(source, "aclose", None)
            if close is not None and runs_here(self._loop):
                with anyio.CancelScope(shield=True):
                    await _quietly(close, books)

    async def _take_all(self, source: AsyncIterator[Any]) -> None:
        books = self.books
        while not (books.is_stopping or books.is_exhausted):
            if not books.can_take:
                await self.room.wait()
                continue
            item = books.take(await anext(source))
            if item is not None:
                self._submit(item)
            self.news.ring()

    def drop_rest(self) -> None:
        """Leave what no task has begun with: they may all wait for slots."""
        while self._backlog:
            self._backlog.popleft()
            self.books.finish(None)

    @property
    def is_feeding(self) -> bool:
        """Whether the running task is the one that takes requests."""
        return self._feeder == anyio.get_current_task().id

    def _submit(self, item: Item) -> None:
        self._backlog.append(item)
        if self._workers < self._most:
            self._workers += 1
            self._start(self._work)

    async def _work(self) -> None:
        """Ask what is to be asked, until there is nothing left."""
        books = self.books
        try:
            while self._backlog:
                item = self._backlog.popleft()
                outcome: BulkResult[ResponseT] | BaseException | Wait | None = books.first_wait(item)
                while isinstance(outcome, Wait):
                    outcome = await self._ask_after(item, outcome)
                try:
                    books.finish(outcome)
                except BaseException as error:  # of the user's function; a task of the loop must not raise it
                    books.fail(error)
                del outcome  # the next item may be long in coming
                self.news.ring()
                self.room.ring()
        finally:
            self._workers -= 1

    async def _ask_after(self, item: Item, wait: Wait) -> BulkResult[ResponseT] | BaseException | Wait | None:
        while (seconds := self.books.pause(wait)) > 0:
            await async_sleep(seconds)
        if self.books.is_stopping:
            return None
        deadline = wait.deadline or self.books.deadline_of(item)
        try:
            answer: Any = refusal_of(item)
            if answer is None:
                with self.books.asking(item, deadline) as arguments:
                    answer = await self._call(**arguments)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # a cancellation may be in a group
            is_left = self.is_closed and not isinstance(error, Exception)
            answer = StoppedError() if is_left or is_cancellation(error) else error
        try:
            return self.books.outcome_of(item, answer, deadline)
        except Exception as error:  # an answer that cannot be written down
            return error
        finally:
            del answer  # an error whose traceback has this frame in it would be a ring

    async def finish(self) -> None:
        """Begin nothing more, and wait for what is being asked; not for slots, which others may hold for long.

        A task of the run does not wait for itself.
        """
        self.books.is_stopping = True
        if self._feeding is not None:
            self._feeding.cancel()
        self.drop_rest()
        while self.books.is_busy and self._mark not in _works_for.get() and not self.is_closed:
            await self.news.wait()

    async def aclose(self) -> None:
        """Cancel what is being asked, wait for its end, and close the journal; does nothing twice.

        A task of the run does not wait for itself: another one does what is left. Once the loop of the run is over,
        there is nothing left to wait for.
        """
        self.is_closed = True
        self.books.is_stopping = True
        if not runs_here(self._loop):
            self.books.close()
            return
        for scope in list(self._scopes):
            scope.cancel()
        if self._mark in _works_for.get():
            self.news.ring()
            spawn(self._end_alone, self._context.copy(), self._tasks)
        else:
            await self._end()

    def take_failure(self) -> BaseException | None:
        """Return the error that nobody was told of; None for a task of the run, as whoever leaves it is to know."""
        return None if self._mark in _works_for.get() else self.books.take_failure()

    async def close_alone(self) -> None:
        """Close where nobody is there to be told of an error."""
        try:
            await self.aclose()
        except Exception as error:
            tell_left(error)
        else:
            self.books.tell_failure()

    async def _end_alone(self) -> None:
        await _quietly(self._end, self.books)

    async def _end(self) -> None:
        try:
            with anyio.CancelScope(shield=True):
                while self._running:
                    await self.news.wait()
                await async_in_thread(self.books.close)
        except BaseException:  # the loop itself is ending
            self.books.close()
            raise
        finally:
            self.news.ring()  # others may wait for results


async def _asynchronous(requests: Iterable[BulkRequest]) -> AsyncIterator[Any]:
    for request in requests:
        await anyio.lowlevel.checkpoint()
        yield request


async def _quietly(close: Callable[[], Awaitable[None]], books: Books[Any]) -> None:
    try:
        await close()
    except Exception as error:  # of the user's generator, or of the disk
        books.fail(error)


class AsyncBulkRun(AsyncIterator[BulkResult[ResponseT]]):
    """The results of `bulk.amap`, as they come; an async iterator and an async context manager.

    Leaving its `async with` block waits for the requests in flight (their answers still go to the journal) and begins
    no other. Where one of them ends the run, as one does whose answer cannot be written, that error is raised. An error
    or a cancellation that leaves the block, and `aclose()`, cancel them: the journal does not have them, and the next
    run asks them again. A run that is dropped does the same. What else has gone wrong is logged then.

    Example:
        >>> async with bulk.amap(client, requests, "out.jsonl") as results:
        ...     async for result in results:
        ...         print(result.index, result.error or result.response.choices[0].message.content)
    """

    def __init__(
        self,
        client: AsyncClient,
        requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
        options: Options[ResponseT],
    ) -> None:
        self._gang = Gang(client, options)
        self._requests: Any = requests
        self._watch: Any = None
        self._has_begun = False

    @property
    def progress(self) -> BulkProgress:
        """How far the run is."""
        return self._gang.books.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BulkResult[ResponseT]:
        """Return the next result.

        Raises:
            JournalError: The journal cannot be used, or belongs to other requests.
            InvalidRequestError: What was taken is no request, or its id is another one's; those before it are finished.
            GigaChatError: The account is the trouble, and not a request; see `bulk.map`.
            OSError: The journal cannot be written.
            ConfigurationError: The run was closed before its end.
            RuntimeError: It is the run's own source that asks.
        """
        gang, books = self._gang, self._gang.books
        books.check_process()
        if gang.is_feeding:
            raise RuntimeError("this run is being asked for a result by its own source")
        if not gang.is_closed:
            if not self._has_begun:
                await self._begin()
            await anyio.lowlevel.checkpoint()
            while True:
                if books.is_stopping:
                    gang.drop_rest()
                if books.is_ready or books.is_over or gang.is_closed:
                    break
                await gang.news.wait()
            if books.is_ready:
                result = books.give_back()
                gang.room.ring()
                return result
            await self._close()
            error = books.take_error()
            if error is not None:
                try:
                    raise error
                finally:
                    del error
        closed = books.closed_error
        if closed is not None:
            raise closed
        raise StopAsyncIteration

    async def _begin(self) -> None:
        self._has_begun = True
        self._watch = async_when_dropped(self, self._gang.close_alone)
        requests, self._requests = self._requests, None
        try:
            await self._gang.begin(requests)
        except BaseException:
            await self._close()
            raise

    async def aclose(self) -> None:
        """Cancel the requests in flight, wait for their end, and close the journal. Does nothing twice.

        The run's own source, and what a request calls, may close it too, and do not wait.

        Raises:
            OSError: The journal cannot be written.
            GigaChatError: The account is the trouble.
        """
        await self._close()
        failure = self._gang.take_failure()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure

    async def _close(self) -> None:
        self._gang.is_closed = True
        if self._has_begun:
            self._watch.detach()
            await self._gang.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        is_hurt = error is not None
        try:
            if not is_hurt and self._has_begun:
                await self._gang.finish()
        except BaseException:  # a cancellation
            is_hurt = True
            raise
        finally:
            try:
                await self.aclose()
            except Exception as late:
                if not is_hurt:
                    raise
                tell_left(late)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.progress}>"
