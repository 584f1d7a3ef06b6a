"""Bulk work by threads."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextvars import copy_context
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic

from typing_extensions import Self

from .. import Client
from .._concurrency import sleep
from .._lifetimes import when_dropped
from ._books import Books, Wait
from ._items import BulkRequest, Item, refusal_of
from ._left import tell_left
from ._options import Options
from ._progress import BulkProgress
from ._results import BulkResult, ResponseT

_TICK = 1.0  # seconds; on Windows Ctrl-C does not end a longer wait


class Crew(Generic[ResponseT]):
    """The threads of a run, and what they share; it knows nothing of the run, which may be dropped (internal)."""

    def __init__(self, client: Client, options: Options[ResponseT]) -> None:
        self.books = Books(options, client)
        self.turn = threading.Lock()  # of whoever takes a result, or counts what is finished
        self.taker: int | None = None  # the thread whose turn it is
        self._is_at_rest = False  # what is to be asked was asked
        self._call = options.endpoint.method_of(client)
        self._most = options.concurrency
        self._context = copy_context()
        self._inbox: SimpleQueue[Item | None] = SimpleQueue()
        self._outbox: SimpleQueue[BulkResult[ResponseT] | BaseException | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, item: Item) -> None:
        """Have an item asked."""
        self._inbox.put(item)
        if len(self._threads) < min(self.books.pending, self._most):
            run = self._context.copy().run
            thread = threading.Thread(target=run, args=(self._work,), daemon=True, name="gigachat-sdk bulk")
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (item := self._inbox.get()) is not None:
            outcome: BulkResult[ResponseT] | BaseException | Wait | None = self.books.first_wait(item)
            while isinstance(outcome, Wait):
                outcome = self._ask_after(item, outcome)
            self._outbox.put(outcome)
            del outcome  # the next item may be long in coming
        self._inbox.put(None)  # for the next one

    def _ask_after(self, item: Item, wait: Wait) -> BulkResult[ResponseT] | BaseException | Wait | None:
        while (seconds := self.books.pause(wait)) > 0:
            sleep(seconds)
        if self.books.is_stopping:
            return None
        deadline = wait.deadline or self.books.deadline_of(item)
        try:
            answer: Any = refusal_of(item)
            if answer is None:
                with self.books.asking(item, deadline) as arguments:
                    answer = self._call(**arguments)
        except BaseException as error:
            answer = error
        try:
            outcome = self.books.outcome_of(item, answer, deadline)
        except Exception as error:  # an answer that cannot be written down
            outcome = error
        finally:
            del answer  # an error whose traceback has this frame in it would be a ring
        if isinstance(outcome, BaseException):
            self.books.is_stopping = True  # at once, so that the others begin nothing more
        return outcome

    def results(self, source: Iterator[Any]) -> Generator[BulkResult[ResponseT], None, None]:
        """Take requests, and yield their results as they come.

        A generator that waits has no caller: else the frames of an error that is kept would keep a dropped run alive.
        """
        books = self.books
        has_taken = False
        while not books.is_over or books.is_ready:
            while self.receive(wait=False):
                pass
            if books.is_stopping:
                self.drop_rest()
            # One is taken for each that is given back, so that a slow source keeps no result waiting for long.
            if books.can_take and not (books.is_ready and has_taken):
                self._take(source)
                has_taken = True
            elif books.is_ready:
                yield books.give_back()
                has_taken = False
            elif books.is_busy:
                self.receive(wait=True)

    def _take(self, source: Iterator[Any]) -> None:
        books = self.books
        try:
            item = books.take(next(source))
        except StopIteration:
            books.end()
        except Exception as error:  # of the source
            books.end(error)
        except BaseException:
            books.cut()
            raise
        else:
            if item is not None:
                self.submit(item)

    def drop_rest(self) -> None:
        """Leave what no thread has begun with: they may all wait for slots."""
        is_ended = False
        while True:
            try:
                item = self._inbox.get_nowait()
            except Empty:
                break
            if item is None:
                is_ended = True
            else:
                self.books.finish(None)
        if is_ended:  # for each of the threads
            self._inbox.put(None)

    def receive(self, *, wait: bool) -> bool:
        """Take note of what the threads have done; say whether there was anything."""
        try:
            self.books.finish(self._outbox.get(wait, _TICK))
        except Empty:
            return False
        return True

    def close(self, *, is_alone: bool = False) -> None:
        """Wait for what is being asked, and end; does nothing twice. One of the threads does not wait for itself.

        Args:
            is_alone: Whether it is a thread of nobody's: from there no function of the user's is told of progress.
        """
        self.books.is_stopping = True
        self._inbox.put(None)
        if threading.current_thread() in self._threads:
            threading.Thread(target=self.close_alone, args=(False,), daemon=True).start()
            return
        try:
            for thread in self._threads:
                # One that waits for a slot begins nothing more, and others may hold theirs for long.
                while thread.is_alive() and thread.ident not in self.books.in_line:
                    thread.join(_TICK)
        except BaseException:  # Ctrl-C: whoever wants to end is not kept, and the rest is closed when it can be
            threading.Thread(target=self.close_alone, daemon=True).start()
            raise
        self._is_at_rest = True
        try:
            if not is_alone:
                self.count()
        finally:
            self.books.close_journal()

    def count(self) -> bool:
        """Count what is finished, and tell of it, also of the last; say whether it was this thread's turn.

        Where it is another's, that one does it as its turn ends.
        """
        if self.books.is_inherited or not self.turn.acquire(blocking=False):
            return False
        self.taker = threading.get_ident()
        try:
            while self.receive(wait=False):
                pass
        finally:
            if self._is_at_rest:
                self.books.end_reports()
            self.taker = None
            self.turn.release()
        return True

    def count_rest(self) -> None:
        """Count what whoever has closed the run in the turn of this thread has left to it."""
        if self._is_at_rest:
            self.count()

    def settle(self) -> BaseException | None:
        """Return the error that nobody was told of; None for one of the threads, and where somebody takes results."""
        if threading.current_thread() in self._threads or not self.count():
            return None
        return self.books.take_failure()

    def close_alone(self, is_left: bool = True) -> None:
        """Close where nobody is there to be told of an error.

        Args:
            is_left: Whether nobody is going to be: then errors of requests are logged as well.
        """
        try:
            if is_left:
                self.books.end_reports()
            self.close(is_alone=True)
        except Exception as error:
            tell_left(error)
        else:
            if is_left and self.count():
                self.books.tell_failure()


class BulkRun(Iterator[BulkResult[ResponseT]]):
    """The results of `bulk.map`, as they come; an iterator and a context manager.

    Leaving its `with` block, or `close()`, waits for the requests in flight (their answers still go to the journal) and
    begins no other. Where one of them ends the run, as one does whose answer cannot be written, that error is raised;
    it is logged where another error leaves the block. A run that is dropped does the same in the background.

    Example:
        >>> with bulk.map(client, requests, "out.jsonl") as results:
        ...     for result in results:
        ...         print(result.index, result.error or result.response.choices[0].message.content)
    """

    def __init__(self, client: Client, requests: Iterable[BulkRequest], options: Options[ResponseT]) -> None:
        self._crew = Crew(client, options)
        self._requests = requests
        self._source: Iterator[Any] | None = None
        self._results: Iterator[BulkResult[ResponseT]] = iter(())
        self._watch: Any = None
        self._is_closed = False

    @property
    def progress(self) -> BulkProgress:
        """How far the run is."""
        return self._crew.books.progress

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BulkResult[ResponseT]:
        """Return the next result.

        Raises:
            JournalError: The journal cannot be used, or belongs to other requests.
            InvalidRequestError: What was taken is no request, or its id is another one's; those before it are finished.
            GigaChatError: The account is the trouble, and not a request; see `bulk.map`.
            OSError: The journal cannot be written.
            ConfigurationError: The run was closed before its end.
            RuntimeError: It is the run's own source or progress function that asks.
        """
        self._crew.books.check_process()
        if self._crew.taker == threading.get_ident():
            raise RuntimeError("this run is being asked for a result by its own source or progress function")
        crew = self._crew
        try:
            with crew.turn:
                crew.taker = threading.get_ident()
                try:
                    return self._result()
                finally:
                    crew.taker = None
        finally:
            crew.count_rest()

    def _result(self) -> BulkResult[ResponseT]:
        if not self._is_closed:
            source = self._begin() if self._source is None else self._source
            try:
                result = next(self._results, None)
            except BaseException:  # Ctrl-C, which ends the generator
                self._crew.books.forget_frames()
                self._results = self._crew.results(source)
                raise
            if result is not None:
                return result
            self._close()
            error = self._crew.books.take_error()
            if error is not None:
                try:
                    raise error
                finally:
                    del error
        closed = self._crew.books.closed_error
        if closed is not None:
            raise closed
        raise StopIteration

    def _begin(self) -> Iterator[Any]:
        self._watch = when_dropped(self, self._crew.close_alone)
        try:
            self._crew.books.open()
            self._source = iter(self._requests)
            self._results = self._crew.results(self._source)
        except BaseException:
            self._close()
            raise
        return self._source

    def close(self) -> None:
        """Wait for the requests in flight, begin no other, and close the journal. Does nothing twice.

        A request that still waits for a slot of the limiter is not waited for, and not sent when it gets one; nor is
        one sent again that waits for its retry. What a request calls, such as `on_retry`, may close the run too, and
        does not wait.

        Raises:
            OSError: The journal cannot be written.
            GigaChatError: The account is the trouble.
        """
        self._close()
        failure = self._crew.settle()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure

    def _close(self) -> None:
        self._is_closed = True
        if self._watch is not None:
            self._watch.detach()
            self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except Exception as late:  # the one that leaves the block counts
            tell_left(late)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.progress}>"
