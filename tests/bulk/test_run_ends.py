"""What ends a run of threads or tasks, and what is given before it does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InternalServerError,
    LocalLimiter,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
)
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, Engine, asked, asking, lines, numbered, refusing, texts
from .gates import answer, answer_together, held

BAD = Reply.error(400, "Bad Request")


# ---- what ends a run ----


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (402, PaymentRequiredError)])
@pytest.mark.parametrize("ordered", [True, False])
def test_trouble_with_the_account_ends_the_run(
    engine: Engine,
    emulator: Emulator,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    kind: type[Exception],
    ordered: bool,
) -> None:
    begun: list[Books[Any]] = []
    real = Books.open

    def begin(books: Books[Any]) -> None:
        begun.append(books)
        real(books)

    def handler(request: RecordedRequest) -> Reply | None:
        text = request.json()["messages"][0]["content"]
        if text == "5":
            return Reply.error(status, "no")
        # The others get no further than this before the run has heard of the refusal.
        return held(answer(text), lambda: begun[0].is_stopping) if int(text) > 50 else None

    monkeypatch.setattr(Books, "open", begin)
    emulator.on(CHAT, handler)
    results, error = engine.run(iter(numbered(500)), journal, ordered=ordered, concurrency=3)
    assert type(error) is kind
    indices = [result.index for result in results]
    assert 5 not in indices
    assert {0, 1, 2, 3, 4} - set(indices) == set() or not ordered
    assert not ordered or indices == sorted(indices)
    assert sorted(indices) == sorted(line["index"] for line in lines(journal))  # all that was written is given
    assert len(set(asked(emulator))) < 60  # a 401 gets a second chance, and the others go on meanwhile
    emulator.on(CHAT, None)
    again = engine.results(numbered(60), journal)
    assert texts(again) == [str(number) for number in range(60)]
    assert sum(result.from_journal for result in again) == len(results)


def test_a_run_that_ends_waits_for_no_slot(engine: Engine, emulator: Emulator, journal: Path) -> None:
    refusing(emulator, {"bad": Reply.error(402, "no")})
    limiter = LocalLimiter({"GigaChat-2-Max": 1, "*": 1})
    requests = [asking("0"), *(asking(str(number), model="GigaChat-2-Max") for number in (1, 2)), asking("bad")]
    with limiter.acquire("GigaChat-2-Max"):  # for long
        later = [asking(str(number), model="GigaChat-2-Max") for number in range(4, 12)]
        results, error = engine.run([*requests, *later], journal, settings={"limiter": limiter}, concurrency=3)
    assert isinstance(error, PaymentRequiredError)
    assert [result.index for result in results] == [line["index"] for line in lines(journal)] == [0]
    assert asked(emulator) == ["0", "bad"]


@pytest.mark.parametrize("has_journal", [True, False])
def test_a_403_is_one_request_s_once_there_was_an_answer(
    engine: Engine, emulator: Emulator, journal: Path, has_journal: bool
) -> None:
    if has_journal:
        engine.results([asking("other")], journal)
    refusing(emulator, {"1": Reply.error(403, "not in your plan")})
    requests = [asking("other" if has_journal else "0"), *numbered(4)[1:]]
    results = engine.results(requests, journal if has_journal else None, concurrency=1)
    assert [result.error and type(result.error) for result in results] == [None, PermissionDeniedError, None, None]


@pytest.mark.parametrize("has_journal", [True, False])
def test_a_403_before_any_answer_ends_the_run(
    engine: Engine, emulator: Emulator, journal: Path, has_journal: bool
) -> None:
    refusing(emulator, {"0": Reply.error(403, "no"), "bad": BAD})
    requests = [asking("bad"), *numbered(9)]
    if has_journal:
        engine.results(requests[:1], journal)  # an error is no answer
    results, error = engine.run(requests, journal if has_journal else None, concurrency=1)
    assert isinstance(error, PermissionDeniedError)
    assert [result.index for result in results] == [0]


# ---- tokens ----

OAUTH = "/api/v2/oauth"
DOWN = Reply.error(503, "down")


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_token_failures", "bulk._patience"):
        for name in ("FIRST_TOKEN_PAUSE", "LONGEST_TOKEN_PAUSE"):
            monkeypatch.setattr(f"gigachat_sdk.{module}.{name}", 0.001)


@pytest.mark.usefixtures("_short_pauses")
def test_a_short_outage_of_the_token_endpoint_is_waited_for(
    engine: Engine, emulator: Emulator, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.reply(OAUTH, DOWN, times=6)
    answer_together(emulator, 5)  # who has not heard of a failure when the first answer comes would tell of another one
    results = engine.results(numbered(200), journal, concurrency=5)
    assert texts(results) == [str(number) for number in range(200)]
    assert len(asked(emulator)) == 200
    assert [line["index"] for line in lines(journal) if "error" in line] == []
    assert len([text for text in caplog.messages if text.startswith("no token can be bought; ")]) == 1


@pytest.mark.usefixtures("_short_pauses")
def test_a_long_outage_of_the_token_endpoint_ends_the_run(
    engine: Engine, emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigachat_sdk.bulk._books.PATIENCE", 0.01)
    emulator.reply(OAUTH, DOWN, times=10_000)
    results, error = engine.run(numbered(200), journal, concurrency=5)
    assert isinstance(error, InternalServerError)
    assert (results, lines(journal), asked(emulator)) == ([], [], [])
    emulator.on(OAUTH, None)


@pytest.mark.usefixtures("_short_pauses")
def test_a_token_endpoint_that_cannot_be_reached(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk.bulk._books.PATIENCE", 0.01)
    settings = {"auth_url": "https://127.0.0.1:9/oauth", "max_retries": 0}
    results, error = engine.run(numbered(20), settings=settings, concurrency=2)
    assert isinstance(error, APIConnectionError)
    assert results == []


def test_a_deadline_of_one_request_says_nothing_of_the_token_endpoint(engine: Engine, emulator: Emulator) -> None:
    emulator.reply(OAUTH, Reply.error(503, "late", delay=30), times=1)
    first, *others = engine.results([asking("0", deadline=0.2), *numbered(3)[1:]], concurrency=1)
    assert isinstance(first.error, APITimeoutError)
    assert "the deadline of 0.2 s has passed" in str(first.error)
    assert texts(others) == ["1", "2"]


# ---- the quota ----


def test_a_quota_that_comes_back_soon_is_waited_for(
    engine: Engine, emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigachat_sdk.bulk._patience.RETRY_AFTER_LIMIT", 0)
    monkeypatch.setattr("gigachat_sdk.bulk._patience.FIRST_TOKEN_PAUSE", 0.001)
    monkeypatch.setattr("gigachat_sdk.bulk._books.monotonic", iter(range(10, 10**9, 100)).__next__)
    emulator.reply(CHAT, Reply.error(429, "later", headers={"Retry-After": "90"}), times=4)
    results = engine.results(numbered(9), journal, concurrency=2)
    assert texts(results) == [str(number) for number in range(9)]
    assert len(asked(emulator)) == 9 + 4


def test_a_quota_that_comes_back_late_ends_the_run(engine: Engine, emulator: Emulator, journal: Path) -> None:
    emulator.reply(CHAT, Reply.error(429, "tomorrow", headers={"Retry-After": "7200"}), times=1000)
    results, error = engine.run(numbered(100), journal, concurrency=2)
    assert isinstance(error, RateLimitError)
    assert (results, lines(journal), len(asked(emulator)) <= 2) == ([], [], True)


# ---- what is wrong with the caller's own functions ----


@pytest.mark.parametrize("kind", [TypeError, SystemExit, LookupError])
def test_a_middleware_that_fails_ends_the_run(engine: Engine, journal: Path, kind: type[BaseException]) -> None:
    def middleware(*_: Any) -> Any:
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        engine.results(numbered(9), journal, settings={"middleware": [middleware]})
    assert lines(journal) == []


def test_a_value_that_nobody_can_judge_ends_the_run(engine: Engine) -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise LookupError("ambiguous")

    results, error = engine.run([asking("0"), asking("1", stream=Odd()), asking("2")])
    assert repr(error) == "LookupError('ambiguous')"
    assert texts(results)[:1] == ["0"]


def test_an_answer_that_cannot_be_written_down_ends_the_run(
    engine: Engine, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> bytes:
        raise ValueError("no such number")

    monkeypatch.setattr("gigachat_sdk.bulk._books.line_of", refuse)
    results, error = engine.run(numbered(9), journal)
    assert repr(error) == "ValueError('no such number')"
    assert results == []


def test_a_wrong_scope_is_trouble_with_the_account(engine: Engine, emulator: Emulator, journal: Path) -> None:
    emulator.reply("/api/v2/oauth", Reply.error(400, "scope from db not fully includes"), times=9)
    results, error = engine.run(numbered(9), journal)
    assert isinstance(error, BadRequestError)
    assert (results, lines(journal), emulator.requests_to(CHAT)) == ([], [], [])


def test_wrong_settings_end_the_run(engine: Engine) -> None:
    def middleware(*_: Any) -> Any:
        raise ConfigurationError("this client is closed")

    results, error = engine.run(numbered(9), settings={"middleware": [middleware]})
    assert isinstance(error, ConfigurationError)
    assert results == []


def test_a_source_that_fails_ends_the_run_after_what_it_gave(engine: Engine, journal: Path) -> None:
    def source() -> Iterator[Any]:
        yield from numbered(7)
        raise LookupError("the database is away")

    results, error = engine.run(source(), journal, concurrency=2)
    assert repr(error) == "LookupError('the database is away')"
    assert texts(results) == [str(number) for number in range(7)]
    assert len(lines(journal)) == 7


def test_a_function_that_fails_ends_the_run(engine: Engine, journal: Path) -> None:
    def progress(state: BulkProgress) -> None:
        if state.done == 3:
            raise LookupError("no display")

    results, error = engine.run(numbered(50), journal, concurrency=2, progress=progress)
    assert repr(error) == "LookupError('no display')"
    assert len(results) == len(lines(journal)) <= 3 + 2 * 2


def test_an_error_that_is_none_of_ours_ends_the_run(engine: Engine, emulator: Emulator) -> None:
    def on_retry(info: Any) -> None:
        raise LookupError("no log")

    refusing(emulator, {"1": Reply.error(503, "down")})
    results, error = engine.run([asking("0"), asking("1", max_retries=1, on_retry=on_retry)])
    assert repr(error) == "LookupError('no log')"
    assert texts(results) == ["0"]


def test_progress_is_told(engine: Engine, emulator: Emulator, journal: Path) -> None:
    refusing(emulator, {"1": BAD})
    engine.results(numbered(3), journal)
    told: list[BulkProgress] = []
    engine.results(numbered(4), journal, progress=told.append)
    assert told[-1] == BulkProgress(4, 1, 3, 4)
    assert [state.done for state in told] == [1, 2, 3, 4]
    told.clear()
    engine.results(iter(numbered(4)), progress=told.append)
    assert told[-1] == BulkProgress(4, 1, 0, None)


def test_nothing_of_a_request_shows_in_a_traceback(engine: Engine) -> None:
    _, error = engine.run([asking("0", extra_headers={"Authorization": "Bearer s3cr3t"})])
    frame = error.__traceback__ if error else None
    shown: list[str] = []
    while frame is not None:
        if "gigachat_sdk" in frame.tb_frame.f_code.co_filename:
            shown += [repr(value) for value in frame.tb_frame.f_locals.values()]
        frame = frame.tb_next
    assert isinstance(error, AuthenticationError)  # the header is no token
    assert shown
    assert "s3cr3t" not in "".join(shown)


def test_nothing_is_left_behind(engine: Engine, journal: Path) -> None:
    def books() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if isinstance(thing, Books)}

    threads = set(threading.enumerate())
    before = books()  # of other tests, whose errors somebody may still hold
    results = engine.results(numbered(20), journal, concurrency=4, progress=lambda state: None)
    assert len(results) == 20
    left = set(threading.enumerate()) - threads
    assert not [thread for thread in left if "bulk" in thread.name]
    for thread in (thread for thread in left if "AnyIO" in thread.name):
        thread.join(30)  # they end a moment after their loop, and hold until then what they have run
    del results
    gc.collect()
    assert books() <= before
