"""`_token.py`: what may be done with a token, which keys are refused, and that neither is ever shown."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat_sdk import AccessToken, ConfigurationError
from gigachat_sdk._token import (
    Freshness,
    basic_credentials,
    check_credentials,
    check_header_value,
    freshness,
    store_key,
    unix_seconds,
    usable_until,
)

NOW = 1_700_000_000.0
SECRET = "s3cr3t-value"
KEY = base64.b64encode(b"019a0000-client:71000000-secret").decode()


def test_the_repr_of_a_token_hides_its_value() -> None:
    token = AccessToken(SECRET, expires_at=1.5)
    assert repr(token) == "AccessToken(value=[hidden], expires_at=1.5)"
    assert SECRET not in f"{token} {[token]} {vars(token).keys()}"
    assert AccessToken(SECRET).expires_at is None


def test_a_token_is_a_value() -> None:
    assert AccessToken("a", 1.0) == AccessToken("a", expires_at=1.0)
    assert AccessToken("a") != AccessToken("b")
    assert len({AccessToken("a"), AccessToken("a")}) == 1
    assert pickle.loads(pickle.dumps(AccessToken("a", 1.0))) == AccessToken("a", 1.0)
    with pytest.raises(AttributeError):
        AccessToken("a").value = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("seconds_left", "state"),
    [
        (1800, Freshness.FRESH),
        (60.001, Freshness.FRESH),
        (60, Freshness.AGEING),
        (30, Freshness.AGEING),
        (5.001, Freshness.AGEING),
        (5, Freshness.EXPIRED),
        (0, Freshness.EXPIRED),
        (-1800, Freshness.EXPIRED),
    ],
)
def test_a_token_is_fresh_then_ageing_then_expired(seconds_left: float, state: Freshness) -> None:
    assert freshness(AccessToken("t", NOW + seconds_left), NOW) is state


def test_a_token_without_an_end_stays_fresh_and_no_token_is_expired() -> None:
    assert freshness(AccessToken("t"), NOW) is Freshness.FRESH
    assert freshness(None, NOW) is Freshness.EXPIRED


@pytest.mark.parametrize(
    ("given_time", "seconds"),
    [
        (None, None),
        (0, None),
        (0.0, None),
        (1706026848, 1706026848.0),
        (1706026848.5, 1706026848.5),
        (1706026848841, 1706026848.841),
        (4102444800000, 4102444800.0),
        (99_999_999_999, 99_999_999_999.0),
        (100_000_000_000, 100_000_000.0),
        (1, 1.0),
    ],
)
def test_seconds_and_milliseconds_are_told_apart_by_their_size(given_time: float | None, seconds: float | None) -> None:
    assert unix_seconds(given_time) == seconds


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_any_time_of_this_century_is_the_same_in_both_units(moment: datetime) -> None:
    seconds = int(moment.replace(tzinfo=timezone.utc).timestamp())
    assert unix_seconds(seconds) == unix_seconds(seconds * 1000) == seconds


@pytest.mark.parametrize("value", ["eyJjdHki.a-b_c.d~e+f/==", "x", "!#$%"])
def test_values_that_can_stand_in_a_header_pass(value: str) -> None:
    check_header_value("access_token", value)


BAD_VALUES = [
    ("", "the value is empty"),
    (" " + SECRET, "white space (a space or a line end) at its beginning or end"),
    (SECRET + "\n", "at its beginning or end"),
    (SECRET + "\r\n", "at its beginning or end"),
    ("\ufeff" + SECRET, "outside ASCII"),
    (f"a {SECRET}", "white space inside"),
    (f"a\n{SECRET}", "white space inside"),
    (f"a\u2028{SECRET}", "white space inside"),
    (SECRET + "ы", "outside ASCII"),
    (SECRET + "\x00", "control characters"),
    (SECRET + "\x7f", "control characters"),
]
BAD_KEYS = [
    *BAD_VALUES,
    (f"Basic {SECRET}", "without the word 'Basic'"),
    (f"BASIC {SECRET}", "without the word 'Basic'"),
    (SECRET, "this is not base64; use the authorization key"),
    ("00000000-s3cr3t-value-0000-000000000000", "this is not base64"),
    (KEY + "=" + SECRET, "this is not base64"),
    (KEY[:-1], "this is not base64"),
]


def refusal(check: Callable[[str, str], object], name: str, value: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check(name, value)
    return caught.value


@pytest.mark.parametrize(("value", "reason"), BAD_VALUES)
def test_values_that_cannot_stand_in_a_header_are_refused(value: str, reason: str) -> None:
    error = refusal(check_header_value, "GIGACHAT_ACCESS_TOKEN", value)
    assert str(error).startswith("GIGACHAT_ACCESS_TOKEN: ")
    assert reason in str(error)
    assert value == "" or str(error).endswith("; copy it again as it was issued")


@pytest.mark.parametrize(("value", "reason"), BAD_KEYS)
def test_keys_that_the_service_could_not_decode_are_refused(value: str, reason: str) -> None:
    error = refusal(check_credentials, "credentials", value)
    assert str(error).startswith("credentials: ")
    assert reason in str(error)


@pytest.mark.parametrize("check", [check_header_value, check_credentials])
@pytest.mark.parametrize("value", [5, None, b"bytes", ["list"]])
def test_what_is_no_string_is_a_type_error(check: Any, value: Any) -> None:
    error = refusal(check, "credentials", value)
    assert isinstance(error, TypeError)
    assert f"expected a string, got {type(value).__name__}" in str(error)


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [
        *((check_credentials, *row) for row in BAD_KEYS if SECRET in row[0]),
        *((check_header_value, *row) for row in BAD_VALUES if SECRET in row[0]),
    ],
)
def test_a_refused_key_is_shown_nowhere(check: Any, value: str, reason: str) -> None:
    error = refusal(check, "credentials", value)
    assert reason in str(error)
    assert SECRET not in f"{error} {error!r} {error.args} {vars(error)}"
    seen: BaseException | None = error
    while seen is not None:  # what a traceback prints, and what error trackers collect: the frames' locals
        for frame in traceback.StackSummary.extract(
            [row for row in traceback.walk_tb(seen.__traceback__) if "gigachat_sdk" in row[0].f_code.co_filename],
            capture_locals=True,
        ):
            assert SECRET not in str(frame.locals), f"{frame.name} shows the key"
        assert SECRET not in repr(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


@pytest.mark.parametrize("key", [KEY, "YTpi", base64.b64encode(bytes(range(256))).decode()])
def test_keys_as_they_are_issued_pass(key: str) -> None:
    check_credentials("credentials", key)


@pytest.mark.parametrize(
    ("user", "password", "encoded"),
    [
        ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123£", "dGVzdDoxMjPCow=="),
        ("", "", "Og=="),
        ("a", "b:c", "YTpiOmM="),
    ],
)
def test_user_and_password_are_encoded_after_rfc_7617(user: str, password: str, encoded: str) -> None:
    assert basic_credentials(user, password) == encoded


def test_a_store_key_is_a_digest_that_shows_nothing() -> None:
    name = store_key("oauth", "https://host", SECRET, "SCOPE")
    assert name.startswith("oauth:")
    assert len(name) == len("oauth:") + 64
    assert SECRET not in name
    assert name == store_key("oauth", "https://host", SECRET, "SCOPE")


@pytest.mark.parametrize(
    "other",
    [
        ("oauth", "a", "bc"),
        ("oauth", "abc"),
        ("oauth", "abc", ""),
        ("oauth", "", "abc"),
        ("oauth", "ab", "c", ""),
        ("oauth", "c", "ab"),
        ("password", "ab", "c"),
        ("oautha", "b", "c"),
    ],
)
def test_parts_cannot_be_shifted_into_each_other(other: tuple[str, ...]) -> None:
    assert store_key(*other) != store_key("oauth", "ab", "c")


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_other_parts_have_another_name(one: list[str], two: list[str]) -> None:
    assert (store_key(*one) == store_key(*two)) is (one == two)


@pytest.mark.parametrize(
    ("expires_at", "usable"),
    [(1060.0, 1060.0), (1005.1, 1005.1), (1005.0, None), (999.0, None), (None, None)],
)
def test_a_new_token_that_seems_to_have_ended_means_a_wrong_clock(
    expires_at: float | None, usable: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert usable_until(expires_at, now=1000.0) == usable
    assert ("is the clock of this machine right?" in caplog.text) is (expires_at is not None and usable is None)
