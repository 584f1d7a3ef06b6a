"""`types/v2/request.py` and `types/v2/params.py`: what is sent, in the form the service takes."""

from __future__ import annotations

import copy
import json
from collections import UserDict
from typing import Any

import pydantic
import pytest

from gigachat_sdk._request import validated
from gigachat_sdk.types import ChatCompletionMessage, FunctionDefinition
from gigachat_sdk.types.v2 import (
    ChatCompletion,
    ChatCompletionParams,
    ChatCompletionRequest,
    ContentPart,
    File,
    FunctionCall,
    ModelOptionsParam,
    ResponseMessage,
)

USER = [{"role": "user", "content": "Привет"}]
SENT_USER = [{"role": "user", "content": [{"text": "Привет"}]}]
CALL = {"name": "f", "arguments": {"city": "Москва"}}


def message(role: Any, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def given(**fields: Any) -> dict[str, Any]:
    return {"messages": USER, **fields}


def options(**fields: Any) -> dict[str, Any]:
    return given(model_options=fields)


def result(value: Any, **more: Any) -> dict[str, Any]:
    return message("tool", [{"function_result": {"name": "f", "result": value, **more}}])


def payload(fields: dict[str, Any]) -> dict[str, Any]:
    return validated(ChatCompletionRequest, fields).to_payload()


class Weather(pydantic.BaseModel):
    city: str = "Москва"
    degrees: float = 5.0


def sent(content: Any, role: str = "user") -> Any:
    return payload(message(role, content))["messages"][0]["content"]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a", [{"text": "a"}]),
        ("", [{"text": ""}]),
        (["a", {"text": "b"}], [{"text": "a"}, {"text": "b"}]),
        (("a",), [{"text": "a"}]),
        ((text for text in "ab"), [{"text": "a"}, {"text": "b"}]),
        ([], []),
        ([{"files": [{"id": "1"}]}], [{"files": [{"id": "1"}]}]),
        ([{"files": (File(id=x, mime="image/png") for x in "1")}], [{"files": [{"id": "1", "mime": "image/png"}]}]),
        ([{"files": [{"id": "1", "mime": None, "new": 1}]}], [{"files": [{"id": "1", "new": 1}]}]),
        ([ContentPart(text="a"), UserDict(text="b")], [{"text": "a"}, {"text": "b"}]),
        ([{"text": "a", "files": None}], [{"text": "a"}]),
        ([{"video": {"id": "1"}}], [{"video": {"id": "1"}}]),
        ([{"text": "a", "inline_data": {"x": [None]}}], [{"text": "a", "inline_data": {"x": [None]}}]),
    ],
)
def test_content_is_sent_as_parts(content: Any, parts: list[dict[str, Any]]) -> None:
    assert sent(content) == parts


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({"a": None}, {"a": None}),
        (UserDict(a=1), {"a": 1}),
        ('{"a": 1}', '{"a": 1}'),
        ("5", "5"),
        ([1, "б"], '[1, "б"]'),
        ((), "[]"),
        (Weather(), {"city": "Москва", "degrees": 5.0}),
    ],
)
def test_results_are_sent_as_objects_or_json_text(value: Any, wire: Any) -> None:
    for named in ({}, {"id": None}):
        assert payload(result(value, **named))["messages"][0]["content"] == [
            {"function_result": {"name": "f", "result": wire}}
        ]
    assert payload(result(value, id="1"))["messages"][0]["content"][0]["function_result"]["id"] == "1"


def fed_back(**fields: Any) -> dict[str, Any]:
    answer = ChatCompletion.model_validate_json(json.dumps({"messages": [fields]}))
    [message] = payload({"messages": answer.messages})["messages"]
    assert payload({"messages": [answer.messages[0].to_dict()]})["messages"] == [message]
    return message


def test_answers_go_back_as_they_came() -> None:
    parts = [
        {"text": "a", "inline_data": {"sources": {"1": {"url": "u"}}}},
        {"function_call": {**CALL, "id": "1"}},
        {"files": [{"id": "p", "mime": "image/jpeg", "target": "image"}]},
        {"tool_execution": {"name": "x", "status": "success"}},
    ]
    assert fed_back(role="assistant", content=parts, message_id="m") == {
        "role": "assistant",
        "content": parts,
        "message_id": "m",
    }
    assert fed_back(role="reasoning", content=[{"text": "a"}]) == {"role": "reasoning", "content": [{"text": "a"}]}
    tool = [{"function_result": {"name": "f", "result": {}}}]
    assert fed_back(role="tool", content=tool) == {"role": "tool", "content": tool}


