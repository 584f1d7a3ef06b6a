"""A member of an enumeration stands for its value, however Python formats it; wrong words are told in short."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._batches import BatchLines
from gigachat_sdk._json import json_bytes
from gigachat_sdk._request import validated
from gigachat_sdk.types import ChatCompletionRequest, v2
from gigachat_sdk.types.assistants import AssistantCreateRequest
from gigachat_sdk.types.checks import FilterCheckRequest
from gigachat_sdk.types.threads_params import ThreadMessagesRunRequest


class Text(str):
    __slots__ = ()


class Role(str, Enum):
    USER = "user"
    ASSISTANT = "assistant"
    FUNCTION = "function"
    TOOL = "tool"
    UNKNOWN = "nobody"


class Plain(Enum):
    USER = "user"


class Kind(str, Enum):
    SCHEMA = "json_schema"
    REGEX = "regex"
    TEXT = "text"
    WRONG = "json_object"


class Said(BaseModel):
    role: Role | Plain = Role.USER
    content: str = "Привет"


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


REQUESTS: list[tuple[Any, dict[str, Any]]] = [
    (ChatCompletionRequest, {}),
    (v2.ChatCompletionRequest, {}),
    (ThreadMessagesRunRequest, {}),
    (FilterCheckRequest, {"model": "GigaChat"}),
]
MESSAGES: list[Any] = [
    {"role": Role.USER, "content": "Привет"},
    {"role": Plain.USER, "content": "Привет"},
    {"role": Text("user"), "content": "Привет"},
    Said(),
    Said(role=Plain.USER),
]


def sent(request: Any, fields: dict[str, Any]) -> Any:
    return json.loads(json_bytes(validated(request, fields).to_payload()))


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
@pytest.mark.parametrize(("request_class", "more"), REQUESTS)
def test_a_role_may_be_a_member_of_an_enumeration(request_class: Any, more: dict[str, Any], message: Any) -> None:
    (written,) = sent(request_class, {"messages": [message], **more})["messages"]
    assert written["role"] == "user"
    assert written["content"] in ("Привет", [{"text": "Привет"}])


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_a_role_in_a_batch_may_be_one_too(message: Any) -> None:
    lines = BatchLines("chat_completions", "GigaChat")
    line: Any = lines.of_requests([{"messages": [message]}])
    assert json.loads(line)["request"]["messages"] == [{"role": "user", "content": "Привет"}]


def test_what_depends_on_the_role_depends_on_its_value() -> None:
    said = [{"role": Role.FUNCTION, "content": {"a": 1}}, {"role": Role.ASSISTANT, "function_call": {"name": "f"}}]
    assert sent(ChatCompletionRequest, {"messages": said})["messages"] == [
        {"role": "function", "content": '{"a": 1}'},
        {"role": "assistant", "function_call": {"arguments": {}, "name": "f"}},
    ]
    tool = [{"role": Role.TOOL, "content": ["x"]}]
    with pytest.raises(InvalidRequestError, match="holds results of functions"):
        sent(v2.ChatCompletionRequest, {"messages": tool})


@pytest.mark.parametrize(
    "given",
    [
        {"type": Kind.TEXT},
        {"type": Kind.REGEX, "regex": "a"},
        {"type": Kind.SCHEMA, "schema": {"type": "object"}, "strict": True},
    ],
)
def test_the_type_of_a_format_may_be_a_member_of_an_enumeration(given: dict[str, Any]) -> None:
    said = [{"role": "user", "content": "x"}]
    wire = {**given, "type": given["type"].value}
    assert sent(ChatCompletionRequest, {"messages": said, "response_format": given})["response_format"] == wire
    options = {"response_format": given}
    assert sent(v2.ChatCompletionRequest, {"messages": said, "model_options": options})["model_options"] == {
        "response_format": wire
    }


def test_a_format_is_checked_by_the_value_of_its_type() -> None:
    for given, words in (
        ({"type": Kind.WRONG}, "the service has no type 'json_object'"),
        ({"type": Kind.SCHEMA, "schema": {}, "strict": "yes"}, "response_format.strict: "),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            sent(ChatCompletionRequest, {"messages": [{"role": "user", "content": "x"}], "response_format": given})


def test_a_member_of_an_enumeration_names_a_tool() -> None:
    tools = [Text("web_search"), Text("of_tomorrow")]
    said = {"messages": [{"role": "user", "content": "x"}], "tools": tools}
    assert sent(v2.ChatCompletionRequest, said)["tools"] == [{"web_search": {}}, {"of_tomorrow": {}}]


@pytest.mark.parametrize("request_class", [ChatCompletionRequest, v2.ChatCompletionRequest])
@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("x" * 1_000_000, "role 'xxx"),
        (Text("nobody"), "role 'nobody' cannot be sent"),
        (Role.UNKNOWN, "role 'nobody' cannot be sent"),
        ([["x" * 1_000_000] * 100], "role [['xxx"),
        (Unshowable(), "role Unshowable cannot be sent"),
        ("\ud800", r"role '\ud800' cannot be sent"),
        (5, "role 5 cannot be sent"),
    ],
)
def test_a_wrong_role_is_told_in_short(request_class: Any, role: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(request_class, {"messages": [{"role": role, "content": "x"}]})
    assert str(caught.value).startswith(f"messages[0]: {words}")
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"functions": [{"name": "ж" * 1_000_000}]}, "the service takes no function named 'жжж"),
        ({"metadata": {("ж" * 1_000_000,): 1}}, r"expected strings as keys, got \('жжж"),
    ],
)
def test_other_wrong_values_are_told_in_short(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        validated(AssistantCreateRequest, {"model": "m", "name": "n", **fields})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("request_class", "fields", "place"),
    [
        (ChatCompletionRequest, {"model": "a\ud800"}, "model"),
        (v2.ChatCompletionRequest, {"model": "a\ud800"}, "model"),
        (FilterCheckRequest, {"model": "a\ud800"}, "model"),
        (ThreadMessagesRunRequest, {"thread_id": "a\ud800"}, "thread_id"),
    ],
)
def test_half_a_character_in_a_name_is_told_as_everywhere(
    request_class: Any, fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(request_class, {"messages": [{"role": "user", "content": "x"}], **fields})
    assert str(caught.value) == f"{place}: character 1 is a lone surrogate, which is no text and cannot be sent"
