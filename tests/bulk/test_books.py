"""The arguments of a run, and its books without threads or tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from gigachat_sdk import Client, InvalidRequestError, LimiterTimeoutError, LocalLimiter, Slot
from gigachat_sdk._config import AuthConfig, ClientConfig
from gigachat_sdk._tls import TLSConfig
from gigachat_sdk._watch import watched
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.bulk._items import Item
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.bulk._options import Options, options_of, usual_concurrency
from gigachat_sdk.bulk._watched import Look, StoppedError, Watched
from gigachat_sdk.errors import APIConnectionError, InvalidRequestTypeError
from gigachat_sdk.testing import Emulator

from .conftest import CHAT, Engine, asking, lines, numbered

# ---- arguments ----


def config(scope: str = "GIGACHAT_API_PERS") -> ClientConfig:
    return ClientConfig(auth=AuthConfig(scope=scope), tls=TLSConfig())


@pytest.mark.parametrize(
    ("scope", "limiter", "expected"),
    [
        ("GIGACHAT_API_PERS", None, 1),
        ("GIGACHAT_API_B2B", None, 10),
        ("GIGACHAT_API_CORP", None, 10),
        ("GIGACHAT_API_PERS", LocalLimiter(7), 7),
        ("GIGACHAT_API_CORP", LocalLimiter({"GigaChat-2-Max": 2, "*": 4}), 6),
        ("GIGACHAT_API_CORP", SimpleNamespace(), 10),
        ("GIGACHAT_API_CORP", SimpleNamespace(limits={}), 10),
        ("GIGACHAT_API_CORP", SimpleNamespace(limits=5), 10),
    ],
)
def test_how_many_at_a_time(scope: str, limiter: Any, expected: int) -> None:
    assert usual_concurrency(config(scope), limiter) == expected


@pytest.mark.parametrize(("settings", "most"), [({"max_concurrency": 2}, 2), ({}, 1)])
def test_the_limiter_of_the_client_counts(
    engine: Engine, emulator: Emulator, settings: dict[str, Any], most: int
) -> None:
    emulator.on(CHAT, lambda request: None)
    engine.results(numbered(20), settings=settings)
    assert emulator.max_in_flight <= most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency: give 1 or more, not 0"),
        ({"concurrency": 1.5}, "concurrency: expected a whole number, got float"),
        ({"concurrency": True}, "concurrency: expected a whole number, got bool"),
        ({"max_retries": -1}, "max_retries: give 0 or more, not -1"),
        ({"ordered": 1}, "ordered: expected True or False, got int"),
        ({"retry_errors": None}, "retry_errors: expected True or False, got NoneType"),
        ({"journal": 5}, "journal: expected a path, got int"),
        ({"journal": b"x"}, "journal: expected a path, got bytes"),
        ({"journal": ""}, "journal: the path is empty; give None for no journal"),
        ({"journal": "a\0b"}, "journal: the path holds a zero character"),
        ({"progress": 5}, "progress: expected True, False, None or a function, got int"),
        ({"endpoint": "chat"}, "endpoint: 'chat' is none for bulk work; did you mean 'chat.completions.create'?"),
    ],
)
def test_arguments_that_make_no_sense(engine: Engine, emulator: Emulator, options: Any, message: str) -> None:
    results, error = engine.run([], **options)
    assert isinstance(error, InvalidRequestError)
    assert (results, error.message, error.param) == ([], message, next(iter(options)))


@pytest.mark.parametrize("requests", ["text", b"bytes", {"messages": []}, 5, None])
def test_what_are_no_requests(engine: Engine, requests: Any) -> None:
    _, error = engine.run(requests)
    assert isinstance(error, InvalidRequestTypeError)
    assert str(error) == f"requests: expected an iterable of requests, got {type(requests).__name__}"


def test_the_order_of_the_arguments(engine: Engine, journal: Path) -> None:
    told: list[BulkProgress] = []
    engine.results(numbered(3), journal, False, 2, told.append)
    assert (len(lines(journal)), len(told)) == (3, 3)


@pytest.mark.parametrize(
    ("variable", "argument", "expected"),
    [(None, None, 5), (None, 0, 0), (None, 2, 2), (None, 9, 9), ("0", None, 0), ("3", None, 3), ("3", 1, 1)],
)
def test_retries_are_five_where_nobody_says(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, argument: int | None, expected: int
) -> None:
    monkeypatch.delenv("GIGACHAT_MAX_RETRIES", raising=False)
    if variable is not None:
        monkeypatch.setenv("GIGACHAT_MAX_RETRIES", variable)
    with Client(credentials="a2V5", max_retries=argument) as client:
        assert checked(client).max_retries == expected
        assert checked(client.with_options(max_retries=4)).max_retries == 4


def checked(client: Client) -> Options[Any]:
    return options_of(
        [],
        client,
        endpoint="chat.completions.create",
        concurrency=2,
        ordered=True,
        journal=None,
        retry_errors=False,
        max_retries=None,
        progress=None,
        place=None,
    )


# ---- the journal ----


def test_a_journal_that_was_opened_too_late_is_closed_at_once(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(credentials="a2V5") as client:
        books: Books[Any] = Books(replace(checked(client), journal=journal, progress=lambda state: None), client)

    def opened(*given: Any, **more: Any) -> Journal:
        made = Journal(*given, **more)
        books.close()
        return made

    monkeypatch.setattr("gigachat_sdk.bulk._books.Journal", opened)
    books.open()
    assert not journal.with_name(f".{journal.name}.lock").exists()
    assert books.written == 0


# ---- the end of a run that others have ended ----


@pytest.fixture
def books() -> Books[Any]:
    with Client(credentials="a2V5") as client:
        return Books(checked(client), client)


def test_no_more_is_about_to_be_asked_than_is_needed(books: Books[Any]) -> None:
    taken = 0
    while books.can_take:
        books.take(asking(str(taken)))
        taken += 1
    assert taken == books.pending == 2 * 2
    books.finish(None)
    assert books.can_take


def test_the_first_error_counts(books: Books[Any]) -> None:
    for item in (5, {"id": ""}):
        books.take(item)
    assert str(books.error) == "requests[0]: expected a dict of keywords, got int"
    assert (books.is_over, books.can_take, books.is_stopping) == (True, False, False)


def test_what_fails_counts_more_than_what_the_source_says(books: Books[Any]) -> None:
    books.end(LookupError("of the source, which says it again"))
    books.fail(OSError("full"))
    assert (str(books.take_failure()), books.take_error()) == ("full", None)


def test_who_leaves_a_run_is_not_told_what_stood_further_on(books: Books[Any]) -> None:
    books.end(LookupError("of the source"))
    assert (books.take_failure(), books.take_error()) == (None, None)


def test_a_run_that_ends_retries_nothing_more(books: Books[Any]) -> None:
    item = books.take(asking("Раз"))
    assert isinstance(item, Item)
    with books.asking(item) as arguments:
        on_retry: Callable[[Any], Any] = arguments["on_retry"]
        assert on_retry(None) is None
        books.fail(LookupError("first"))
        books.fail(LookupError("second"))
        with pytest.raises(StoppedError):
            on_retry(None)
    assert not books.is_over
    outcome = books.outcome_of(item, StoppedError())
    assert outcome is None
    books.finish(outcome)
    assert (outcome, books.is_over, books.is_ready, str(books.error)) == (None, True, False, "first")


def test_what_the_end_of_the_client_cut_off_is_no_error_of_a_run_that_ends(books: Books[Any]) -> None:
    item, error = books.take(asking("Раз")), APIConnectionError("the client was closed during the call")
    assert isinstance(item, Item)
    assert books.outcome_of(item, error) is error  # the client of these books is closed
    books.is_stopping = True
    assert books.outcome_of(item, error) is None


class Held:
    """A limiter whose slots others hold until `wait` raises, or ends the run."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self._wait = wait

    def acquire(self, model: str | None = None) -> Slot:
        self._wait()
        return LocalLimiter(1).acquire()

    async def aacquire(self, model: str | None = None) -> Slot:
        return self.acquire(model)


