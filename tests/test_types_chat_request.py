"""`types/chat_request.py` and `types/chat_params.py`: what is refused before sending, and what is sent."""

from __future__ import annotations

import copy
import json
import re
from collections import OrderedDict, UserDict
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pydantic
import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._batches import BatchLines
from gigachat_sdk._request import validated
from gigachat_sdk.types import (
    ChatCompletion,
    ChatCompletionMessage,
    ChatCompletionParams,
    ChatCompletionRequest,
    File,
    FunctionCall,
    GeneratedFile,
    v2,
)

USER = [{"role": "user", "content": "Привет"}]
NAN, INFINITY = float("nan"), float("inf")
DEEP = "[" * 100_000
KIND, VALUE = True, False  # an argument of the wrong kind is a TypeError as well

ITSELF: dict[str, Any] = {}
ITSELF["self"] = ITSELF


def message(role: Any, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def call(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "function_call": value}]}


def given(**fields: Any) -> dict[str, Any]:
    return {"messages": USER, **fields}


def payload(fields: dict[str, Any]) -> dict[str, Any]:
    return validated(ChatCompletionRequest, fields).to_payload()


BAD: list[tuple[str, dict[str, Any], str, bool, str]] = [
    # messages
    ("a string", {"messages": "Привет"}, "messages", KIND, "expected a list, got 'Привет'"),
    ("a single dict", {"messages": USER[0]}, "messages", KIND, "expected a list, got dict"),
    ("a single model", {"messages": ChatCompletionMessage(content="x")}, "messages", KIND, "expected a list"),
    ("None", {"messages": None}, "messages", KIND, "expected a list, got None"),
    ("a number", {"messages": 5}, "messages", KIND, "expected a list, got 5"),
    ("nothing", {"messages": []}, "messages", VALUE, "expected at least one item"),
    ("an exhausted generator", {"messages": iter(())}, "messages", VALUE, "expected at least one item"),
    (
        "a string inside",
        {"messages": ["Привет"]},
        "messages[0]",
        KIND,
        "expected {'role': 'user', 'content': ...} or a message",
    ),
    (
        "None inside",
        {"messages": [*USER, None]},
        "messages[1]",
        KIND,
        "expected {'role': 'user', 'content': ...} or a message",
    ),
    (
        "a whole answer",
        {"messages": [ChatCompletion(choices=[])]},
        "messages[0]",
        VALUE,
        "pass its message, choices[0].message",
    ),
    ("no role", {"messages": [{"content": "x"}]}, "messages[0]", VALUE, "needs a 'role'"),
    ("calls of OpenAI", {"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0]", VALUE, "function_call"),
    (
        "a wrapped function",
        {"messages": USER, "functions": [{"type": "function", "function": {"name": "f"}}]},
        "functions[0]",
        VALUE,
        "without a wrapper: {'name': ...",
    ),
    # roles
    ("no role", {"messages": [{"content": "x"}]}, "messages[0]", VALUE, "needs a 'role': one of system, user, "),
    ("openai's role", message("developer"), "messages[0]", VALUE, "role 'developer' cannot be sent; use 'system'"),
    ("openai's tool", message("tool"), "messages[0]", VALUE, "use 'function' for a function's result"),
    ("another's role", message("model"), "messages[0]", VALUE, "use 'assistant'"),
    ("a mistyped role", message("sytem"), "messages[0]", VALUE, "use one of system, user, assistant, function"),
    ("a state as role", message("function_in_progress"), "messages[0]", VALUE, "use one of system"),
    ("a list as role", message(["user"]), "messages[0]", VALUE, "role ['user'] cannot be sent"),
    # content
    ("no content", {"messages": [{"role": "user"}]}, "messages[0].content", KIND, "missing"),
    ("content None", message("user", None), "messages[0].content", KIND, "expected a string, got None"),
    ("content in parts", message("user", [{"type": "text"}]), "messages[0].content", KIND, "expected a string"),
    ("content bytes", message("system", b"x"), "messages[0].content", KIND, "expected a string, got bytes"),
    ("a number as answer", message("assistant", 5), "messages[0].content", KIND, "expected a string, got 5"),
    ("one attachment", message("user", attachments="id"), "messages[0].attachments", KIND, "list of strings, got 'id'"),
    ("attachments 5", message("user", attachments=5), "messages[0].attachments", KIND, "list of strings, got 5"),
    ("a set", message("user", attachments={"a"}), "messages[0].attachments", KIND, "list of strings, got set"),
    ("a generator", message("user", attachments=iter("a")), "messages[0].attachments", KIND, "list of strings, got "),
    ("attachments", message("assistant", attachments=5), "messages[0].attachments", KIND, "list of strings, got 5"),
    ("attachment 5", message("user", attachments=["a", 5]), "messages[0].attachments[1]", KIND, "expected a string"),
    ("a numeric state", message("assistant", functions_state_id=5), "messages[0].functions_state_id", KIND, "string"),
    # a function's result
    ("plain text", message("function", "солнечно"), "messages[0].content", VALUE, "must be an object or JSON text"),
    ("empty text", message("function", ""), "messages[0].content", VALUE, "must be an object or JSON text"),
    ("deep text", message("function", DEEP), "messages[0].content", VALUE, ""),
    ("NaN", message("function", {"a": {"b": NAN}}), "messages[0].content", VALUE, "not JSON"),
    ("an object", message("function", {"a": object()}), "messages[0].content", VALUE, "not JSON"),
    ("itself", message("function", ITSELF), "messages[0].content", VALUE, "not JSON"),
    ("result None", message("function", None), "messages[0].content", KIND, "got None"),
    ("result 5", message("function", 5), "messages[0].content", KIND, "got 5"),
    ("a result's name", message("function", "{}", name=4), "messages[0].name", KIND, "expected a string, got 4"),
    # a function call fed back
    ("a string", call("f"), "messages[0].function_call", KIND, "got 'f'"),
    ("no name", call({"arguments": {}}), "messages[0].function_call.name", KIND, "missing"),
    ("bad arguments", call({"name": "f", "arguments": "{"}), "messages[0].function_call.arguments", VALUE, "JSON text"),
    ("deep arguments", call({"name": "f", "arguments": DEEP}), "messages[0].function_call.arguments", VALUE, ""),
    ("a list", call({"name": "f", "arguments": [1]}), "messages[0].function_call.arguments", KIND, "got list"),
    ("a list as text", call({"name": "f", "arguments": "[1]"}), "messages[0].function_call.arguments", KIND, "got"),
    # numbers and switches
    ("hot", given(temperature="hot"), "temperature", KIND, "expected a number, got 'hot'"),
    ("NaN", given(temperature=NAN), "temperature", VALUE, "finite number"),
    ("infinite", given(temperature=INFINITY), "temperature", VALUE, "finite number"),
    ("minus infinite", given(top_p=-INFINITY), "top_p", VALUE, "finite number"),
    ("bool as float", given(temperature=True), "temperature", KIND, "expected a number, got True"),
    ("bool as int", given(max_tokens=True), "max_tokens", KIND, "integer, got True"),
    ("half a token", given(max_tokens=1.5), "max_tokens", KIND, "integer, got 1.5"),
    ("a number as text", given(max_tokens="10"), "max_tokens", KIND, "integer, got '10'"),
    ("n", given(n="1"), "n", KIND, "integer"),
    ("tokens to reason", given(reasoning_max_tokens="1"), "reasoning_max_tokens", KIND, "integer"),
    ("interval", given(update_interval=[1]), "update_interval", KIND, "expected a number, got list"),
    ("penalty", given(repetition_penalty="1"), "repetition_penalty", KIND, "expected a number"),
    ("a switch as text", given(profanity_check="no"), "profanity_check", KIND, "boolean, got 'no'"),
    ("a switch as number", given(profanity_check=0), "profanity_check", KIND, "boolean, got 0"),
    ("a long text", given(temperature="x" * 50), "temperature", KIND, "expected a number, got str"),
    # names
    ("no name", given(model=""), "model", VALUE, "empty"),
    ("a number as name", given(model=5), "model", KIND, "expected a string, got 5"),
    ("effort", given(reasoning_effort=5), "reasoning_effort", KIND, "expected a string, got 5"),
    ("assistant", given(assistant_id=5), "assistant_id", KIND, "expected a string, got 5"),
    ("one flag", given(flags="a"), "flags", KIND, "list of strings, got 'a'"),
    ("flags 5", given(flags=5), "flags", KIND, "expected a list of strings, got 5"),
    ("a set of flags", given(flags={"a"}), "flags", KIND, "expected a list of strings, got set"),
    ("a flag 5", given(flags=["a", 5]), "flags[1]", KIND, "expected a string, got 5"),
    # functions
    ("one name", given(functions="f"), "functions", KIND, "expected a list, got 'f'"),
    ("one function", given(functions={"name": "f"}), "functions", KIND, "expected a list, got dict"),
    ("a name inside", given(functions=["f"]), "functions[0]", KIND, "got 'f'"),
    ("no name", given(functions=[{"description": "d"}]), "functions[0].name", KIND, "missing"),
    ("parameters", given(functions=[{"name": "f", "parameters": "{}"}]), "functions[0].parameters", KIND, "got '{}'"),
    (
        "few shots",
        given(functions=[{"name": "f", "few_shot_examples": [{"request": "r"}]}]),
        "functions[0].few_shot_examples[0].params",
        KIND,
        "missing",
    ),
    (
        "few shots 5",
        given(functions=[{"name": "f", "few_shot_examples": 5}]),
        "functions[0].few_shot_examples",
        KIND,
        "expected a list of dicts, got 5",
    ),
    (
        "few shots as text",
        given(functions=[{"name": "f", "few_shot_examples": "x"}]),
        "functions[0].few_shot_examples",
        KIND,
        "expected a list of dicts, got 'x'",
    ),
    ("a forced word", given(function_call="force"), "function_call", VALUE, "expected 'auto', 'none' or {'name': ...}"),
    ("a mistyped name", given(function_call={"nam": "f"}), "function_call", VALUE, "or {'name': ...}"),
    ("a number", given(function_call=5), "function_call", KIND, "or {'name': ...}"),
    ("a list", given(function_call=["auto"]), "function_call", KIND, "or {'name': ...}"),
    (
        "partial arguments",
        given(function_call={"name": "f", "partial_arguments": "x"}),
        "function_call.partial_arguments",
        KIND,
        "got 'x'",
    ),
    # response_format
    ("a word", given(response_format="json"), "response_format", KIND, "text, json_schema or regex"),
    ("no type", given(response_format={}), "response_format", VALUE, "text, json_schema or regex"),
    ("openai's json", given(response_format={"type": "json_object"}), "response_format", VALUE, "'json_object'; use"),
    (
        "a schema deeper",
        given(response_format={"type": "json_schema", "json_schema": {}}),
        "response_format",
        VALUE,
        "",
    ),
    ("a schema as text", given(response_format={"type": "json_schema", "schema": "{}"}), "response_format", VALUE, ""),
    ("no expression", given(response_format={"type": "regex"}), "response_format", VALUE, "under 'regex'"),
    (
        "strict as text",
        given(response_format={"type": "json_schema", "schema": {}, "strict": "yes"}),
        "response_format.strict",
        KIND,
        "got 'yes'",
    ),
    # the rest
    ("storage as switch", given(storage=True), "storage", KIND, "got True"),
    ("storage without state", given(storage={}), "storage.is_stateful", KIND, "missing"),
    ("storage's state", given(storage={"is_stateful": "yes"}), "storage.is_stateful", KIND, "boolean, got 'yes'"),
    ("ranker", given(function_ranker={"enabled": "x"}), "function_ranker.enabled", KIND, "boolean, got 'x'"),
    ("data", given(additional_data=[1]), "additional_data", KIND, "got list"),
]


@pytest.mark.parametrize(
    ("fields", "param", "is_kind", "words"),
    [pytest.param(*row[1:], id=f"{row[2]}: {row[0]}") for row in BAD],
)
def test_mistakes_are_told_in_one_line_that_names_the_place(
    fields: dict[str, Any], param: str, is_kind: bool, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        payload(fields)
    error = caught.value
    assert error.param == param
    assert str(error).startswith(param + ": ")
    assert words in str(error)
    assert "\n" not in str(error)
    assert isinstance(error, TypeError) is is_kind
    assert isinstance(error, ValueError)
    assert error.__cause__ is None
    assert "pydantic" not in repr(error)


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"messages": [{"role": "user", "content": 1}], "temperature": "hot"}, "(and 1 more)"),
        (given(temperature="hot", top_p="x", n="y"), "(and 2 more)"),
    ],
)
def test_further_mistakes_are_counted(fields: dict[str, Any], more: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        payload(fields)
    assert more in str(caught.value)


def test_the_fields_of_the_request_are_the_keywords_of_the_method() -> None:
    assert set(ChatCompletionRequest.model_fields) == {*ChatCompletionParams.__annotations__, "stream"}


def test_every_keyword_is_sent_as_it_was_given() -> None:
    fields: dict[str, Any] = {
        "messages": USER,
        "model": "GigaChat-2-Max",
        "temperature": 0.5,
        "top_p": 1,
        "max_tokens": 10,
        "repetition_penalty": 1.0,
        "update_interval": 0,
        "profanity_check": False,
        "functions": [{"name": "f", "parameters": {"type": "object"}, "few_shot_examples": [], "new": 1}],
        "function_call": {"name": "f", "partial_arguments": {"a": 1}},
        "response_format": {"type": "json_schema", "schema": {"type": "object"}, "strict": True},
        "reasoning_effort": "high",
        "reasoning_max_tokens": 5,
        "storage": {"is_stateful": True, "thread_id": "t", "metadata": {"a": 1}},
        "flags": ["preprocess"],
        "n": 1,
        "function_ranker": {"enabled": True, "top_n": 3},
        "additional_data": {"a": {"b": None}},
        "assistant_id": "a",
        "stream": True,
    }
    assert set(fields) == set(ChatCompletionRequest.model_fields)
    sent = payload(fields)
    assert sent == fields
    assert list(sent) == list(fields)


@pytest.mark.parametrize("name", sorted(set(ChatCompletionParams.__annotations__) - {"messages"}))
def test_none_means_not_given(name: str) -> None:
    assert payload({"messages": USER, name: None}) == {"messages": USER}


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "text"},
        {"type": "regex", "regex": "[a-z]+"},
        {"type": "json_schema", "schema": {}},
        {"type": "yaml", "of": "tomorrow"},
    ],
)
def test_response_formats_pass_as_they_are(response_format: dict[str, Any]) -> None:
    assert payload(given(response_format=response_format))["response_format"] == response_format