@pytest.mark.parametrize(
    "states",
    [
        {"tool_state_id": "s"},
        {"tools_state_id": "s"},
        {"tools_state_id": "s", "tool_state_id": "t"},
        {"tools_state_id": None, "tool_state_id": "s"},
    ],
)
@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_the_state_goes_back_by_one_name(states: dict[str, Any], role: str) -> None:
    assert fed_back(role=role, content=[], **states) == {"role": role, "content": [], "tools_state_id": "s"}


def test_a_call_beside_the_content_goes_back_as_a_part() -> None:
    part = {"function_call": CALL}
    assert fed_back(role="assistant", function_call=CALL) == {"role": "assistant", "content": [part]}
    assert fed_back(role="assistant", content=[{"text": "a"}], function_call=CALL)["content"] == [{"text": "a"}, part]
    assert fed_back(role="assistant", content=[part], function_call=CALL) == {"role": "assistant", "content": [part]}
    nothing = fed_back(role="assistant", content=None, function_call=None, finish_reason=None)
    assert nothing == {"role": "assistant", "content": []}
    without_arguments = fed_back(role="assistant", function_call={"name": "f"})
    assert without_arguments["content"] == [{"function_call": {"name": "f", "arguments": {}}}]


def test_answers_of_v1_go_over() -> None:
    message = ChatCompletionMessage(role="assistant", content="", function_call=FunctionCall(name="f"))
    assert payload({"messages": [message]})["messages"] == [
        {"role": "assistant", "content": [{"function_call": {"name": "f", "arguments": {}}}]}
    ]
    assert payload({"messages": [ChatCompletionMessage(content="a")]})["messages"] == [
        {"role": "assistant", "content": [{"text": "a"}]}
    ]


def test_a_role_of_tomorrow_goes_back_too() -> None:
    answer = ResponseMessage.model_validate({"role": "oracle", "content": [{"text": "a"}]})
    assert payload({"messages": [answer]})["messages"] == [{"role": "oracle", "content": [{"text": "a"}]}]
    assert payload({"messages": [ResponseMessage(role="oracle")]})["messages"] == [{"role": "oracle", "content": []}]


def test_arguments_as_text_go_back_as_an_object() -> None:
    assert sent([{"function_call": {**CALL, "arguments": '{"city": "Москва"}', "id": None}}], "assistant") == [
        {"function_call": CALL}
    ]


SPEC: dict[str, Any] = {"name": "f", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("tools", "wire"),
    [
        (["web_search", "oracle"], [{"web_search": {}}, {"oracle": {}}]),
        ([{"web_search": {"type": "safe_search", "new": 1}}], [{"web_search": {"type": "safe_search", "new": 1}}]),
        ([UserDict(code_interpreter={})], [{"code_interpreter": {}}]),
        ([{"oracle": [1]}], [{"oracle": [1]}]),
        ([SPEC], [{"functions": {"specifications": [SPEC]}}]),
        ([FunctionDefinition(name="f")], [{"functions": {"specifications": [{"name": "f"}]}}]),
        ([{"functions": {"specifications": (x for x in [SPEC])}}], [{"functions": {"specifications": [SPEC]}}]),
        (
            ({"name": name} if name else "memory" for name in ("f", "", "g")),
            [{"functions": {"specifications": [{"name": "f"}, {"name": "g"}]}}, {"memory": {}}],
        ),
        (
            [{"name": "f"}, {"functions": {"specifications": [{"name": "g"}], "new": 1}}],
            [{"functions": {"specifications": [{"name": "f"}, {"name": "g"}], "new": 1}}],
        ),
        ([], []),
    ],
)
def test_tools_are_given_by_name_as_functions_or_as_they_are_sent(tools: Any, wire: Any) -> None:
    assert payload(given(tools=tools))["tools"] == wire


