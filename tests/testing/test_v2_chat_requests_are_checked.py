from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .wire import Ask

BAD_JSON = "Your request contains invalid JSON syntax."
USER = {"role": "user", "content": [{"text": "Сложи 2 и 3"}]}
CALL = {"role": "assistant", "content": [{"function_call": {"name": "sum", "arguments": {"left": 2}}}]}
RESULT = {"role": "tool", "content": [{"function_result": {"name": "sum", "result": {"sum": 5}}}]}
ANSWER = {"role": "assistant", "content": [{"text": "5"}]}
SUM = {"name": "sum", "parameters": {"type": "object", "properties": {"left": {"type": "integer"}}}}
FUNCTIONS = {"functions": {"specifications": [SUM]}}


@pytest.fixture
def ask(http: httpx.Client, emulator: Emulator) -> Ask:
    def send(**members: Any) -> httpx.Response:
        url = emulator.base_url.removesuffix("/v1") + "/v2/chat/completions"
        return http.post(url, json={"model": "GigaChat-2-Max", "messages": [USER], **members})

    return send


def calls(*ids: str | None) -> dict[str, Any]:
    """One message with calls of the same function."""
    parts = [{"function_call": {"name": "sum", **({"id": one} if one else {})}} for one in ids]
    return {"role": "assistant", "content": parts}


def results(*ids: str | None) -> dict[str, Any]:
    parts = [{"function_result": {"name": "sum", "result": "5", **({"id": one} if one else {})}} for one in ids]
    return {"role": "tool", "content": parts}