def acquire(limiter: Watched, kind: str) -> object:
    return limiter.acquire() if kind == "threads" else anyio.run(limiter.aacquire, backend=kind)


both = pytest.mark.parametrize("kind", ["threads", "asyncio", "trio"])


@both
def test_who_waits_for_a_slot_does_not_keep_a_run_from_ending(books: Books[Any], kind: str) -> None:
    books.take(asking("Раз"))
    seen: list[tuple[bool, bool]] = []

    def wait() -> None:
        seen.append((books.is_busy, books.is_over))
        books.fail(LookupError())
        seen.append((books.is_busy, books.is_over))

    with pytest.raises(StoppedError):
        acquire(Watched(Held(wait), Look(books)), kind)
    assert seen == [(True, False), (False, True)]
    assert (books.in_line, books.is_busy) == (set(), True)  # until its item was given back


def test_a_request_that_comes_too_late_is_left(books: Books[Any]) -> None:
    books.is_stopping = True
    assert books.take(asking("Раз")) is None
    books.end()
    assert (books.pending, books.is_over) == (0, True)
    assert str(books.closed_error).startswith("this run was closed before its end")


def test_the_limiter_of_another_client_is_left_alone(books: Books[Any]) -> None:
    item, other = books.take(asking("Раз")), LocalLimiter(1)
    assert isinstance(item, Item)
    with books.asking(item):
        assert watched(other) is other


@both
def test_nobody_waits_for_a_slot_of_a_run_that_is_ending(books: Books[Any], kind: str) -> None:
    books.fail(LookupError())
    with pytest.raises(StoppedError):
        acquire(Watched(Held(pytest.fail), Look(books)), kind)
    assert books.in_line == set()


@both
@pytest.mark.parametrize("is_stopping", [True, False])
def test_having_waited_in_vain_is_an_error_of_a_run_that_goes_on(
    books: Books[Any], kind: str, is_stopping: bool
) -> None:
    def wait() -> None:
        books.is_stopping = is_stopping
        raise LimiterTimeoutError("no slot")

    with pytest.raises(StoppedError if is_stopping else LimiterTimeoutError):
        acquire(Watched(Held(wait), Look(books)), kind)
    assert books.in_line == set()