@pytest.mark.parametrize("choice", ["auto", "none", {"name": "f"}])
def test_choices_of_a_function_pass_as_they_are(choice: Any) -> None:
    assert payload(given(function_call=choice))["function_call"] == choice


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ({"погода": "ясно", "t": [1, None]}, '{"погода": "ясно", "t": [1, null]}'),
        ([1, "ё"], '[1, "ё"]'),
        ((1, 2), "[1, 2]"),
        (MappingProxyType({"a": 1}), '{"a": 1}'),
        ('{"a":1}', '{"a":1}'),
        ("5", "5"),
    ],
)
def test_a_functions_result_is_sent_as_json_text(content: Any, sent: str) -> None:
    assert payload(message("function", content, name="f"))["messages"][0]["content"] == sent


@pytest.mark.parametrize("arguments", [{"a": 1}, '{"a": 1}', FunctionCall(name="f", arguments={"a": 1}).arguments])
def test_arguments_of_a_call_are_sent_as_an_object(arguments: Any) -> None:
    sent = payload(call({"name": "f", "arguments": arguments, "id": "1", "new": 2}))
    expected = {"name": "f", "arguments": {"a": 1}, "id": "1", "new": 2}
    assert json.loads(json.dumps(sent["messages"][0]["function_call"])) == expected


