"""How requests are read, what they are known by, and what of them counts."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import Any

import pydantic
import pytest

from gigachat_sdk import ChatCompletionMessage, InvalidRequestError, types
from gigachat_sdk.bulk._items import (
    Item,
    digest_of,
    endpoint_named,
    endpoint_names,
    key_of,
    read_item,
    refusal_of,
    with_place,
)
from gigachat_sdk.errors import InvalidRequestTypeError

CHAT = "chat.completions.create"
MESSAGES = [{"role": "user", "content": "Привет"}]


class Request(pydantic.BaseModel):
    messages: list[dict[str, str]]


def item(given: Any) -> Item:
    read = read_item(given, 3, CHAT)
    assert isinstance(read, Item), read
    return read


@pytest.mark.parametrize(
    ("given", "identity"),
    [
        ({"messages": MESSAGES}, None),
        (MappingProxyType({"messages": MESSAGES}), None),
        (Request(messages=MESSAGES), None),
        ({"messages": MESSAGES, "id": "a"}, "a"),
        ({"id": "a", "request": {"messages": MESSAGES}}, "a"),
        ({"id": 7, "request": Request(messages=MESSAGES)}, 7),
        ({"id": None, "request": {"messages": MESSAGES}}, None),
        ({"request": {"messages": iter(MESSAGES)}}, None),
    ],
)
def test_forms_of_a_request(given: Any, identity: Any) -> None:
    read = item(given)
    assert (read.index, read.id, read.request) == (3, identity, {"messages": MESSAGES})
    assert read.digest == digest_of({"messages": MESSAGES}, CHAT)


def deep() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (5, InvalidRequestTypeError, "requests[3]: expected a dict of keywords, got int"),
        ([MESSAGES], InvalidRequestTypeError, "requests[3]: expected a dict of keywords, got list"),
        ({1: 2}, InvalidRequestTypeError, "requests[3]: a keyword is a string, and there is a int"),
        (
            {"request": {1: 2}},
            InvalidRequestTypeError,
            "requests[3].request: a keyword is a string, and there is a int",
        ),
        ({"id": 1, "request": 2}, InvalidRequestTypeError, "requests[3].request: expected a dict of keywords, got int"),
        (
            {"id": 1, "request": {}, "model": "x"},
            InvalidRequestError,
            "requests[3].model: only id stands beside request; put it into request",
        ),
        (
            {"custom_id": 1, "body": {}},
            InvalidRequestError,
            'requests[3]: this is the form of another service; write {"id": ..., "request": {...}}',
        ),
        ({"id": True}, InvalidRequestTypeError, "requests[3].id: expected a string or a number, got bool"),
        ({"id": 1.5}, InvalidRequestTypeError, "requests[3].id: expected a string or a number, got float"),
        ({"id": ""}, InvalidRequestError, "requests[3].id: it is empty"),
        ({"id": 10**20}, InvalidRequestError, "requests[3].id: a number of more than 20 digits is no id"),
        ({"id": "\ud800"}, InvalidRequestError, "requests[3].id: it holds a lone surrogate, which is no text"),
        (
            {"max_tokens": 10**5000},
            InvalidRequestError,
            "requests[3]: it cannot be written as JSON: is there a number of thousands of digits?",
        ),
        ({"messages": deep()}, InvalidRequestError, "requests[3]: it is nested too deeply, or holds itself"),
    ],
)
def test_what_is_no_request(given: Any, kind: type[Exception], message: str) -> None:
    error = read_item(given, 3, CHAT)
    assert isinstance(error, InvalidRequestError)
    placed = with_place(error, "requests[3]")
    assert (type(placed), placed.message.partition(";")[0], placed.param) == (
        kind,
        message.partition(";")[0],
        "requests[3]",
    )


def test_a_place_in_a_file() -> None:
    error = read_item({"id": ""}, 0, CHAT)
    assert isinstance(error, InvalidRequestError)
    assert with_place(error, "in.jsonl, line 1").message == "in.jsonl, line 1: id: it is empty"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"messages": MESSAGES, "model": "a"}, {"model": "a", "messages": tuple(MESSAGES)}),
        ({"messages": [ChatCompletionMessage(role="user", content="Привет")]}, {"messages": MESSAGES}),
        ({"messages": MESSAGES, "timeout": 5, "extra_headers": {"Authorization": "x"}}, {"messages": MESSAGES}),
        ({"messages": MESSAGES, "temperature": None, "model": None}, {"messages": MESSAGES}),
        ({"messages": MESSAGES, "max_retries": 5, "on_retry": print, "request_id": "1"}, {"messages": MESSAGES}),
        ({"flags": {"a", "b", "c"}}, {"flags": {"c", "b", "a"}}),
        ({"x": object()}, {"x": object()}),
    ],
)
def test_the_same_question(one: Any, other: Any) -> None:
    assert digest_of(one, CHAT) == digest_of(other, CHAT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"messages": MESSAGES}, {"messages": [*MESSAGES, *MESSAGES]}),
        ({"temperature": 0.1}, {"temperature": 0.2}),
        ({"temperature": 1}, {"temperature": "1"}),
        ({"extra_body": {"a": 1}}, {}),
        ({"extra_query": {"a": 1}}, {}),
        ({"response_format": Request}, {"response_format": Item}),
        ({"since": dt.date(2024, 1, 1)}, {"since": dt.date(2024, 1, 2)}),
        ({"x": "\ud800"}, {"x": "\ud801"}),
    ],
)
def test_another_question(one: Any, other: Any) -> None:
    assert digest_of(one, CHAT) != digest_of(other, CHAT)


@pytest.mark.parametrize(
    ("request_", "endpoint", "counts"),
    [
        ({"messages": MESSAGES}, CHAT, True),
        ({"messages": MESSAGES, "model": None}, "v2.chat.completions.create", True),
        ({"input": "a"}, "tokens.count", True),
        ({"messages": MESSAGES, "storage": {"metadata": {}}}, CHAT, True),
        ({"messages": MESSAGES, "storage": True}, CHAT, True),
        ({"messages": MESSAGES, "model": "c"}, CHAT, False),
        ({"messages": MESSAGES, "assistant_id": "1"}, CHAT, False),
        ({"messages": MESSAGES, "storage": {"thread_id": "1"}}, CHAT, False),
        ({"input": "a"}, "embeddings.create", False),
        ({"input": "a"}, "ai.check", False),
    ],
)
def test_the_model_of_the_client_is_part_of_a_question(request_: Any, endpoint: str, counts: bool) -> None:
    assert (digest_of(request_, endpoint, "a") != digest_of(request_, endpoint, "b")) is counts
    assert (digest_of(request_, endpoint, "a") == digest_of({**request_, "model": "a"}, endpoint, "b")) is counts


def test_another_endpoint_is_another_question() -> None:
    assert digest_of({"input": "a"}, "tokens.count") != digest_of({"input": "a"}, "embeddings.create")


def test_what_an_item_is_known_by() -> None:
    assert len(key_of("a", 0)) == 16
    assert key_of("a", 0) == key_of("a", 1)
    assert key_of(1, 0) == key_of("1", 0)
    assert len({key_of(None, 0), key_of(None, 1), key_of(0, 0), key_of("place 0", 0)}) == 4


def test_a_request_hides_what_it_holds() -> None:
    read = item({"messages": MESSAGES, "extra_headers": {"Authorization": "Bearer s3cr3t"}})
    assert "s3cr3t" not in repr(read)
    assert "s3cr3t" not in repr(read.request)


@pytest.mark.parametrize(("stream", "is_refused"), [(True, True), (1, True), (False, False), (None, False)])
def test_streams_are_refused(stream: Any, is_refused: bool) -> None:
    error = refusal_of(item({"messages": MESSAGES, "stream": stream}))
    assert (error is not None) is is_refused
    assert error is None or (error.message, error.param) == (
        "stream: bulk work takes whole answers; leave it out",
        "stream",
    )


def test_endpoints_have_the_models_of_their_answers() -> None:
    found = {name: endpoint_named(name).response for name in endpoint_names()}
    assert found == {
        "chat.completions.create": types.ChatCompletion,
        "v2.chat.completions.create": types.v2.ChatCompletion,
        "embeddings.create": types.EmbeddingList,
        "tokens.count": types.TokensCountList,
        "ai.check": types.AICheckResult,
        "filter.check": types.FilterCheckResult,
    }


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("embedings.create", InvalidRequestError, "is none for bulk work; did you mean 'embeddings.create'?"),
        ("embeddings", InvalidRequestError, "is none for bulk work; did you mean 'embeddings.create'?"),
        ("files", InvalidRequestError, "is none for bulk work; use one of chat.completions.create, v2."),
        ("", InvalidRequestError, "'' is none for bulk work; use one of chat.completions.create, v2."),
        (None, InvalidRequestTypeError, "endpoint: expected a string, got NoneType"),
    ],
)
def test_an_unknown_endpoint(name: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        endpoint_named(name)
    assert type(caught.value) is kind
    assert message in str(caught.value)
