"""`types/http.py`: the scrubbed records of a request and its response that answers and errors carry."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from gigachat_sdk.types import Headers, RequestInfo, ResponseInfo
from gigachat_sdk.types.http import scrub_url

SECRET = "s3cr3t-value"


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "X-REQUEST-ID"])
def test_headers_are_looked_up_without_case(name: str) -> None:
    headers = Headers([("X-Request-ID", "1")])
    assert headers[name] == "1"
    assert headers.get(name) == "1"
    assert name in headers


@pytest.mark.parametrize("name", ["absent", "", 5, None, b"x-request-id"])
def test_what_is_no_name_of_a_field_is_not_in_the_headers(name: Any) -> None:
    assert name not in Headers([("X-Request-ID", "1")])


def test_a_missing_header_is_a_key_error_and_get_gives_none() -> None:
    headers = Headers()
    with pytest.raises(KeyError):
        headers["absent"]
    assert headers.get("absent") is None
    assert headers.get("absent", "none") == "none"
    assert len(headers) == 0


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ([("Vary", "a"), ("vary", "b"), ("VARY", "c")], {"vary": "a, b, c"}),
        ([(b"Vary", b"a"), ("vary", "b")], {"vary": "a, b"}),
        ({"Content-Type": "text/html"}, {"content-type": "text/html"}),
        ((pair for pair in [("A", "1"), ("B", "2")]), {"a": "1", "b": "2"}),
        ([(b"X-Note", "Привет".encode("latin-1", "replace"))], {"x-note": "??????"}),
        ([(b"X-Note", b"caf\xe9")], {"x-note": "café"}),
        ([("A", "")], {"a": ""}),
        ([], {}),
    ],
    ids=["repeated", "bytes-and-text", "mapping", "generator", "replaced", "latin-1", "empty-value", "none"],
)
def test_fields_are_folded_into_one_lower_case_mapping(raw: Any, folded: dict[str, str]) -> None:
    headers = Headers(raw)
    assert dict(headers) == folded
    assert list(headers) == list(folded)
    assert len(headers) == len(folded)
    assert isinstance(headers, Mapping)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-API-Key", "Api-Key"],
)
def test_values_of_secret_fields_are_hidden_everywhere(name: str) -> None:
    headers = Headers([(name, SECRET), (name, SECRET), ("x-plain", "1")])
    assert headers[name] == "[hidden]"
    for shown in (repr(headers), str(headers), str(dict(headers)), str(pickle.dumps(headers))):
        assert SECRET not in shown
    assert headers["x-plain"] == "1"


def test_a_secret_is_gone_from_the_object_itself_once_it_was_looked_at() -> None:
    headers = Headers([("Authorization", SECRET)])
    assert len(headers) == 1
    assert SECRET not in str([getattr(headers, slot) for slot in Headers.__slots__])


def test_headers_equal_the_same_fields_in_another_order_case_or_shape() -> None:
    headers = Headers([("A", "1"), ("B", "2")])
    assert headers == Headers({"b": "2", "a": "1"})
    assert headers == {"a": "1", "b": "2"}
    assert headers != Headers({"a": "1"})
    assert headers != 5
    assert hash(headers) == hash(Headers({"b": "2", "a": "1"}))


def test_the_source_may_change_after_a_mapping_was_taken() -> None:
    source = {"A": "1"}
    headers = Headers(source)
    source["A"] = "2"
    assert headers["a"] == "1"


@pytest.mark.parametrize("raw", [[("A", "1"), ("Authorization", SECRET)], []], ids=["full", "empty"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_headers_survive_pickle_without_their_secrets(raw: list[tuple[str, str]], protocol: int) -> None:
    headers = Headers(raw)
    data = pickle.dumps(headers, protocol)
    assert SECRET.encode() not in data
    assert pickle.loads(data) == headers


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("raw", [[("A", "1")], []], ids=["full", "empty"])
def test_headers_survive_copying(copied: Any, raw: list[tuple[str, str]]) -> None:
    assert copied(Headers(raw)) == Headers(raw)


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://api.giga.chat/v1/models", "https://api.giga.chat/v1/models"),
        ("https://api.giga.chat:8443/v1", "https://api.giga.chat:8443/v1"),
        (f"https://me:{SECRET}@host/path", "https://host/path"),
        (f"https://{SECRET}@host:1/path", "https://host:1/path"),
        (f"https://a@b:{SECRET}@host/path", "https://host/path"),
        ("https://host/@me", "https://host/@me"),
        ("https://host/path?page=2&empty=", "https://host/path?page=2&empty="),
        (f"https://host/path?api_key={SECRET}&page=2", "https://host/path?api_key=%5Bhidden%5D&page=2"),
        (f"https://host/?Access-Token={SECRET}", "https://host/?Access-Token=%5Bhidden%5D"),
        (f"https://host/?client_secret={SECRET}", "https://host/?client_secret=%5Bhidden%5D"),
        (f"https://host/?PASSWORD={SECRET}", "https://host/?PASSWORD=%5Bhidden%5D"),
        (f"https://host/?credentials={SECRET}", "https://host/?credentials=%5Bhidden%5D"),
        (f"https://host/?auth={SECRET}&signature={SECRET}", "https://host/?auth=%5Bhidden%5D&signature=%5Bhidden%5D"),
        (f"https://host/?token={SECRET}&token={SECRET}", "https://host/?token=%5Bhidden%5D&token=%5Bhidden%5D"),
        (f"https://host/?a=1#access_token={SECRET}", "https://host/?a=1"),
        ("https://host/?q=%D0%B0", "https://host/?q=%D0%B0"),
    ],
)
def test_an_address_loses_its_user_and_its_secret_parameters(url: str, scrubbed: str) -> None:
    assert scrub_url(url) == scrubbed
    assert SECRET not in scrubbed


def test_a_request_record_is_a_value_that_survives_pickle() -> None:
    request = RequestInfo("POST", "https://host/v1", Headers({"Authorization": SECRET}))
    assert SECRET not in repr(request)
    assert pickle.loads(pickle.dumps(request)) == request
    assert RequestInfo("GET", "https://host").headers == {}
    with pytest.raises(AttributeError):
        request.method = "GET"  # type: ignore[misc]


def test_a_response_record_knows_its_status_its_id_and_its_retries() -> None:
    response = ResponseInfo(429, Headers({"X-Request-ID": "abc"}), elapsed=1.5, retries_taken=2, http_version="HTTP/2")
    assert (response.status_code, response.status, response.request_id) == (429, 429, "abc")
    assert (response.elapsed, response.retries_taken, response.http_version) == (1.5, 2, "HTTP/2")
    assert pickle.loads(pickle.dumps(response)) == response


def test_a_response_record_without_an_id_says_none() -> None:
    response = ResponseInfo(200, Headers())
    assert response.request_id is None
    assert (response.elapsed, response.retries_taken, response.http_version) == (0.0, 0, "HTTP/1.1")