def test_an_assistants_missing_text_is_sent_empty_and_unknown_keys_pass() -> None:
    sent = payload({"messages": [{"role": "assistant", "content": None, "новое": [1]}, *USER]})
    assert sent["messages"][0] == {"role": "assistant", "content": "", "новое": [1]}


ANSWER = {
    "role": "assistant",
    "content": "",
    "function_call": {"name": "f", "arguments": {"city": "Москва"}},
    "functions_state_id": "state",
    "new": {"a": 1},
}


def test_answers_dicts_and_mappings_mix_in_one_dialogue() -> None:
    answer = ChatCompletion.model_validate({"choices": [{"message": ANSWER}]}).choices[0].message
    made = ChatCompletionMessage(content="да")  # the role is the default
    history: tuple[Any, ...] = (OrderedDict(USER[0]), answer, UserDict(role="user", content="ещё"), made)
    assert payload({"messages": history})["messages"] == [
        USER[0],
        ANSWER,
        {"role": "user", "content": "ещё"},
        {"role": "assistant", "content": "да"},
    ]


def test_a_function_call_object_may_stand_in_a_dict() -> None:
    sent = payload(call(FunctionCall(name="f", arguments={"a": 1})))
    assert sent["messages"][0]["function_call"] == {"name": "f", "arguments": {"a": 1}}


