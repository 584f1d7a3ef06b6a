"""`types/v2/request.py` and `types/v2/params.py`: what is refused before sending."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types.v2 import (
    ChatCompletion,
    ChatCompletionRequest,
    ContentPart,
    ResponseMessage,
)

USER = [{"role": "user", "content": "Привет"}]
NAN = float("nan")
KIND, VALUE = True, False  # an argument of the wrong kind is a TypeError as well

ITSELF: list[Any] = []
ITSELF.append(ITSELF)


def message(role: Any, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def given(**fields: Any) -> dict[str, Any]:
    return {"messages": USER, **fields}


def options(**fields: Any) -> dict[str, Any]:
    return given(model_options=fields)


def result(value: Any, **more: Any) -> dict[str, Any]:
    return message("tool", [{"function_result": {"name": "f", "result": value, **more}}])


def call(value: Any) -> dict[str, Any]:
    return message("assistant", [{"function_call": value}])


def payload(fields: dict[str, Any]) -> dict[str, Any]:
    return validated(ChatCompletionRequest, fields).to_payload()


PLACE = "messages[0].content"
RESULT = "messages[0].content[0].function_result.result"
CALLED = "messages[0].content[0].function_call"
FORMAT = "model_options.response_format"
BAD: list[tuple[str, dict[str, Any], str, bool, str]] = [
    # messages
    ("a string", {"messages": "Привет"}, "messages", KIND, "expected a list, got 'Привет'"),
    ("a single dict", {"messages": USER[0]}, "messages", KIND, "expected a list, got dict"),
    ("a single model", {"messages": ResponseMessage()}, "messages", KIND, "expected a list"),
    ("None", {"messages": None}, "messages", KIND, "expected a list, got None"),
    ("nothing", {"messages": iter(())}, "messages", VALUE, "expected at least one item"),
    ("a string inside", {"messages": ["Привет"]}, "messages[0]", KIND, "expected a dict or a message"),
    ("a whole answer", {"messages": [ChatCompletion()]}, "messages[0]", VALUE, "needs a 'role'"),
    # roles
    ("no role", {"messages": [{"content": "x"}]}, "messages[0]", VALUE, "needs a 'role': one of system, user, "),
    ("openai's role", message("developer"), "messages[0]", VALUE, "role 'developer' cannot be sent; use 'system'"),
    ("v1's role", message("function", "{}"), "messages[0]", VALUE, "use 'tool' with [{'function_result': "),
    ("another's role", message("model"), "messages[0]", VALUE, "use 'assistant'"),
    ("a mistyped role", message("sytem"), "messages[0]", VALUE, "use one of system, user, assistant, tool, reasoning"),
    ("a list as role", message(["user"]), "messages[0]", VALUE, "role ['user'] cannot be sent"),
    # content
    ("no content", {"messages": [{"role": "user"}]}, PLACE, KIND, "missing"),
    ("None as content", message("user", None), PLACE, KIND, "missing"),
    ("a number as content", message("system", 5), PLACE, KIND, "expected a text, or a list of texts and parts, got 5"),
    ("bytes as content", message("user", b"x"), PLACE, KIND, "expected a text, or a list of texts and parts, got b"),
    ("one part", message("user", {"text": "x"}), PLACE, KIND, "expected a text, or a list of texts and parts, got d"),
    ("one part as a model", message("user", ContentPart()), PLACE, KIND, "expected a text, or a list"),
    ("a number inside", message("user", ["a", 5]), PLACE + "[1]", KIND, "expected a text or a part, such as"),
    (
        "a part of OpenAI",
        message("user", [{"type": "image_url", "image_url": {"url": "x"}}]),
        PLACE + "[0]",
        VALUE,
        "has no 'type': a text is {'text': ...}, an uploaded file {'files': [{'id': ...}]}",
    ),
    (
        "a text of OpenAI",
        message("user", [{"type": "text", "text": "x"}]),
        PLACE + "[0]",
        VALUE,
        "has no 'type': a text is {'text': ...}",
    ),
    (
        "attachments of v1",
        {"messages": [{"role": "user", "content": "x", "attachments": ["id"]}]},
        "messages[0]",
        VALUE,
        "the v2 contract has no 'attachments'; a file is a part of the content",
    ),
    ("an empty part", message("user", [{}]), PLACE + "[0]", VALUE, "a part has one of the keys text, files"),
    ("a part of None", message("user", [{"text": None}]), PLACE + "[0]", VALUE, "a part has one of the keys text"),
    ("a number as text", message("user", [{"text": 5}]), PLACE + "[0].text", KIND, "expected a string, got 5"),
    ("files as ids", message("user", [{"files": ["id"]}]), PLACE + "[0].files[0]", KIND, "got 'id'"),
    ("one file", message("user", [{"files": {"id": "a"}}]), PLACE + "[0].files", KIND, "expected a list, got dict"),
    ("a file's id", message("user", [{"files": [{"name": "a"}]}]), PLACE + "[0].files[0].id", KIND, "missing"),
    ("inline data", message("user", [{"inline_data": [1]}]), PLACE + "[0].inline_data", KIND, "got list"),
    ("a state", message("assistant", tools_state_id=5), "messages[0].tools_state_id", KIND, "string, got 5"),
    ("a state by its other name", message("assistant", tool_state_id=5), "messages[0].tools_state_id", KIND, "got 5"),
    # calls and results
    ("a call as a word", call("f"), CALLED, KIND, "got 'f'"),
    ("a call without a name", call({"arguments": {}}), CALLED + ".name", KIND, "missing"),
    ("bad arguments", call({"name": "f", "arguments": "{"}), CALLED + ".arguments", VALUE, "JSON text"),
    ("a text as result", message("tool", "солнечно"), PLACE, VALUE, "holds results of functions: [{'function_result'"),
    ("texts as results", message("tool", ["{}"]), PLACE, VALUE, "holds results of functions"),
    ("one result", message("tool", {"function_result": {}}), PLACE, KIND, "expected a text, or a list"),
    (
        "a word as result",
        result("солнечно"),
        RESULT,
        VALUE,
        "an object or JSON text, the service refuses anything else",
    ),
    ("an empty result", result(""), RESULT, VALUE, "pass a dict, or json.dumps(...)"),
    ("a deep result", result("[" * 100_000), RESULT, VALUE, "object or JSON text"),
    ("a result None", result(None), RESULT, KIND, "missing"),
    ("a number as result", result(5), RESULT, KIND, "expected a dict, or JSON text, got 5"),
    ("a list of NaN", result([NAN]), RESULT, VALUE, "not JSON"),
    ("a list of objects", result([object()]), RESULT, VALUE, "not JSON"),
    ("a list of itself", result(ITSELF), RESULT, VALUE, "not JSON"),
    ("a result's id", result({}, id=5), RESULT[:-6] + "id", KIND, "expected a string, got 5"),
    ("no function's name", message("tool", [{"function_result": {"result": {}}}]), RESULT[:-6] + "name", KIND, "miss"),
    # tools
    ("one tool", given(tools="web_search"), "tools", KIND, "expected a list, got 'web_search'"),
    ("one tool as a dict", given(tools={"web_search": {}}), "tools", KIND, "expected a list, got dict"),
    ("a number as tool", given(tools=[5]), "tools[0]", KIND, "expected a tool's name, {name: {...}} of one, or a "),
    ("a function as such", given(tools=[print]), "tools[0]", KIND, "or a function as a dict, got builtin_function"),
    ("functions alone", given(tools=["functions"]), "tools[0]", VALUE, "stands for a built-in tool, such as"),
    ("an empty name", given(tools=[""]), "tools[0]", VALUE, "stands for a built-in tool"),
    ("an empty tool", given(tools=[{}]), "tools[0]", VALUE, "a dict with one key, such as {'web_search': {}}"),
    ("two tools in one", given(tools=[{"a": {}, "b": {}}]), "tools[0]", VALUE, "a dict with one key"),
    (
        "openai's tool",
        given(tools=["web_search", {"type": "function", "function": {"name": "f"}}]),
        "tools[1]",
        VALUE,
        "without a wrapper: {'name': ..., 'parameters': ...}",
    ),
    ("a switch", given(tools=[{"web_search": True}]), "tools[0].web_search", KIND, "got True"),
    ("indexes", given(tools=[{"web_search": {"indexes": 5}}]), "tools[0].web_search.indexes", KIND, "strings, got 5"),
    (
        "names of functions",
        given(tool_config={"mode": "any", "functions_names_any": 5}),
        "tool_config.functions_names_any",
        KIND,
        "expected a list of strings, got 5",
    ),
    ("flags 5", given(flags=5), "flags", KIND, "expected a list of strings, got 5"),
    (
        "probabilities",
        message("user", [{"text": "a", "logprobs": "x"}]),
        PLACE + "[0].logprobs",
        KIND,
        "expected a list of dicts, got 'x'",
    ),
    ("flags", given(tools=[{"web_search": {"flags": "a"}}]), "tools[0].web_search.flags", KIND, "list of strings"),
    (
        "a function without a name",
        given(tools=[{"functions": {"specifications": [{"description": "d"}]}}]),
        "tools[0].functions.specifications[0].name",
        KIND,
        "missing",
    ),
    (
        "a function's parameters",
        given(tools=[{"name": "f", "parameters": "{}"}]),
        "tools[0].functions.specifications[0].parameters",
        KIND,
        "got '{}'",
    ),
    ("a tool's word", given(tool_config="auto"), "tool_config", KIND, "got 'auto'"),
    ("no mode", given(tool_config={}), "tool_config.mode", KIND, "missing"),
    ("nothing forced", given(tool_config={"mode": "forced"}), "tool_config", VALUE, "needs a 'function_name', or the"),
    (
        "names",
        given(tool_config={"mode": "any", "functions_names_any": "f"}),
        "tool_config.functions_names_any",
        KIND,
        "got 'f'",
    ),
    # options of the model
    ("options", given(model_options=[1]), "model_options", KIND, "got list"),
    ("hot", options(temperature="hot"), "model_options.temperature", KIND, "expected a number, got 'hot'"),
    ("half a token", options(max_tokens=1.5), "model_options.max_tokens", KIND, "integer, got 1.5"),
    ("a switch as text", options(parallel_tool_calls="no"), "model_options.parallel_tool_calls", KIND, "got 'no'"),
    ("effort", options(reasoning={"effort": 5}), "model_options.reasoning.effort", KIND, "got 5"),
    ("reasoning", options(reasoning="high"), "model_options.reasoning", KIND, "got 'high'"),
    ("openai's json", options(response_format={"type": "json_object"}), FORMAT, VALUE, "'json_object'; use"),
    ("no schema", options(response_format={"type": "json_schema"}), FORMAT, VALUE, "directly under 'schema'"),
    ("a class", options(response_format=ChatCompletion), FORMAT, KIND, "a class goes into parse(response_format=...)"),
    # the rest
    ("no name", given(model=""), "model", VALUE, "empty"),
    ("a number as name", given(model=5), "model", KIND, "expected a string, got 5"),
    ("storage", given(storage="thread"), "storage", KIND, "got 'thread'"),
    ("thread", given(storage={"thread_id": 5}), "storage.thread_id", KIND, "expected a string, got 5"),
    ("zone", given(user_info={"timezone": 3}), "user_info.timezone", KIND, "expected a string, got 3"),
    ("ranker", given(ranker_options={"top_n": "x"}), "ranker_options.top_n", KIND, "integer, got 'x'"),
    ("filter", given(disable_filter="yes"), "disable_filter", KIND, "boolean, got 'yes'"),
    (
        "filters",
        given(filter_config={"request_content": {"neuro": 1}}),
        "filter_config.request_content.neuro",
        KIND,
        "boolean, got 1",
    ),
    ("one flag", given(flags="a"), "flags", KIND, "list of strings, got 'a'"),
    ("assistant", given(assistant_id=5), "assistant_id", KIND, "expected a string, got 5"),
    ("memory", given(memory_id=5), "memory_id", KIND, "expected a string, got 5"),
    ("state", given(tools_state_id=5), "tools_state_id", KIND, "expected a string, got 5"),
]


@pytest.mark.parametrize(
    ("fields", "param", "is_kind", "words"), [pytest.param(*row[1:], id=f"{row[2]}: {row[0]}") for row in BAD]
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
    assert (error.__cause__, error.__context__) == (None, None)
    assert "pydantic" not in repr(error)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (given(tools=[{"web_search": {"indexes": None, "type": None}}]), given(tools=[{"web_search": {}}])),
        (
            given(tools=[{"functions": {"specifications": [{"name": "f", "description": None}], "new": None}}]),
            given(tools=[{"functions": {"specifications": [{"name": "f"}]}}]),
        ),
        (
            given(tool_config={"mode": "auto", "functions_names_any": None}),
            given(tool_config={"mode": "auto"}),
        ),
        (
            given(filter_config={"request_content": {"neuro": None}, "response_content": None}),
            given(filter_config={"request_content": {}}),
        ),
        (
            given(filter_config={"response_content": {"blacklist": None}}),
            given(filter_config={"response_content": {}}),
        ),
        (given(tools=[{"code_interpreter": {"a": None}}]), given(tools=[{"code_interpreter": {"a": None}}])),
    ],
)
def test_a_none_is_not_given(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    assert payload(fields) == payload(sent)
