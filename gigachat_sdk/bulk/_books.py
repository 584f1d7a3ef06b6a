"""What a run knows, whoever does the work: what was taken, what is being asked, what is ready, and why it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic

from .. import AsyncClient, Client
from .._constants import LONGEST_TIME
from .._deadline import Deadline, running
from .._headers import Hidden
from .._watch import LOOK, watching
from ..errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    GigaChatError,
    InvalidRequestError,
)
from ..limits import ConcurrencyLimiter
from ..types.http import RetryInfo, scrub_url
from ._items import Item, duplicate, key_of, read_item, with_place
from ._journal import Journal
from ._left import end_runs_of_closed_loops, tell_left
from ._options import Options, config_of
from ._patience import PATIENCE, QUOTA_PATIENCE, Patience, is_of_quota
from ._progress import BulkProgress, Reporter, Told, reporter_for
from ._records import Record, line_of
from ._results import BulkResult, ResponseT, is_of_tokens, stands_beside
from ._watched import Look, StoppedError, Watched

_ASKED_AHEAD = 2  # requests being asked or about to be, for each that may be asked at a time
_TAKEN_AHEAD = 4  # requests taken and not given back, for each that may be asked at a time


@dataclass(frozen=True)
class Wait:
    """An item that is to be asked later, since the account cannot ask it for a while.

    Attributes:
        until: When, on the clock of `time.monotonic`.
        deadline: Of the item, from when it was taken on; None where it has none, or is still in the queue.
    """

    until: float
    deadline: Deadline | None = None


def is_of_deadline(error: object, item: Item) -> bool:
    """Say whether an error is the end of the deadline that an item has of its own."""
    seconds: Any = item.request.get("deadline")
    is_time = isinstance(seconds, int | float)
    return is_time and isinstance(error, APITimeoutError) and Deadline(seconds).words in error.message


class Books(Generic[ResponseT]):
    """The books of one run.

    Items are taken, finished and given back by one thread or event loop; `outcome_of` and `write` may be called by any.

    Args:
        options: How the run goes.
        client: The one that is asked.
    """

    def __init__(self, options: Options[ResponseT], client: Client | AsyncClient) -> None:
        config = config_of(client)
        self.options = options
        self.pending = 0
        self.is_exhausted = False
        self.is_stopping = False
        self.in_line: set[object] = set()  # for each item that waits for a slot, its thread or something of its own
        self.error: BaseException | None = None  # why the run ends; nobody has been told yet
        self.progress = BulkProgress(total=options.total)
        self._token_urls = frozenset(map(scrub_url, (config.auth_url, f"{config.base_url}/token")))
        self._tokens = Patience(PATIENCE, "no token can be bought")
        self._quota = Patience(QUOTA_PATIENCE, "the quota is used up")
        self._process = os.getpid()
        self._client = client
        self._has_answers = False
        self._left = 0  # items that were taken and not finished
        self._is_cut = False
        self._has_failed = False
        self._has_lost_client = False
        self._on_retry = config.on_retry
        self._seconds = config.retry.deadline
        self._taken = 0
        self._given_back = 0
        self._first_places: dict[bytes, int] = {}
        self._ready: dict[int, BulkResult[ResponseT]] = {}
        self._journal: Journal | None = None
        self._reporter: Reporter = Told(None)
        self._guard = threading.Lock()
        self.is_closed = False

    def open(self) -> None:
        """Open the journal, which may wait for a disk, and the bar; where it was closed meanwhile, close them."""
        options, journal = self.options, None
        if options.journal is not None:
            end_runs_of_closed_loops()  # one of them may have it
            journal = Journal(options.journal, retry_errors=options.retry_errors)
        with self._guard:
            if not self.is_closed:
                self._reporter = reporter_for(options.progress)
                self._has_answers = journal is not None and journal.has_answers
                self._journal, journal = journal, None
        if journal is not None:  # whoever opens it was given up, and has gone on in its thread
            journal.close()

    def close(self) -> None:
        """Close the journal and the bar; may wait for a disk. Does nothing twice."""
        self.end_reports()
        self.close_journal()

    def end_reports(self) -> None:
        """Tell nobody any more how far the run is. Does nothing twice."""
        with self._guard:
            self.is_closed = True
            reporter, self._reporter = self._reporter, Told(None)
        reporter.close()

    def close_journal(self) -> None:
        """Let the journal go; may wait for a disk. Does nothing twice."""
        with self._guard:
            self.is_closed = True
        if self._journal is not None:
            try:
                if self.options.sorts_journal and self.is_exhausted and not (self._is_cut or self._has_failed):
                    self._journal.sort(self._place_of)
            finally:
                self._journal.close()

    def _place_of(self, record: Record) -> int | None:
        return self._first_places.get(key_of(record.id, record.index))

    # ---- what is taken ----

    @property
    def can_take(self) -> bool:
        """Whether one more request may be taken from the source."""
        options = self.options
        return (
            not self.is_exhausted
            and not self.is_stopping
            and self.pending < options.concurrency * _ASKED_AHEAD
            and self._taken - self._given_back < options.concurrency * _TAKEN_AHEAD
        )

    def take(self, given: Any) -> Item | None:
        """Take a request of the source; return it where it is to be asked."""
        if self.is_stopping:  # since the source was asked
            self._is_cut = True
            return None
        index = self._taken
        self._taken += 1
        item = read_item(given, index, self.options.endpoint.name, self.options.endpoint.model)
        del given  # headers in it may hold secrets
        if isinstance(item, InvalidRequestError):
            self.end(with_place(item, self.options.place(index)))
            return None
        if item.id is not None or self.options.sorts_journal:
            first = self._first_places.setdefault(item.key, index)
            if first != index:
                place = self.options.place
                self.end(duplicate(item, (place(first), place(index))))
                return None
        found = None if self._journal is None else self._of_journal(self._journal, item)
        if isinstance(found, GigaChatError):
            found.message = f"{self.options.place(index)}: {found.message}"
            self.end(found)
            return None
        if found is not None:
            self._note(found)
            return None
        self.pending += 1
        return item

    def _of_journal(self, journal: Journal, item: Item) -> BulkResult[Any] | GigaChatError | None:
        record = journal.find(item)
        if not isinstance(record, Record):
            return record
        return journal.result_of(record, item, self.options.endpoint)

    def end(self, error: BaseException | None = None) -> None:
        """Take nothing more; what was taken is asked, and then the error is raised. The first one counts."""
        self.is_exhausted = True
        self._is_cut = self._is_cut or error is not None
        if self.error is None:
            self.error = error

    def cut(self) -> None:
        """Take nothing more, as the source was interrupted, and whoever takes the results knows."""
        self.is_exhausted = self._is_cut = True

    def fail(self, error: BaseException) -> None:
        """End the run because of an error: what is being asked is finished, and nothing is begun.

        The first one counts, and more than one of the source, which would come again.
        """
        self.is_stopping = True
        if not self._has_failed:
            self._has_failed = True
            self._has_lost_client = self._client.is_closed and isinstance(
                error, APIConnectionError | ConfigurationError
            )
            self.error = error

    def take_error(self) -> BaseException | None:
        """Return why the run ends, for whoever takes its results; once."""
        error, self.error = self.error, None
        return error

    def take_failure(self) -> BaseException | None:
        """Return why the run ends, for whoever leaves it; once.

        An error of what the source gives, further on than anybody wants to go, is none of theirs.
        """
        error = self.take_error()
        return error if self._has_failed else None

    def tell_failure(self) -> None:
        """Log why the run ends, where nobody is going to be told; who has closed the client under it knows."""
        failure = self.take_failure()
        if failure is not None and not self._has_lost_client:
            tell_left(failure)

    def forget_frames(self) -> None:
        """Let the error go without its frames, where they may have callers that are to be forgotten."""
        if self.error is not None:
            self.error.__traceback__ = None

    # ---- what is asked ----

    def deadline_of(self, item: Item) -> Deadline | None:
        """Return when an item is to be done with that is taken on now; None where nothing ends it."""
        seconds: Any = item.request.get("deadline", self._seconds)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        return Deadline(seconds) if 0 < seconds <= LONGEST_TIME else None  # the call refuses others

    def first_wait(self, item: Item) -> Wait:
        """Return when an item is to be taken on: now, or after a pause that it could not outlast."""
        return Wait(0.0 if self.deadline_of(item) is None else max(self._tokens.until, self._quota.until))

    @contextmanager
    def asking(self, item: Item, deadline: Deadline | None = None) -> Generator[Hidden, None, None]:
        """Give the keywords that an item is asked with, inside the block.

        There a request of the client takes no slot, and waits for no retry, once the run is ending.

        Args:
            item: The item.
            deadline: Of the item; the pauses of the run count.

        Raises:
            StoppedError: The run is ending.
        """
        look = Look(self)

        def view(limiter: ConcurrencyLimiter) -> ConcurrencyLimiter:
            return Watched(limiter, look) if limiter is self._client.limiter else limiter

        with look.only(), watching(view, look), running(deadline):
            yield self._arguments_of(item, look)

    def _arguments_of(self, item: Item, look: Look) -> Hidden:
        arguments = Hidden(item.request)
        if arguments.get("max_retries") is None:
            arguments["max_retries"] = self.options.max_retries
        told = arguments.get("on_retry")
        if told is None or callable(told):
            own: Callable[[RetryInfo], Any] | None = told or self._on_retry

            def on_retry(info: RetryInfo) -> Any:
                look()
                return None if own is None else own(info)

            arguments["on_retry"] = on_retry
        return arguments

    def outcome_of(
        self, item: Item, answer: ResponseT | BaseException, deadline: Deadline | None = None
    ) -> BulkResult[ResponseT] | BaseException | Wait | None:
        """Write down what has become of an item, and return it: its result, or an error that ends the run.

        None stands for an item that was left, and `Wait` for one that is to be asked again.

        Args:
            item: The item.
            answer: Its answer, or what was raised.
            deadline: Its deadline, which ends the wait for the account as well.
        """
        if isinstance(answer, StoppedError):
            return None
        # An item's own deadline says nothing of the endpoint that its token was to come from.
        token_urls = frozenset[str]() if is_of_deadline(answer, item) else self._token_urls
        trouble: Patience | None = None
        if is_of_tokens(answer, token_urls):
            trouble = self._tokens
        elif is_of_quota(answer):
            trouble = self._quota
        elif isinstance(answer, BaseException) and not stands_beside(answer, token_urls, has_answers=self._has_answers):
            return answer
        if trouble is not None and isinstance(answer, APIError):
            until = trouble.pause_after(answer, monotonic())
            if until is None:
                return answer
            if deadline is None or until < deadline.ends_at:
                return Wait(until, deadline)
        if isinstance(answer, APIConnectionError) and self._client.is_closed:  # that ended it
            return None if self.is_stopping else answer
        if isinstance(answer, GigaChatError):
            answer = answer.with_traceback(None)  # its frames hold the request, and whoever keeps results keeps them
        if self._journal is not None:
            try:
                self._journal.write(line_of(item, answer))
            except (OSError, GigaChatError) as error:
                return error
        if trouble is None and (isinstance(answer, APIStatusError) or not isinstance(answer, Exception)):
            self._tokens.is_over()
            self._quota.is_over()
        request = dict(item.request)
        if isinstance(answer, Exception):
            return BulkResult[ResponseT](item.index, request, None, answer, item.id)
        self._has_answers = True
        return BulkResult(item.index, request, answer, None, item.id)

    def pause(self, wait: Wait) -> float:
        """Return the seconds that an item waits yet, or until the next look; 0 for no longer."""
        left = 0.0 if self.is_stopping else wait.until - monotonic()
        return min(max(left, 0.0), LOOK)

    def finish(self, outcome: BulkResult[ResponseT] | BaseException | None) -> None:
        """Take note of what has become of an item that was being asked."""
        self.pending -= 1
        if isinstance(outcome, BulkResult):
            self._note(outcome)
            return
        self._left += 1
        if outcome is not None:
            self.fail(outcome)

    def _note(self, result: BulkResult[ResponseT]) -> None:
        self._ready[result.index] = result
        before = self.progress
        self.progress = BulkProgress(
            before.done + 1,
            before.failed + (result.error is not None),
            before.from_journal + result.from_journal,
            before.total,
        )
        try:
            self._reporter.tell(self.progress)
        except Exception as error:  # a function of the user's
            self.fail(error)

    # ---- what is given back ----

    @property
    def is_ready(self) -> bool:
        """Whether there is a result to give back: the next one, or any."""
        if not self._ready or not self.options.ordered or self._given_back in self._ready:
            return bool(self._ready)
        return self.is_stopping and not self.is_busy  # nothing comes any more to stand before them

    @property
    def is_over(self) -> bool:
        """Whether nothing is going to become ready any more."""
        return not self.is_busy and (self.is_exhausted or self.is_stopping)

    @property
    def is_busy(self) -> bool:
        """Whether an item is being asked; once the run is ending, one that waits for a slot is not going to be."""
        return self.pending > (len(self.in_line) if self.is_stopping else 0)

    @property
    def is_inherited(self) -> bool:
        """Whether this is the child of a fork, and the run its parent's."""
        return self._process != os.getpid()

    def check_process(self) -> None:
        """Refuse the child of a fork, where none of the threads and tasks is.

        Raises:
            ConfigurationError: The run is another process's.
        """
        if self.is_inherited:
            raise ConfigurationError("this run is another process's; begin one in this process, with a client of it")

    @property
    def closed_error(self) -> ConfigurationError | None:
        """Why a closed run gives nothing more; None where it has given everything."""
        if self.is_exhausted and not (self.pending or self._left or self._ready or self._is_cut):
            return None
        more = "" if self.options.journal is None else "; with its journal it goes on where this one was"
        return ConfigurationError(f"this run was closed before its end; begin another one{more}")

    @property
    def is_open(self) -> bool:
        """Whether the journal was opened, for a run that has one."""
        return self._journal is not None

    @property
    def written(self) -> int:
        """How many requests are finished, those included that an earlier run has written and this one has not read."""
        return self.progress.done if self._journal is None else self._journal.count

    def give_back(self) -> BulkResult[ResponseT]:
        """Return the result that is ready."""
        ready = self._ready
        index = next(iter(ready))
        if self.options.ordered:
            index = self._given_back if self._given_back in ready else min(ready)
        self._given_back += 1
        return ready.pop(index)