def test_any_iterable_of_messages_is_read_once() -> None:
    def dialogue() -> Iterator[dict[str, str]]:
        yield from USER

    assert payload({"messages": dialogue()})["messages"] == USER
    assert payload(given(functions=({"name": name} for name in "fg")))["functions"] == [{"name": "f"}, {"name": "g"}]


def test_the_callers_objects_are_never_changed() -> None:
    answer = ChatCompletion.model_validate({"choices": [{"message": ANSWER}]}).choices[0].message
    fields: dict[str, Any] = {
        "messages": [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}},
            {"role": "function", "content": {"a": {"b": [1]}}, "name": "f"},
            answer,
        ],
        "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "response_format": {"type": "json_schema", "schema": {"type": "object"}},
        "storage": {"is_stateful": True},
    }
    before = copy.deepcopy(fields)
    sent = payload(fields)
    sent["messages"][1]["content"] += "changed"
    sent["messages"][2]["function_call"]["arguments"]["city"] = "changed"
    sent["functions"][0]["name"] = "changed"
    sent["storage"]["is_stateful"] = False
    assert fields == before


@pytest.mark.parametrize("request_class", [ChatCompletionRequest, v2.ChatCompletionRequest])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("temprature", "there is no field 'temprature'"),
        ("mesages", "there is no field 'mesages'; did you mean 'messages'?"),
        ("future", "there is no field 'future'; what the SDK does not know goes into extra_body"),
    ],
)
def test_a_request_built_by_hand_is_checked_for_mistyped_fields(request_class: Any, name: str, words: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape(words)):
        request_class(messages=USER, **{name: 1})


