"""A deadline bounds an item of a run: what the run waits for the account counts, its queue does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import APITimeoutError, Client, InternalServerError, RateLimitError, bulk
from gigachat_sdk._deadline import Deadline, current_deadline
from gigachat_sdk.bulk._books import Books, Wait
from gigachat_sdk.bulk._items import Item
from gigachat_sdk.errors import APIError, status_error
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import RequestInfo, ResponseInfo
from gigachat_sdk.types.http import Headers

from .conftest import CHAT, Engine, asked, asking, lines, texts
from .test_books import checked

NOW = 1000.0
OAUTH = "/api/v2/oauth"
LATER = Reply.error(429, "later", headers={"Retry-After": "90"})


def books_of(**settings: Any) -> Books[Any]:
    with Client(credentials="a2V5", auth_url="https://auth/oauth", **settings) as client:
        return Books(checked(client), client)


def taken(books: Books[Any], **more: Any) -> Item:
    item = books.take(asking("Раз", **more))
    assert item is not None
    return item


def refused(status: int, retry_after: float | None = None) -> APIError:
    """An error of the token endpoint, or of the quota."""
    url = "https://auth/oauth" if status == 503 else "https://api/v1/chat/completions"
    error = status_error(RequestInfo("POST", url), ResponseInfo(status, Headers({})), b"")
    error.retry_after = retry_after
    return error


@pytest.mark.parametrize(
    ("of_client", "given", "seconds"),
    [
        (None, {}, None),
        (5, {}, 5),
        (5, {"deadline": 2}, 2),
        (None, {"deadline": 0.5}, 0.5),
        (5, {"deadline": None}, None),
        # What makes no sense the call refuses.
        (None, {"deadline": "2"}, None),
        (None, {"deadline": True}, None),
        (None, {"deadline": -1}, None),
        (None, {"deadline": float("nan")}, None),
        (None, {"deadline": 10**400}, None),
    ],
)
def test_whose_deadline_counts(of_client: float | None, given: dict[str, Any], seconds: float | None) -> None:
    books = books_of(deadline=of_client)
    deadline = books.deadline_of(taken(books, **given))
    assert (None if deadline is None else deadline.seconds) == seconds


@pytest.mark.parametrize(
    ("error", "pause", "left", "waits"),
    [
        (refused(503), 1, 1.5, True),
        (refused(503), 1, 1.0, False),
        (refused(503), 1, 0.5, False),
        (refused(503), 1, None, True),
        (refused(429, 90), 90, 91, True),
        (refused(429, 90), 90, 89, False),
    ],
)
def test_an_item_does_not_wait_beyond_its_deadline(
    monkeypatch: pytest.MonkeyPatch, error: APIError, pause: float, left: float | None, waits: bool
) -> None:
    monkeypatch.setattr("gigachat_sdk.bulk._books.monotonic", lambda: NOW)
    books = books_of()
    item = taken(books)
    deadline = None if left is None else Deadline(left)
    if deadline is not None and left is not None:
        deadline.ends_at = NOW + left
    outcome = books.outcome_of(item, error, deadline)
    if waits:
        assert outcome == Wait(NOW + pause, deadline)
        return
    assert isinstance(outcome, bulk.BulkResult)
    assert outcome.error is error
    assert isinstance(books.outcome_of(item, error), Wait)  # the trouble goes on for the others


def test_a_deadline_does_not_keep_a_run_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    monkeypatch.setattr("gigachat_sdk.bulk._books.monotonic", lambda: now[0])
    books, deadline = books_of(), Deadline(0.1)
    deadline.ends_at = 0.0
    item, error = taken(books), refused(503)
    outcomes = []
    for now[0] in (NOW, NOW + 119, NOW + 120):
        outcomes.append(type(books.outcome_of(item, error, deadline)))
    assert outcomes == [bulk.BulkResult, bulk.BulkResult, InternalServerError]


def test_an_item_with_a_deadline_is_not_begun_during_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk.bulk._books.monotonic", lambda: NOW)
    books = books_of()
    with_deadline, without = taken(books, deadline=3), taken(books)
    assert books.first_wait(with_deadline) == Wait(0.0)
    books.outcome_of(without, refused(503))
    assert books.first_wait(with_deadline) == Wait(NOW + 1)
    books.outcome_of(without, refused(429, 90))
    assert books.first_wait(with_deadline) == Wait(NOW + 90)
    assert books.first_wait(without) == Wait(0.0)


def test_what_is_asked_again_gets_what_is_left_of_its_time() -> None:
    books, deadline = books_of(), Deadline(50)
    item = taken(books)
    with books.asking(item, deadline):
        assert current_deadline() is deadline
    with books.asking(item):
        assert current_deadline() is None


@pytest.mark.parametrize("is_of_client", [True, False])
def test_a_quota_that_comes_back_after_the_deadline(
    engine: Engine, emulator: Emulator, journal: Path, is_of_client: bool
) -> None:
    emulator.reply(CHAT, LATER, times=1)
    settings = {"deadline": 30} if is_of_client else {}
    more = {} if is_of_client else {"deadline": 30}
    (result,) = engine.results([asking("0", **more)], journal, settings=settings)
    assert isinstance(result.error, RateLimitError)
    assert [line["is_final"] for line in lines(journal)] == [False]
    assert texts(engine.results([asking("0", **more)], journal, settings=settings)) == ["0"]


@pytest.mark.parametrize(
    ("reply", "seconds", "kind"),
    [
        (Reply.error(503, "down", headers={"Retry-After": "60"}), 20, InternalServerError),
        (Reply.error(503, "late", delay=30), 0.2, APITimeoutError),
    ],
)
def test_no_token_before_the_deadline(
    engine: Engine, emulator: Emulator, journal: Path, reply: Reply, seconds: float, kind: type[APIError]
) -> None:
    emulator.reply(OAUTH, reply, times=1)
    (result,) = engine.results([asking("0")], journal, settings={"deadline": seconds})
    assert isinstance(result.error, kind)
    assert asked(emulator) == []
    assert [line["is_final"] for line in lines(journal)] == [False]
