"""How long a run waits for tokens."""

from __future__ import annotations

import pytest

from gigachat_sdk import APIConnectionError, APIStatusError
from gigachat_sdk.bulk._patience import PATIENCE, Patience, is_of_quota
from gigachat_sdk.errors import status_error
from gigachat_sdk.types import RequestInfo, ResponseInfo
from gigachat_sdk.types.http import Headers

AUTH = RequestInfo("POST", "https://auth/oauth")


def status(number: int, retry_after: float | None = None) -> APIStatusError:
    error = status_error(AUTH, ResponseInfo(number, Headers({})), b"")
    error.retry_after = retry_after
    return error


def test_pauses_double_and_end_after_two_minutes() -> None:
    patience, now, pauses = Patience(PATIENCE, "no token"), 1000.0, []
    while (until := patience.pause_after(APIConnectionError("gone"), now)) is not None:
        pauses.append(until - now)
        now = until
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_one_failure_that_many_are_told_of_is_one() -> None:
    patience = Patience(PATIENCE, "no token")
    assert [patience.pause_after(status(503), now) for now in (10.0, 10.1, 10.9)] == [11, 11, 11]
    assert [patience.pause_after(status(503), now) for now in (11.0, 12.9)] == [13, 13]


@pytest.mark.parametrize(("after", "pause"), [(0.0, 1), (20.0, 20), (500.0, 500), (601.0, None), (None, 1)])
def test_the_service_may_ask_for_more(after: float | None, pause: float | None) -> None:
    assert Patience(PATIENCE, "no token").pause_after(status(429, after), 0.0) == pause


def test_nothing_is_said_of_a_wait_that_does_not_come(caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(PATIENCE, "no token")
    assert patience.pause_after(status(429, 601.0), 0.0) is None
    assert caplog.messages == []
    assert patience.pause_after(status(503), 500.0) == 501  # nor does it count as the first failure
    assert caplog.messages == [f"no token; the run waits for up to 120 s: {status(503)}"]


@pytest.mark.parametrize("number", [400, 401, 402, 403, 404])
def test_what_does_not_pass_is_not_waited_for(number: int) -> None:
    assert Patience(PATIENCE, "no token").pause_after(status(number), 0.0) is None


def test_a_token_ends_an_outage() -> None:
    patience = Patience(PATIENCE, "no token")
    patience.is_over()
    assert patience.pause_after(status(503), 0.0) == 1
    assert patience.pause_after(status(503), 1.0) == 3
    patience.is_over()
    assert patience.pause_after(status(503), 500.0) == 501


@pytest.mark.parametrize(
    ("error", "is_of_it"),
    [
        (status(429, 61.0), True),
        (status(429, 60.0), False),
        (status(429), False),
        (status(503, 99.0), False),
        (APIConnectionError("gone"), False),
    ],
)
def test_a_quota_that_is_used_up(error: Exception, is_of_it: bool) -> None:
    assert is_of_quota(error) is is_of_it
