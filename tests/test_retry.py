"""`_retry.py`: when a failed request is sent again, and after how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._retry import CallKind, Outcome, RetryPolicy, decide, parse_retry_after
from gigachat_sdk.errors import InvalidRequestTypeError

NOW = 1_700_000_000.0
READ, REPEATABLE, CREATING = CallKind.READ, CallKind.REPEATABLE, CallKind.CREATING


def waits(policy: RetryPolicy = RetryPolicy(), **facts: Any) -> float | None:  # noqa: B008  # frozen
    usual: dict[str, Any] = {"retries_taken": 0, "kind": READ, "outcome": Outcome.NOT_REACHED, "jitter": 0.5}
    return decide(policy, **{**usual, **facts})


@pytest.mark.parametrize(
    ("outcome", "kind", "retry_lost", "again"),
    [
        *((Outcome.NOT_REACHED, kind, retry_lost, True) for kind in CallKind for retry_lost in (True, False)),
        *((Outcome.FINAL, kind, retry_lost, False) for kind in CallKind for retry_lost in (True, False)),
        (Outcome.LOST, READ, True, True),
        (Outcome.LOST, READ, False, True),
        (Outcome.LOST, REPEATABLE, True, True),
        (Outcome.LOST, REPEATABLE, False, False),
        (Outcome.LOST, CREATING, True, False),
        (Outcome.LOST, CREATING, False, False),
    ],
)
def test_what_may_have_happened_decides(outcome: Outcome, kind: CallKind, retry_lost: bool, again: bool) -> None:
    delay = waits(RetryPolicy(retry_lost=retry_lost), outcome=outcome, kind=kind)
    assert (delay is not None) is again
    assert waits(RetryPolicy(max_retries=0, retry_lost=retry_lost), outcome=outcome, kind=kind) is None


@pytest.mark.parametrize("kind", list(CallKind))
@pytest.mark.parametrize(
    ("status", "again"),
    [
        *((status, True) for status in (408, 409, 429, 500, 501, 502, 503, 504, 599)),
        *((status, False) for status in (300, 307, 400, 401, 402, 403, 404, 405, 413, 422, 499)),
    ],
)
def test_the_status_decides_for_every_kind_of_call(kind: CallKind, status: int, again: bool) -> None:
    assert (waits(kind=kind, outcome=Outcome.ANSWERED, status=status) is not None) is again


def test_the_user_may_choose_the_statuses() -> None:
    policy = RetryPolicy(retry_statuses=frozenset({404}))
    assert waits(policy, outcome=Outcome.ANSWERED, status=404) is not None
    assert waits(policy, outcome=Outcome.ANSWERED, status=500) is None
    assert waits(policy, outcome=Outcome.ANSWERED, status=None) is None


@pytest.mark.parametrize(
    ("retries_taken", "least", "most"),
    [(0, 0.375, 0.5), (1, 0.75, 1.0), (2, 1.5, 2.0), (3, 3.0, 4.0), (4, 6.0, 8.0), (5, 6.0, 8.0), (50, 6.0, 8.0)],
)
def test_waits_double_from_half_a_second_to_eight(retries_taken: int, least: float, most: float) -> None:
    policy = RetryPolicy(max_retries=100)
    assert waits(policy, retries_taken=retries_taken, jitter=0.0) == least
    assert waits(policy, retries_taken=retries_taken, jitter=1.0) == most


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_waits_are_bounded_however_many_there_were(max_retries: int, retries_taken: int, jitter: float) -> None:
    delay = waits(RetryPolicy(max_retries=max_retries), retries_taken=retries_taken, jitter=jitter)
    assert (delay is None) is (retries_taken >= max_retries)
    assert delay is None or 0.375 <= delay <= 8.0


@pytest.mark.parametrize("taken", range(5))
def test_there_are_as_many_retries_as_allowed(taken: int) -> None:
    assert (waits(RetryPolicy(max_retries=3), retries_taken=taken) is not None) is (taken < 3)


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [(0.0, 0.0), (0.1, 0.1), (30.0, 30.0), (60.0, 60.0), (60.001, None), (3600.0, None)],
)
def test_the_services_wish_counts_up_to_a_minute(retry_after: float, delay: float | None) -> None:
    facts: dict[str, Any] = {"outcome": Outcome.ANSWERED, "status": 429, "retry_after": retry_after}
    assert waits(**facts) == delay
    assert waits(RetryPolicy(max_retries=0), **facts) is None


@given(
    st.sampled_from(list(CallKind)),
    st.sampled_from(list(Outcome)),
    st.none() | st.integers(100, 599),
    st.none() | st.floats(0, 1e9),
    st.integers(0, 5),
    st.floats(0, 1),
)
def test_a_stricter_policy_never_sends_more(
    kind: CallKind, outcome: Outcome, status: int | None, retry_after: float | None, taken: int, jitter: float
) -> None:
    facts: dict[str, Any] = {
        "kind": kind,
        "outcome": outcome,
        "status": status,
        "retry_after": retry_after,
        "retries_taken": taken,
        "jitter": jitter,
    }
    usual, strict = waits(**facts), waits(RetryPolicy(max_retries=1, retry_lost=False), **facts)
    assert strict is None or strict == usual
    assert usual is None or 0 <= usual <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("1.5", 1.5),
        ("3600", 3600.0),
        ("-5", 0.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW + 30, timezone(timedelta(hours=3)))), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("Tue, 14 Nov 99999 22:14:20 GMT", None),
        ("\u0665\u0000", None),
        ("," * 1000, None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Vladivostok"])
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None, zone: str, local_zone: Any) -> None:
    local_zone(zone)
    assert parse_retry_after(value, NOW) == seconds


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Set the zone of the machine, which must not matter."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d( [A-Z+\-0-9]+)?")
)
def test_any_header_gives_a_time_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0.0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({}, RetryPolicy()),
        ({"max_retries": None, "retry_statuses": None, "retry_lost": None}, RetryPolicy()),
        ({"max_retries": 0}, RetryPolicy(max_retries=0)),
        ({"retry_lost": False}, RetryPolicy(retry_lost=False)),
        ({"retry_statuses": [500, 500]}, RetryPolicy(retry_statuses=frozenset({500}))),
        ({"retry_statuses": range(500, 502)}, RetryPolicy(retry_statuses=frozenset({500, 501}))),
        ({"retry_statuses": ()}, RetryPolicy(retry_statuses=frozenset())),
    ],
)
def test_settings_on_top_of_a_policy(settings: dict[str, Any], policy: RetryPolicy) -> None:
    base = RetryPolicy()
    assert base.override(InvalidRequestError, InvalidRequestTypeError, **settings) == policy
    assert base == RetryPolicy()


@pytest.mark.parametrize(
    ("settings", "words", "is_kind"),
    [
        ({"max_retries": True}, "max_retries: expected a whole number, got bool", True),
        ({"max_retries": 1.0}, "max_retries: expected a whole number, got float", True),
        ({"max_retries": "1"}, "max_retries: expected a whole number, got str", True),
        ({"max_retries": -1}, "max_retries: give 0 (never) or more, not -1", False),
        ({"retry_statuses": 500}, "retry_statuses: expected a set of statuses, got int", True),
        ({"retry_statuses": "500"}, "retry_statuses: expected a set of statuses, got str", True),
        ({"retry_statuses": {500: 1}}, "retry_statuses: expected a set of statuses, got dict", True),
        ({"retry_statuses": ["500"]}, "retry_statuses: expected HTTP statuses from 400 to 599", False),
        ({"retry_statuses": [200]}, "retry_statuses: expected HTTP statuses from 400 to 599", False),
        ({"retry_statuses": [600]}, "retry_statuses: expected HTTP statuses from 400 to 599", False),
        ({"retry_statuses": [[500]]}, "retry_statuses: expected HTTP statuses from 400 to 599", False),
        ({"retry_lost": 1}, "retry_lost: expected True or False, got int", True),
        ({"deadline": "5"}, "deadline: expected seconds, got str", True),
        pytest.param({"deadline": 10**5000}, "deadline: a number of more than 20 digits is no time", False, id="late"),
        pytest.param({"deadline": -(10**5000)}, "deadline: a number of more than 20 digits", False, id="long ago"),
        pytest.param(
            {"max_retries": -(10**5000)}, "max_retries: give 0 (never) or more, not a number", False, id="no retries"
        ),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], words: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy().override(InvalidRequestError, InvalidRequestTypeError, **settings)
    assert str(caught.value).startswith(words)
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize("kind", list(CallKind))
@pytest.mark.parametrize("outcome", [Outcome.NOT_REACHED, Outcome.ANSWERED, Outcome.LOST])
def test_a_body_that_cannot_be_sent_again_is_not(kind: CallKind, outcome: Outcome) -> None:
    assert waits(kind=kind, outcome=outcome, status=500, can_resend=False) is None