@pytest.mark.parametrize(
    "members",
    [
        {"messages": None},
        {"messages": "Привет"},
        {"messages": ["Привет"]},
        {"messages": [{"content": []}]},
        {"messages": [{"role": "user", "content": "Привет"}]},
        {"messages": [{"role": "user", "content": ["Привет"]}]},
        {"messages": [{"role": "user", "content": [{}]}]},
        {"messages": [{"role": "user", "content": [{"image_url": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"text": 1}]}]},
        {"messages": [{"role": "user", "content": [{"files": ["id"]}]}]},
        {"messages": [{"role": "user", "content": [{"files": [{"mime": "image/png"}]}]}]},
        {"messages": [{"role": "developer", "content": [{"text": "Отвечай"}]}]},
        {"messages": [USER, {"role": "assistant", "content": [{"function_call": {"name": "sum", "arguments": "{}"}}]}]},
        {"messages": [USER, {"role": "assistant", "content": [{"function_call": {"arguments": {}}}]}]},
        {"messages": [USER, CALL, {"role": "tool", "content": [{"function_result": {"name": "sum"}}]}]},
        {"messages": [USER, CALL, {"role": "tool", "content": [{"function_result": {"result": {}}}]}]},
        {"messages": [USER, CALL, {"role": "tool", "content": [{"function_result": {"name": "sum", "result": 5}}]}]},
        {"messages": [USER, CALL, {"role": "tool", "content": '{"sum": 5}'}]},
        {"messages": [{**USER, "tools_state_id": 1}]},
        {"model": 5},
        {"stream": "true"},
        {"flags": "a"},
        {"disable_filter": "нет"},
        {"storage": "да"},
        {"storage": {"limit": "1"}},
        {"storage": {"thread_id": 1}},
        {"ranker_options": {"top_n": "4"}},
        {"user_info": {"timezone": 3}},
        {"filter_config": {"request_content": {"neuro": 1}}},
        {"filter_config": {"response_content": [True]}},
        {"model_options": []},
        {"model_options": {"temperature": "1"}},
        {"model_options": {"max_tokens": 1.5}},
        {"model_options": {"reasoning": "high"}},
        {"model_options": {"reasoning": {"effort": 1}}},
        {"model_options": {"response_format": {}}},
        {"model_options": {"response_format": {"type": "json_schema", "schema": "{}"}}},
        {"model_options": {"response_format": {"type": "regex"}}},
        {"tools": {"web_search": {}}},
        {"tools": ["web_search"]},
        {"tools": [{}]},
        {"tools": [{"web_search": {}, "image_generate": {}}]},
        {"tools": [{"web_search": True}]},
        {"tools": [{"functions": [SUM]}]},
        {"tools": [{"functions": {"specifications": [{"parameters": {}}]}}]},
        {"tools": [FUNCTIONS], "tool_config": {}},
        {"tools": [FUNCTIONS], "tool_config": {"mode": "sometimes"}},
        {"tools": [FUNCTIONS], "tool_config": {"mode": "any", "functions_names_any": "sum"}},
    ],
)
def test_a_wrong_shape_is_bad_json(ask: Ask, members: dict[str, Any]) -> None:
    response = ask(**members)
    assert (response.status_code, response.json()) == (400, {"status": 400, "message": BAD_JSON})


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        ({"model": "None"}, 404, "No such model"),
        ({"model": None}, 404, "No such model"),
        ({"model": "Embeddings"}, 404, "No such model"),
        ({"tools": [{"url_extraction": {}}]}, 404, "Unknown tool url_extraction"),
        ({"tools": [{"type": "function"}]}, 404, "Unknown tool type"),
        ({"tools": [{"code_interpreter": {}}]}, 422, "Tool code_interpreter is unavailable"),
        ({"messages": []}, 422, "messages must not be empty"),
        (
            {"messages": [USER, {"role": "system", "content": []}, USER]},
            422,
            "system message must be the first message",
        ),
        ({"model": "GigaChat", "assistant_id": "1"}, 422, "model can't be given with assistant_id"),
        (
            {"model": None, "assistant_id": "1", "storage": {"thread_id": "1"}},
            422,
            "assistant_id can't be given with thread_id",
        ),
        ({"storage": {"limit": 0}}, 422, "limit must be in range (0, +inf)"),
        ({"storage": {"metadata": {str(n): n for n in range(17)}}}, 422, "metadata can have at most 16 pairs"),
        ({"model_options": {"temperature": 0}}, 422, "temperature must be in range (0, +inf)"),
        ({"model_options": {"top_p": 1.1}}, 422, "top_p must be in range [0, 1]"),
        ({"model_options": {"max_tokens": 0}}, 422, "max_tokens must be in range (0, +inf)"),
        ({"model_options": {"repetition_penalty": 0}}, 422, "repetition_penalty must be in range (0, +inf)"),
        ({"model_options": {"update_interval": -1}}, 422, "update_interval must be in range [0, +inf)"),
        ({"model_options": {"top_logprobs": 6}}, 422, "top_logprobs must be in range [1, 5]"),
        ({"model_options": {"top_logprobs": 0}}, 422, "top_logprobs must be in range [1, 5]"),
        ({"model_options": {"reasoning": {"max_tokens": 0}}}, 422, "max_tokens must be in range (0, +inf)"),
        (
            {"model_options": {"reasoning": {"effort": "extreme"}}},
            422,
            "reasoning.effort must be one of low, medium, high, off",
        ),
        (
            {"model_options": {"response_format": {"type": "json_object"}}},
            400,
            'Unknown type "json_object" in response_format',
        ),
        (
            {"model_options": {"response_format": {"type": "json_schema"}}},
            400,
            "Empty schema with json format type is not supported",
        ),
        (
            {"tools": [{"web_search": {"type": "fast"}}]},
            422,
            "web_search.type must be one of web_search, actual_info_web_search, safe_search",
        ),
        (
            {"tools": [{"functions": {"specifications": [{"name": "сумма", "parameters": {}}]}}]},
            422,
            "can't be the first",
        ),
        (
            {"tools": [{"functions": {"specifications": [{"name": "web_search", "parameters": {}}]}}]},
            422,
            "function name web_search is reserved",
        ),
        (
            {"tools": [{"functions": {"specifications": [{"name": "text2image"}]}}]},
            422,
            "Field 'parameters' is missing",
        ),
        (
            {
                "tools": [
                    {
                        "functions": {
                            "specifications": [
                                {"name": "f", "parameters": {"properties": {"data": {"type": "object"}}}}
                            ]
                        }
                    }
                ]
            },
            422,
            "Field 'properties.data.properties' is missing",
        ),
        (
            {"tools": [FUNCTIONS], "tool_config": {"mode": "forced"}},
            422,
            "tool_config.mode forced needs either function_name or tool_name",
        ),
        (
            {
                "tools": [FUNCTIONS, {"web_search": {}}],
                "tool_config": {"mode": "forced", "function_name": "sum", "tool_name": "web_search"},
            },
            422,
            "tool_config.mode forced needs either function_name or tool_name",
        ),
        (
            {"tools": [FUNCTIONS], "tool_config": {"mode": "forced", "tool_name": "sum"}},
            422,
            "tool_config names sum, which is not in tools",
        ),
        (
            {"tool_config": {"mode": "forced", "function_name": "sum"}},
            422,
            "tool_config names sum, which is not in tools",
        ),
        ({"tools": [FUNCTIONS], "tool_config": {"mode": "any"}}, 422, "tool_config.mode any needs functions_names_any"),
        (
            {"tools": [FUNCTIONS], "tool_config": {"mode": "any", "functions_names_any": ["sum", "time"]}},
            422,
            "tool_config names time, which is not in tools",
        ),
        ({"messages": [USER, CALL]}, 422, "every assistant function call must have a result in history"),
        ({"messages": [USER, CALL, USER]}, 422, "every assistant function call must have a result in history"),
        ({"messages": [USER, RESULT]}, 422, "every assistant function result must have an assistant function call"),
        ({"messages": [USER, CALL, RESULT, RESULT]}, 422, "every assistant function result must have an assistant"),
        (
            {"messages": [USER, calls("1", "2"), results("1", "3")]},
            422,
            "every assistant function result must have an assistant function call in history",
        ),
        (
            {"messages": [USER, calls("1", "2"), results("1"), ANSWER]},
            422,
            "every assistant function call must have a result in history",
        ),
        (
            {
                "messages": [
                    USER,
                    CALL,
                    {"role": "tool", "content": [{"function_result": {"name": "sum", "result": "пять"}}]},
                ]
            },
            400,
            "invalid function result for function sum json string пять, JSON parse error",
        ),
    ],
)
def test_what_does_not_fit_is_refused(ask: Ask, members: dict[str, Any], status: int, message: str) -> None:
    response = ask(**members)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert message in response.json()["message"]