@pytest.mark.parametrize(
    "config",
    [
        {"mode": "auto"},
        {"mode": "tomorrow"},
        {"mode": "forced", "function_name": "f"},
        {"mode": "forced", "tool_name": "web_search"},
        {"mode": "any", "functions_names_any": ["f"], "new": 1},
    ],
)
def test_tool_configurations(config: dict[str, Any]) -> None:
    assert payload(given(tool_config={**config, "tool_name": config.get("tool_name")}))["tool_config"] == config


@pytest.mark.parametrize(
    ("storage", "wire"),
    [(True, {}), ({}, {}), ({"thread_id": "t", "limit": None}, {"thread_id": "t"}), (UserDict(limit=5), {"limit": 5})],
)
def test_a_storage_is_asked_for(storage: Any, wire: dict[str, Any]) -> None:
    assert payload(given(storage=storage))["storage"] == wire


@pytest.mark.parametrize("name", sorted(set(ChatCompletionParams.__annotations__) - {"messages"}))
def test_what_is_none_is_not_sent(name: str) -> None:
    assert payload(given(**{name: None})) == {"messages": SENT_USER}


def test_no_storage_is_not_sent() -> None:
    assert payload(given(storage=False)) == {"messages": SENT_USER}


def test_options_that_are_none_are_not_sent() -> None:
    none = dict.fromkeys(ModelOptionsParam.__annotations__)
    assert payload(given(model_options={**none, "top_p": 0.5})) == {
        "messages": SENT_USER,
        "model_options": {"top_p": 0.5},
    }
    assert payload(options(reasoning={"effort": "low", "max_tokens": None}))["model_options"] == {
        "reasoning": {"effort": "low"}
    }


def test_everything_that_is_known_is_sent() -> None:
    fields: dict[str, Any] = {
        "messages": SENT_USER,
        "model": "GigaChat-of-tomorrow",
        "model_options": {
            "temperature": 0.5,
            "top_p": 0.5,
            "max_tokens": 10,
            "repetition_penalty": 1.0,
            "update_interval": 0.1,
            "response_format": {"type": "regex", "regex": "[a-z]"},
            "reasoning": {"effort": "high", "max_tokens": 5},
            "parallel_tool_calls": True,
            "unnormalized_history": True,
            "top_logprobs": 2,
            "preset": "p",
            "new": 1,
        },
        "tools": [{"functions": {"specifications": [SPEC]}}, {"get_datetime": {}}],
        "tool_config": {"mode": "auto"},
        "storage": {"thread_id": "t", "limit": 1, "metadata": {"a": 1}},
        "user_info": {"timezone": "Europe/Moscow"},
        "ranker_options": {"enabled": True, "top_n": 3, "embeddings_model": "Embeddings"},
        "disable_filter": True,
        "filter_config": {
            "request_content": {"neuro": True, "blacklist": False, "whitelist": True},
            "response_content": {"blacklist": True},
        },
        "flags": ["a"],
        "tools_state_id": "s",
        "assistant_id": "a",
        "memory_id": "m",
    }
    assert fields.keys() == ChatCompletionParams.__annotations__.keys()
    assert fields["model_options"].keys() == {*ModelOptionsParam.__annotations__, "new"}
    before = copy.deepcopy(fields)
    assert payload(fields) == before
    assert fields == before


def test_the_model_checks_what_the_parameters_say() -> None:
    assert set(ChatCompletionRequest.model_fields) == {*ChatCompletionParams.__annotations__, "stream"}


def test_what_the_caller_holds_is_never_changed() -> None:
    messages = [
        {"role": "user", "content": ["a", {"files": [{"id": "1", "mime": None}]}]},
        {"role": "assistant", "content": [], "tool_state_id": "s", "function_call": {**CALL, "id": None}},
        {"role": "tool", "content": [{"function_result": {"name": "f", "result": {}, "id": None}}]},
    ]
    tools = [{"name": "f"}, {"functions": {"specifications": [{"name": "g"}]}}, {"web_search": {}}]
    before = copy.deepcopy((messages, tools))
    payload({"messages": messages, "tools": tools, "model_options": {"temperature": None}})
    assert (messages, tools) == before
