"""`_quota.py`: limits as they are given, whose limit counts, and how a window narrows and widens."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat_sdk import ConfigurationError
from gigachat_sdk._quota import Window, check_limits, limit_name, plain_model
from gigachat_sdk.limits import check_wait


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        (1, {"*": 1}),
        ({"*": 10}, {"*": 10}),
        ({"GigaChat-2-Max": 2, "*": 10}, {"GigaChat-2-Max": 2, "*": 10}),
        ({"GigaChat-2-Max:2.0.28": 2}, {"GigaChat-2-Max": 2}),
    ],
)
def test_limits_are_a_number_or_go_by_model(given: Any, limits: dict[str, int]) -> None:
    assert check_limits("n", given) == limits


@pytest.mark.parametrize(
    ("given", "message", "is_kind"),
    [
        (0, "n: give a number over 0, not 0", False),
        (-1, "n: give a number over 0, not -1", False),
        (True, "n: expected a number of requests, got bool", True),
        (1.5, "n: expected a number of requests, got float", True),
        ("10", "n: expected a number of requests, got str", True),
        (None, "n: expected a number of requests, got NoneType", True),
        ([1], "n: expected a number of requests, got list", True),
        ({}, "n: there is no limit in it; give a number, or models with numbers", False),
        ({"*": 0}, "n['*']: give a number over 0, not 0", False),
        ({"GigaChat": "2"}, "n['GigaChat']: expected a number of requests, got str", True),
        ({1: 2}, "n: expected names of models, got int", True),
        ({"A:1": 1, "A": 2}, "n: 'A' has two limits; a version after a colon is the same model", False),
    ],
)
def test_what_is_no_limit_is_refused(given: Any, message: str, is_kind: bool) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_limits("n", given)
    assert caught.value.message == message
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize(
    ("limits", "model", "name"),
    [
        ({"*": 10}, None, "*"),
        ({"*": 10}, "GigaChat", "*"),
        ({"GigaChat": 1, "*": 10}, "GigaChat", "GigaChat"),
        ({"GigaChat": 1, "*": 10}, "GigaChat:2.0", "GigaChat"),
        ({"GigaChat": 1, "*": 10}, "GigaChat-2", "*"),
        ({"GigaChat": 1, "*": 10}, None, "*"),
        ({"GigaChat": 1}, "GigaChat-2", None),
        ({"GigaChat": 1}, None, None),
    ],
)
def test_a_model_has_its_own_limit_or_that_of_all_others(
    limits: dict[str, int], model: str | None, name: str | None
) -> None:
    assert limit_name(limits, model) == name


def test_a_version_is_no_other_model() -> None:
    assert plain_model("GigaChat-2-Max:2.0.28") == plain_model("GigaChat-2-Max") == "GigaChat-2-Max"


@pytest.mark.parametrize(("given", "seconds"), [(None, None), (0, 0.0), (1, 1.0), (2.5, 2.5)])
def test_a_wait_is_in_seconds(given: Any, seconds: float | None) -> None:
    assert check_wait("timeout", given) == seconds


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-1, "timeout: -1 is no time to wait; give seconds, or None for no limit"),
        (float("nan"), "timeout: nan is no time to wait; give seconds, or None for no limit"),
        (1e10, "timeout: 10000000000.0 is no time to wait; give seconds, or None for no limit"),
        ("1", "timeout: expected seconds, got str"),
        (True, "timeout: expected seconds, got bool"),
    ],
)
def test_what_is_no_wait_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_wait("timeout", given)
    assert caught.value.message == message


def test_a_window_is_halved_by_a_refusal() -> None:
    window = Window(10)
    assert window.places == 10
    assert window.refused(1, newest=10)
    assert window.places == 5
    assert window.refused(11, newest=15)
    assert window.places == 2


def test_what_was_in_flight_when_it_was_narrowed_does_not_narrow_it_again() -> None:
    window = Window(10)
    assert window.refused(3, newest=10)
    assert not any(window.refused(number, newest=10) for number in range(1, 11))
    assert window.places == 5


def test_a_window_keeps_one_place() -> None:
    window = Window(3)
    for number in range(1, 20):
        window.refused(number, newest=number)
    assert (window.width, window.places) == (1.0, 1)


def test_success_widens_it_slowly_and_never_beyond_its_limit() -> None:
    window = Window(4)
    window.refused(1, newest=1)
    successes = 0
    while window.places == 2:
        window.succeeded()
        successes += 1
    assert 20 < successes < 30  # ten rounds of two or three
    for _ in range(1000):
        window.succeeded()
    assert window.width == 4