def test_a_request_built_by_hand_may_hold_what_the_method_takes_beside_the_fields() -> None:
    request: Any = ChatCompletionRequest(messages=USER, extra_body={"future": 1})  # type: ignore[arg-type, call-arg]  # an option
    line = BatchLines("chat_completions", "GigaChat").of_requests([request])
    assert json.loads(line)["request"] == {"messages": USER, "model": "GigaChat", "future": 1}


def test_a_call_without_arguments_has_none() -> None:
    """The service leaves them out of a function that takes none, and wants an object when the call is fed back."""
    answer = ChatCompletionMessage.model_validate({"role": "assistant", "function_call": {"name": "now"}})
    for message in (answer, {"role": "assistant", "function_call": {"name": "now", "arguments": None}}):
        request = validated(ChatCompletionRequest, {"messages": [message]})
        assert request.to_payload()["messages"][0]["function_call"] == {"name": "now", "arguments": {}}


def test_files_may_stand_for_their_ids() -> None:
    file = File(id="f-1", bytes=1, created_at=1, filename="a", purpose="general")
    message = {"role": "user", "content": "?", "attachments": [file, GeneratedFile(id="f-2"), "f-3"]}
    request = validated(ChatCompletionRequest, {"messages": [message]})
    assert request.to_payload()["messages"][0]["attachments"] == ["f-1", "f-2", "f-3"]
    assert message["attachments"][0] is file
