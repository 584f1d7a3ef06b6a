"""`take_options` of `_request.py`, and the types it follows: what is not given, and advice that can be followed."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from typing_extensions import is_typeddict

import gigachat_sdk
from gigachat_sdk._calls import chat_completion_call
from gigachat_sdk._request import BODYLESS_NAMES, OPTION_NAMES, take_options

USER = [{"role": "user", "content": "Привет"}]
NOT_GIVEN = ("extra_body", "extra_headers", "extra_query", "max_retries", "retry_statuses", "retry_lost")


@pytest.mark.parametrize("name", NOT_GIVEN)
def test_an_option_that_is_none_is_not_given(name: str) -> None:
    """Whether the call could take it or not."""
    assert take_options({name: None}, OPTION_NAMES, "create") == {}
    assert take_options({name: None}, BODYLESS_NAMES, "list") == {}
    call = chat_completion_call({"messages": USER, name: None}, stream=None, default_model="m")
    assert isinstance(call.body, bytes)
    assert (call.options, json.loads(call.body)) == ({}, {"messages": USER, "model": "m"})


def test_none_is_a_value_of_the_other_options() -> None:
    options = {"timeout": None, "deadline": None}
    assert take_options(options, OPTION_NAMES, "create") == options


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        (
            "limit",
            "list",
            "list() got an unexpected keyword argument 'limit'; what the SDK does not know goes into extra_query={...}",
        ),
        (
            "extra_body",
            "list",
            "list() takes no extra_body: it sends no JSON body that fields could be added to; "
            "parameters of the address go into extra_query={...}",
        ),
        ("stream", "stream", "stream() takes no stream: it streams by itself"),
        (
            "stream",
            "parse",
            "parse() takes no stream: its answer comes as a whole; stream(...) gives one piece by piece",
        ),
        (
            "stream",
            "post",
            "post() takes no stream: its answer comes as a whole; stream_cls=... gives one piece by piece",
        ),
        ("stream", "create", "create() takes no stream: its answer comes as a whole"),
    ],
)
def test_the_advice_can_be_followed(name: str, method: str, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        take_options({name: True}, BODYLESS_NAMES, method)
    assert str(caught.value) == words


@pytest.mark.parametrize("module", [gigachat_sdk.types, gigachat_sdk.types.v2])
def test_tools_that_read_types_can_read_those_of_every_call(module: Any) -> None:
    found = [getattr(module, name) for name in dir(module)]
    dicts = [kind for kind in found if is_typeddict(kind) and "credentials" not in kind.__annotations__]
    assert len(dicts) > 10
    for kind in dicts:
        assert set(get_type_hints(kind)) == set(kind.__annotations__)
