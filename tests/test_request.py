"""`_request.py`: keywords, headers, parameters and bodies become the bytes of a request, or one readable mistake."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import date
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

import gigachat_sdk
from gigachat_sdk import InvalidRequestError
from gigachat_sdk._calls import chat_completion_call, oauth_call, password_call
from gigachat_sdk._headers import (
    SentHeaders,
    UserHeaders,
    check_headers,
    check_query,
    hide_authorization,
    query_string,
)
from gigachat_sdk._json import json_bytes
from gigachat_sdk._request import (
    OPTION_NAMES,
    USER_AGENT,
    Call,
    field_path,
    quoted,
    shown,
    take_options,
)
from gigachat_sdk._retry import CallKind
from gigachat_sdk.errors import ConfigurationTypeError, InvalidRequestTypeError

USER = [{"role": "user", "content": "Привет"}]
SECRET = "s3cr3t-value"
NAN = float("nan")
ITSELF: dict[str, Any] = {"a": {}}
ITSELF["a"]["b"] = ITSELF
LOOP: list[Any] = []
LOOP.append(LOOP)


class Weather(BaseModel):
    city: str = "Москва"
    day: Any = None


def nested(depth: int, end: Any) -> Any:
    for _ in range(depth):
        end = [end]
    return end


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"a": "Привет", "b": [1, 2.5, None, True]}, '{"a":"Привет","b":[1,2.5,null,true]}'),
        ({"a": "\u2028\u0085\U0001f600\n"}, '{"a":"\u2028\u0085\U0001f600\\n"}'),
        ({"a": (1, 2)}, '{"a":[1,2]}'),
        ({"a": MappingProxyType({"b": 1})}, '{"a":{"b":1}}'),
        ({"a": OrderedDict(b=1)}, '{"a":{"b":1}}'),
        ({"a": Weather(city="Тверь")}, '{"a":{"city":"Тверь"}}'),
        ({"a": {1: 2}}, '{"a":{"1":2}}'),
        ({}, "{}"),
    ],
)
def test_a_body_is_compact_utf_8(payload: dict[str, Any], text: str) -> None:
    assert json_bytes(payload).decode() == text


@pytest.mark.parametrize(
    ("payload", "place", "words"),
    [
        ({"messages": [{"content": "a\ud800b"}]}, "messages[0].content", "character 1 is a lone surrogate"),
        ({"a": "\udfff"}, "a", "character 0 is a lone surrogate"),
        ({"a": {"b": [1, {"c": NAN}]}}, "a.b[1].c", "nan is no number that JSON can hold"),
        ({"a": 1, "b": (0.5, float("-inf"))}, "b[1]", "-inf is no number"),
        ({"a": b"bytes"}, "a", "bytes is not JSON"),
        ({"a": [{1, 2}]}, "a[0]", "set is not JSON"),
        ({"a": {"when": date(2024, 1, 1)}}, "a.when", "date is not JSON"),
        ({"x": ITSELF}, "x", "nested too deeply, or holds itself"),
        ({"x": LOOP}, "x", "nested too deeply, or holds itself"),
        ({"fine": Weather(), "b": b"bytes"}, "b", "bytes is not JSON"),
        ({"a": Weather(day=NAN)}, "a.day", "nan is no number"),
        ({"a": Weather(day=object())}, "a.day", "object is not JSON"),
        ({"a": {"b": {("tuple",): 1}}}, "a.b", "key"),
        ({"a": {"\ud800": 1}}, "a", "surrogate"),
        ({"n": 10**30, "a": [1, {"b": 10**5000}]}, "a[1].b", "a number of thousands of digits cannot be sent"),
        ({"a": {True: 1, 10**5000: 1}}, "a", "a key of it is a number of thousands of digits"),
        ({"a": nested(100_000, 1)}, "a", "nested too deeply"),
    ],
)
def test_what_json_cannot_hold_is_told_by_its_place(payload: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        json_bytes(payload)
    assert str(caught.value).startswith(f"{place}: ")
    assert words in str(caught.value)
    assert caught.value.param == place
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("payload", "extra", "name", "place"),
    [
        ({"a": 1}, {"a": NAN}, "", "extra_body.a"),
        ({"a": NAN}, {"b": [NAN]}, "", "a"),
        ({"a": [NAN]}, {"a": {"b": "\ud800"}}, "", "extra_body.a.b"),
        ({}, {("a",): 1}, "", "extra_body"),
        ({}, {"x": ITSELF}, "", "extra_body"),
        ({("a",): 1}, None, "", "the request"),
        ({"a": [NAN]}, None, "body", "body.a[0]"),
        ([1, NAN], None, "body", "body[1]"),
        ({("a",): 1}, None, "body", "body"),
        ({"a": 1}, {"b": NAN}, "body", "extra_body.b"),
    ],
)
def test_the_place_begins_with_the_name_of_the_argument(payload: Any, extra: Any, name: str, place: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        json_bytes(payload, extra, name)
    assert str(caught.value).startswith(f"{place}: ")
    assert caught.value.param == place


def test_the_extra_body_wins_and_is_not_changed() -> None:
    extra = {"model": "other", "new": {"a": None}}
    assert json.loads(json_bytes({"model": "m", "n": 1}, extra)) == {"model": "other", "n": 1, "new": {"a": None}}
    assert extra == {"model": "other", "new": {"a": None}}
    assert json_bytes({"a": 1}, None) == json_bytes({"a": 1}, {}) == b'{"a":1}'
    assert json_bytes({"a": 1, "b": 2}, {"a": 3}) == b'{"a":3,"b":2}'


@pytest.mark.parametrize("extra", ["x", [("a", 1)], 5, True])
def test_an_extra_body_that_is_no_dict_is_a_type_error(extra: Any) -> None:
    with pytest.raises(InvalidRequestTypeError, match="extra_body: expected a dict, got") as caught:
        json_bytes({}, extra)
    assert caught.value.param == "extra_body"


@pytest.mark.parametrize(
    ("segment", "path"),
    [
        ("GigaChat-2-Max", "GigaChat-2-Max"),
        ("GigaChat:2.0", "GigaChat%3A2.0"),
        ("../files", "..%2Ffiles"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("модель", "%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB%D1%8C"),
        ("a b\n", "a%20b%0A"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
    ],
)
def test_a_segment_of_a_path_stays_one(segment: str, path: str) -> None:
    assert quoted(segment, "model") == path
    assert unquote(path) == segment


@pytest.mark.parametrize(
    ("segment", "words", "is_kind"),
    [
        ("", "model: '' is no id", False),
        (".", "model: '.' is no id", False),
        ("..", "model: '..' is no id", False),
        ("\ud800", "model: it holds a lone surrogate", False),
        (None, "model: expected a string, got NoneType", True),
        (5, "model: expected a string, got int", True),
    ],
)
def test_what_is_no_segment_is_refused(segment: Any, words: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError, match=words.replace(".", r"\.")) as caught:
        quoted(segment, "model")
    assert isinstance(caught.value, TypeError) is is_kind
    assert caught.value.param == "model"


@pytest.mark.parametrize("headers", [None, {}, {"X-A": "1", "x_b": "", "X-C": None, "X!": "a b;c"}])
def test_good_headers_pass(headers: Any) -> None:
    assert check_headers("extra_headers", headers, InvalidRequestTypeError) == (headers or {})


@pytest.mark.parametrize(
    ("headers", "words", "is_kind"),
    [
        ("a: 1", "expected a dict of strings, got str", True),
        ([("a", "1")], "expected a dict of strings, got list", True),
        ({"a": 1}, "expected strings, got 'a': int", True),
        ({1: "a"}, "expected strings", True),
        ({b"a": "1"}, "expected strings", True),
        ({"a": SECRET + "\r\nX-Injected: 1"}, "the value of 'a' holds characters that a header cannot", False),
        ({"a": SECRET + "\n"}, "the value of 'a' holds characters that a header cannot", False),
        ({"a": SECRET + "\x00"}, "the value of 'a' holds characters that a header cannot", False),
        ({"a": SECRET + "ы"}, "the value of 'a' holds characters that a header cannot", False),
        ({"a": " " + SECRET}, "'a'", False),
        ({"a": SECRET + " "}, "'a'", False),
        ({"a\r\nb": "1"}, "holds characters", False),
        ({"a b": "1"}, "holds characters", False),
        ({"a:": "1"}, "holds characters", False),
        ({"": "1"}, "holds characters", False),
        ({"ы": "1"}, "holds characters", False),
        ({"a\n": None}, "holds characters", False),
    ],
)
@pytest.mark.parametrize("kind", [InvalidRequestTypeError, ConfigurationTypeError])
def test_headers_that_cannot_be_sent_are_refused_unseen(headers: Any, words: str, is_kind: bool, kind: Any) -> None:
    with pytest.raises(kind.__bases__[0]) as caught:
        check_headers("extra_headers", headers, kind)
    assert str(caught.value).startswith("extra_headers: ")
    assert words in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize(
    ("layers", "query"),
    [
        ([{}], ""),
        ([{"a": 1, "b": "ё&=", "c": 0.5}], "a=1&b=%D1%91%26%3D&c=0.5"),
        ([{"a": True, "b": False, "c": None, "d": ""}], "a=true&b=false&d="),
        ([{"a": [1, "x", None, True]}, {"b": (2,)}, {"c": []}], "a=1&a=x&a=true&b=2"),
        ([{"a": 1, "b": 1}, {"a": 2}, {"b": None}], "a=2"),
    ],
)
def test_query_parameters_are_merged_and_written(layers: list[dict[str, Any]], query: str) -> None:
    assert query_string(*layers) == query
    for layer in layers:
        assert check_query("extra_query", layer, InvalidRequestTypeError) == layer


def test_no_query_is_an_empty_one() -> None:
    assert check_query("extra_query", None, InvalidRequestTypeError) == {}


@pytest.mark.parametrize(
    ("query", "is_kind"),
    [
        ("a=1", True),
        ([("a", 1)], True),
        ({1: "a"}, True),
        ({"a": {"b": 1}}, True),
        ({"a": b"1"}, True),
        ({"a": [object()]}, True),
        ({"a": [[1]]}, True),
        ({"a": "\ud800"}, False),
        ({"\ud800": "a"}, False),
        ({"a": ["\ud800"]}, False),
    ],
)
def test_query_parameters_that_cannot_be_sent_are_refused(query: Any, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_query("extra_query", query, InvalidRequestTypeError)
    assert str(caught.value).startswith("extra_query: ")
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize(
    ("layers", "merged"),
    [
        ([{"Accept": "a"}, {"accept": "b"}], {"accept": "b"}),
        ([{"accept": "a"}, {"ACCEPT": None}], {}),
        ([{"A": None}, {"a": "1"}], {"a": "1"}),
        ([{"A": "1", "a": "2"}], {"a": "2"}),
        ([{}, {}], {}),
    ],
)
def test_later_headers_win_whatever_their_case(layers: list[dict[str, str | None]], merged: dict[str, str]) -> None:
    assert UserHeaders(*layers).over({}) == merged


HEADERS = st.dictionaries(st.sampled_from(["A", "a", "B", "b", "C"]), st.none() | st.text(max_size=2), max_size=5)


@given(st.lists(HEADERS, max_size=4))
def test_merged_headers_are_those_that_came_last(layers: list[dict[str, str | None]]) -> None:
    last: dict[str, str | None] = {name.lower(): value for layer in layers for name, value in layer.items()}
    merged = UserHeaders(*layers).over({})
    assert {name.lower(): value for name, value in merged.items()} == {k: v for k, v in last.items() if v is not None}
    assert len({name.lower() for name in merged}) == len(merged)


def test_headers_to_send_hide_their_secrets() -> None:
    headers = SentHeaders({"Authorization": SECRET, "X-API-Key": SECRET, "Accept": "a"})
    assert repr(headers) == "{'Authorization': '[hidden]', 'X-API-Key': '[hidden]', 'Accept': 'a'}"
    assert SECRET not in f"{headers}"
    assert headers["Authorization"] == SECRET


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("modle", "; did you mean 'model'?"),
        ("max_retry", "; did you mean 'max_retries'?"),
        ("tools_of_mine", "; what the SDK does not know goes into extra_body={...}"),
    ],
)
def test_an_unknown_keyword_is_a_type_error_with_a_hint(name: str, advice: str) -> None:
    with pytest.raises(TypeError) as caught:
        chat_completion_call({"messages": USER, name: SECRET}, stream=None, default_model="m")
    assert str(caught.value) == f"create() got an unexpected keyword argument {name!r}{advice}"


def test_options_are_told_from_fields_and_checked() -> None:
    options = {"timeout": None, "extra_headers": {"X-A": "1"}, "extra_query": {"a": 1}, "max_retries": 0}
    assert take_options(options, OPTION_NAMES, "list") == options
    assert take_options({}, OPTION_NAMES, "list") == {}
    for bad in ({"extra_headers": 5}, {"extra_query": 5}):
        with pytest.raises(InvalidRequestTypeError):
            take_options(bad, OPTION_NAMES, "list")


class Stored(BaseModel):
    is_stateful: bool = True
    thread_id: str | None = None


def chat(stream: Any = None, **params: Any) -> tuple[Call, dict[str, Any]]:
    call = chat_completion_call({"messages": USER, **params}, stream=stream, default_model="default")
    assert call.body is not None
    return call, json.loads(call.body)


def test_a_chat_call() -> None:
    call, body = chat(temperature=0.5, timeout=5, extra_body={"new": 1})
    assert (call.method, call.path, call.kind) == ("POST", "/chat/completions", CallKind.REPEATABLE)
    assert (call.content_type, call.stream, call.authorization) == ("application/json", False, None)
    assert call.options == {"timeout": 5, "extra_body": {"new": 1}}
    assert body == {"messages": USER, "temperature": 0.5, "model": "default", "new": 1}
    assert "Привет" not in repr(call)


@pytest.mark.parametrize(("stream", "sent"), [(None, {}), (False, {}), (True, {"stream": True})])
def test_only_a_stream_is_asked_for(stream: bool | None, sent: dict[str, Any]) -> None:
    call, body = chat(stream)
    assert call.stream is bool(stream)
    assert body == {"messages": USER, "model": "default", **sent}


@pytest.mark.parametrize("stream", [1, "yes", 0, []])
def test_what_is_neither_true_nor_false_is_a_type_error(stream: Any) -> None:
    with pytest.raises(InvalidRequestTypeError, match="stream: expected True or False"):
        chat(stream)


@pytest.mark.parametrize(
    ("params", "model"),
    [
        ({}, "default"),
        ({"model": None}, "default"),
        ({"model": "other"}, "other"),
        ({"assistant_id": "a"}, None),
        ({"assistant_id": "a", "model": "other"}, "other"),
        ({"storage": {"is_stateful": True}}, "default"),
        ({"storage": {"is_stateful": True, "thread_id": "t"}}, None),
        ({"storage": {"is_stateful": True, "assistant_id": "a"}}, None),
        ({"storage": {"is_stateful": True, "thread_id": None, "assistant_id": None}}, "default"),
        ({"storage": Stored()}, "default"),
        ({"storage": Stored(thread_id="t")}, None),
    ],
)
def test_which_model_is_named(params: dict[str, Any], model: str | None) -> None:
    assert chat(**params)[1].get("model") == model


def test_messages_are_required() -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'messages'"):
        chat_completion_call({"model": "m"}, stream=None, default_model="m")


def test_the_call_of_the_token_endpoint_sends_the_key_as_it_was_issued() -> None:
    call = oauth_call(SecretStr("YTpi"), "GIGACHAT_API_PERS", "https://host/oauth")
    assert (call.method, call.path, call.body) == ("POST", "https://host/oauth", b"scope=GIGACHAT_API_PERS")
    assert (call.content_type, call.fresh_id_header) == ("application/x-www-form-urlencoded", "RqUID")
    assert call.authorization == SecretStr("Basic YTpi")
    assert call.has_secret_answer
    assert "YTpi" not in repr(call)


def test_the_call_of_the_other_token_endpoint_encodes_user_and_password() -> None:
    call = password_call("user", SecretStr(SECRET), "https://host/v1")
    assert (call.method, call.path, call.body, call.has_secret_answer) == ("POST", "https://host/v1/token", None, True)
    assert call.authorization is not None
    assert call.authorization.get_secret_value() == "Basic dXNlcjpzM2NyM3QtdmFsdWU="
    assert "dXNlcjpz" not in repr(call)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "None"), (True, "True"), (1.5, "1.5"), ("a", "'a'"), ("a" * 41, "str"), ([1], "list"), (b"a", "bytes")],
)
def test_wrong_values_are_shown_where_they_are_short(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("messages", 0, "<user>", "content"), "messages[0].content"),
        (("messages", 0, "<assistant>", "function_call", "name"), "messages[0].function_call.name"),
        (("functions", 0, "parameters", "user"), "functions[0].parameters.user"),
        (("functions", 1, "parameters"), "functions[1].parameters"),
        (("model",), "model"),
        ((), ""),
    ],
)
def test_places_are_written_as_a_user_would(location: tuple[int | str, ...], path: str) -> None:
    assert field_path(location) == path


@pytest.mark.parametrize(
    ("content", "hidden"),
    [
        (b'{"you sent": "Bearer s3cr3t-value"}', b'{"you sent": "Bearer [hidden]"}'),
        (b"s3cr3t-value s3cr3t-value", b"[hidden] [hidden]"),
        (b"<html>502</html>", b"<html>502</html>"),
        (b"", b""),
    ],
)
@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_a_body_that_shows_our_authorization_does_not_keep_it(content: bytes, hidden: bytes, name: str) -> None:
    assert hide_authorization(content, {"Accept": "502", name: "Bearer s3cr3t-value"}) == hidden
    assert hide_authorization(content, {name: ""}) == hide_authorization(content, {name: "Bearer t"}) == content
    assert hide_authorization(content, {"Accept": "s3cr3t-value"}) == content


def test_the_user_agent_names_the_version() -> None:
    assert USER_AGENT.startswith(f"gigachat-sdk/{gigachat_sdk.__version__} python/3.")
    check_headers("user agent", {"User-Agent": USER_AGENT}, ConfigurationTypeError)


@pytest.mark.parametrize(
    ("storage", "kind"), [(None, CallKind.REPEATABLE), ({"is_stateful": True, "thread_id": "t"}, CallKind.CREATING)]
)
def test_a_message_that_the_service_keeps_must_not_be_kept_twice(storage: Any, kind: CallKind) -> None:
    call = chat_completion_call({"messages": USER, "storage": storage}, stream=False, default_model="GigaChat")
    assert call.kind is kind
