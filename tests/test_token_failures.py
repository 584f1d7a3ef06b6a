"""`_token_failures.py`: for how long nobody asks for a token, and what others are told of a failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat_sdk import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    InternalServerError,
    RateLimitError,
)
from gigachat_sdk._token_failures import (
    TokenFailure,
    concerns_everybody,
    failure_document,
    failure_of,
    next_failure,
)
from gigachat_sdk.types.http import Headers, RequestInfo, ResponseInfo

NOW = 1_800_000_000.0
URL = "https://host/oauth"


def answered(
    kind: type[APIStatusError] = InternalServerError, status: int = 500, retry_after: float | None = None
) -> APIStatusError:
    error = kind(
        f"{status} for POST {URL}: busy",
        request=RequestInfo("POST", URL, Headers({"Authorization": "Basic s3cr3t", "RqUID": "1"})),
        response=ResponseInfo(status, Headers({"x-request-id": "r1", "x-other": "2"})),
        body={"secret": "s3cr3t"},
    )
    error.retry_after = retry_after
    return error


def test_pauses_double_up_to_half_a_minute() -> None:
    last: TokenFailure | None = None
    pauses: list[float] = []
    for number in range(1, 9):
        now = NOW if last is None else last.failed_at + last.pause
        last = next_failure(last, answered(), now)
        assert (last.count, last.failed_at) == (number, now)
        pauses.append(last.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert next_failure(TokenFailure(10**6, NOW, 30, answered()), answered(), NOW).pause == 30


@pytest.mark.parametrize(
    ("passed", "count"),
    [(0, 6), (30 + 119.9, 6), (30 + 120, 1), (-5, 6)],
    ids=["now", "soon", "late", "clock set back"],
)
def test_failures_of_long_ago_do_not_count(passed: float, count: int) -> None:
    last = TokenFailure(5, NOW, 30.0, answered())
    assert next_failure(last, answered(), NOW + passed).count == count


@pytest.mark.parametrize(("asked", "pause"), [(None, 1), (0, 1), (0.5, 1), (7, 7), (60, 60), (3600, 60)])
def test_a_longer_retry_after_counts_up_to_a_minute(asked: float | None, pause: float) -> None:
    assert next_failure(None, answered(RateLimitError, 429, asked), NOW).pause == pause


def test_what_no_answer_came_to_has_no_retry_after() -> None:
    assert next_failure(None, APITimeoutError("x", sent=True), NOW).pause == 1


def test_the_failure_keeps_a_copy_without_a_traceback() -> None:
    with pytest.raises(InternalServerError) as caught:
        raise answered()
    kept = next_failure(None, caught.value, NOW).error
    assert kept is not caught.value
    assert (kept.__traceback__, str(kept)) == (None, str(caught.value))


@pytest.mark.parametrize(
    ("passed", "left", "early"),
    [(0, 2, 10), (1.5, 0.5, 8.5), (2, 0, 8), (10, 0, 0), (-0.1, 0, 0), (-3600, 0, 0)],
)
def test_how_long_is_left(passed: float, left: float, early: float) -> None:
    failure = TokenFailure(2, NOW, 2.0, answered())
    assert failure.seconds_left(NOW + passed) == pytest.approx(left)
    assert failure.seconds_left(NOW + passed, is_early=True) == pytest.approx(early)


def test_a_long_pause_holds_for_early_renewals_too() -> None:
    assert TokenFailure(1, NOW, 60.0, answered()).seconds_left(NOW, is_early=True) == 60


@pytest.mark.parametrize(
    ("count", "words"), [(1, "the last call for a token got this"), (3, "the last 3 calls for a token failed")]
)
def test_the_refusal_says_how_often_it_failed_and_when_it_is_tried_again(count: int, words: str) -> None:
    original = answered(RateLimitError, 429, 20.0)
    refusal = TokenFailure(count, NOW, 20.0, original).refusal(NOW + 4.5)
    message = f"429 for POST {URL}: busy ({words}; the token endpoint is asked again in 15.5 s)"
    assert type(refusal) is RateLimitError
    assert str(refusal) == message + " (request id r1)"
    assert refusal.args == (message,)
    assert (refusal.status_code, refusal.retry_after) == (429, 15.5)
    assert (original.message, original.retry_after) == (f"429 for POST {URL}: busy", 20.0)


def test_a_refusal_for_want_of_an_answer() -> None:
    refusal = TokenFailure(1, NOW, 1.0, APITimeoutError("no answer", sent=True)).refusal(NOW)
    assert type(refusal) is APITimeoutError
    assert str(refusal) == "no answer (the last call for a token got this; the token endpoint is asked again in 1.0 s)"
    unasked = TokenFailure(1, NOW, 1.0, answered()).refusal(NOW)
    assert isinstance(unasked, APIStatusError)
    assert unasked.retry_after is None


@pytest.mark.parametrize(
    ("error", "does"),
    [
        (answered(), True),
        (answered(AuthenticationError, 401), True),
        (RateLimitError("x", response=ResponseInfo(429, Headers())), True),
        (APIConnectionError("x", sent=True), False),
        (APITimeoutError("x", sent=True), False),
        (APITimeoutError("x"), False),
        (APIConnectionError("x"), False),
        (APIResponseValidationError("x"), False),
    ],
)
def test_an_answer_concerns_everybody_and_trouble_on_the_way_does_not(error: APIError, does: bool) -> None:
    assert concerns_everybody(error) is does


@pytest.mark.parametrize(
    "error",
    [
        answered(),
        answered(AuthenticationError, 401),
        answered(RateLimitError, 429, 12.5),
        answered(APIStatusError, 418),
    ],
)
def test_a_failure_goes_to_another_process_and_back(error: APIStatusError) -> None:
    failure = TokenFailure(3, NOW, 4.0, error)
    text = json.dumps(failure_document(failure))
    assert "s3cr3t" not in text
    found = failure_of(json.loads(text))
    assert found is not None
    assert (found.count, found.failed_at, found.pause) == (3, NOW, 4.0)
    assert type(found.error) is type(error)
    assert isinstance(found.error, APIStatusError)
    for name in ("message", "status_code", "request_id", "retry_after"):
        assert getattr(found.error, name) == getattr(error, name)
    assert (found.error.body, found.error.request) == (None, RequestInfo("POST", URL))


@pytest.mark.parametrize("kind", [APIConnectionError, APITimeoutError])
def test_a_failure_without_an_answer_is_not_taken_from_another_process(kind: type[APIConnectionError]) -> None:
    assert failure_of(failure_document(TokenFailure(1, NOW, 1.0, kind("lost", sent=True)))) is None


GOOD: dict[str, Any] = failure_document(TokenFailure(3, NOW, 4.0, answered()))


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": "3"},
        {"count": True},
        {"count": None},
        {"failed_at": 10**400},
        {"failed_at": float("inf")},
        {"failed_at": None},
        {"pause": float("nan")},
        {"pause": -1},
        {"pause": 61},
        {"pause": []},
        {"status": None},
        {"status": "x"},
        {"kind": 5},
        {"kind": None},
        {"message": None},
        {"message": ["x"]},
    ],
)
def test_notes_that_make_no_sense_are_ignored(changes: dict[str, Any]) -> None:
    assert failure_of({**GOOD, **changes}) is None


@pytest.mark.parametrize("document", [None, [], "x", 5, {}])
def test_what_is_no_note_is_ignored(document: object) -> None:
    assert failure_of(document) is None


@pytest.mark.parametrize(
    ("changes", "status", "request_id"),
    [
        ({"kind": "SystemExit"}, 500, "r1"),
        ({"status": 418.0, "request_id": 5}, 418, None),
        ({"method": 5, "retry_after": "soon"}, 500, "r1"),
    ],
)
def test_of_a_note_with_odd_details_the_rest_is_taken(
    changes: dict[str, Any], status: int, request_id: str | None
) -> None:
    found = failure_of({**GOOD, **changes})
    assert found is not None
    assert isinstance(found.error, APIStatusError)
    assert (found.error.status_code, found.error.request_id, found.error.retry_after) == (status, request_id, None)