def test_a_refusal_can_hold_half_of_a_surrogate_pair(http: httpx.Client, emulator: Emulator) -> None:
    body = b'{"model":"GigaChat","messages":[{"role":"user","content":[]}],"tools":[{"\\ud800":{}}]}'
    url = emulator.base_url.removesuffix("/v1") + "/v2/chat/completions"
    response = http.post(url, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["message"]) == (404, "Unknown tool ?")


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [{"role": "system", "content": [{"text": "Отвечай."}]}, USER]},
        {"messages": [USER, {"role": "system", "content": [{"text": "Отвечай."}]}]},
        {"messages": [USER, CALL, RESULT]},
        {"messages": [USER, {**CALL, "tool_state_id": "1"}, {**RESULT, "role": "function", "tools_state_id": "1"}]},
        {"messages": [USER, CALL, {"role": "reasoning", "content": [{"text": "Хм."}]}, RESULT, ANSWER, USER]},
        {"messages": [USER, calls("1", "2"), results("2", "1")]},
        {"messages": [USER, calls("1", "2"), results("2"), results("1")]},
        {"messages": [USER, calls("1", "2"), results(None, None)]},
        {"messages": [USER, calls(None), results("1")]},
        {"messages": [USER, CALL, {"role": "tool", "content": [{"text": "Вот:"}, *RESULT["content"]]}]},
        {"messages": [{"role": "user"}, {"role": "assistant", "content": None}]},
        {"messages": [{"role": "user", "content": [{"text": "а", "inline_data": {}, "type": "text"}]}]},
        {"model_options": {"temperature": 0.001, "top_p": 0, "top_logprobs": 5, "preset": "a", "max_tokens": None}},
        {"model_options": {"response_format": {"type": "text"}, "unknown": 1}},
        {"disable_filter": True, "filter_config": {"request_content": {"neuro": False}, "response_content": {}}},
        {"ranker_options": {"enabled": True, "top_n": 3, "embeddings_model": "Embeddings"}, "flags": ["a"]},
        {"tools": [{name: {}} for name in ("url_content_extraction", "get_datetime", "memory")], "memory_id": "1"},
        {"tools": [FUNCTIONS, {"functions": {}}], "tool_config": None, "tools_state_id": "1"},
        {"tools": [{"code_interpreter": {}}], "model": "GigaChat-3-Ultra-preview"},
        {"tools": None, "storage": None, "model_options": None, "user_info": None, "unknown_member": {"a": 1}},
    ],
)
def test_what_the_service_takes_is_taken(ask: Ask, members: dict[str, Any]) -> None:
    response = ask(**members)
    assert response.status_code == 200, response.text
