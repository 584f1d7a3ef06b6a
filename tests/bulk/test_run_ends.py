"""What ends a run of threads or tasks, and what is given before it does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.testing import Emulator, Reply

from .conftest import CHAT, Engine, asked, asking, lines, numbered, refusing, texts

BAD = Reply.error(400, "Bad Request")


# ---- what ends a run ----


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (402, PaymentRequiredError), (403, PermissionDeniedError)]
)
@pytest.mark.parametrize("ordered", [True, False])
def test_trouble_with_the_account_ends_the_run(
    engine: Engine, emulator: Emulator, journal: Path, status: int, kind: type[Exception], ordered: bool
) -> None:
    refusing(emulator, {"5": Reply.error(status, "no")})
    results, error = engine.run(iter(numbered(500)), journal, ordered=ordered, concurrency=3)
    assert type(error) is kind
    indices = [result.index for result in results]
    assert 5 not in indices
    assert {0, 1, 2, 3, 4} - set(indices) == set() or not ordered
    assert not ordered or indices == sorted(indices)
    assert sorted(indices) == sorted(line["index"] for line in lines(journal))  # all that was written is given
    assert len(set(asked(emulator))) < 100  # a 401 gets a second chance, and the others go on meanwhile
    emulator.on(CHAT, None)
    again = engine.results(numbered(20), journal)
    assert texts(again) == [str(number) for number in range(20)]
    assert sum(result.from_journal for result in again) == len(results)


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
    threads = set(threading.enumerate())
    results = engine.results(numbered(20), journal, concurrency=4, progress=lambda state: None)
    assert len(results) == 20
    assert not [thread for thread in set(threading.enumerate()) - threads if "bulk" in thread.name]
    del results
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Books)]
