import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
Ask = Callable[..., httpx.Response]

USER = {"role": "user", "content": "Погода?"}
CALL = {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": {"place": "Тула"}}}
RESULT = {"role": "function", "name": "weather", "content": '{"temperature": 5}'}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}
BAD_JSON = '{"status":400,"message":"Your request contains invalid JSON syntax."}\n'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff",
        b'{"model":"GigaChat","messages":[],"temperature":NaN}',
        b"[" * 9_999,
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_malformed(http: httpx.Client, body: bytes) -> None:
    response = http.post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.text) == (400, BAD_JSON)


def test_another_content_type_is_malformed(http: httpx.Client) -> None:
    body = json.dumps({"model": "GigaChat", "messages": [USER]})
    for content_type in ({}, {"Content-Type": "text/plain"}):
        assert http.post("/chat/completions", content=body, headers=content_type).status_code == 400
    charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert http.post("/chat/completions", content=body, headers=charset).status_code == 200


@pytest.mark.parametrize(
    "members",
    [
        {"model": 1},
        {"messages": None},
        {"messages": USER},
        {"messages": ["Привет"]},
        {"messages": [{"content": "Привет"}]},
        {"messages": [{"role": 1}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Привет"}]}]},
        {"messages": [{"role": "user", "content": "Привет", "attachments": "id"}]},
        {"messages": [USER, {**CALL, "function_call": {"name": "weather", "arguments": "{}"}}, RESULT]},
        {"messages": [USER, {**CALL, "function_call": {"arguments": {}}}, RESULT]},
        {"messages": [USER, {**CALL, "function_call": "weather"}, RESULT]},
        {"temperature": "hot"},
        {"temperature": True},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"stream": "yes"},
        {"functions": {"name": "weather"}},
        {"functions": [{"description": "no name"}]},
        {"functions": [{**WEATHER, "parameters": "{}"}]},
        {"function_call": "always"},
        {"function_call": {}},
        {"function_call": 1},
        {"response_format": "json"},
        {"response_format": {}},
        {"response_format": {"type": "regex"}},
        {"response_format": {"type": "json_schema", "schema": "{}"}},
        {"flags": "preprocess"},
    ],
)
def test_a_wrong_shape_is_malformed(ask: Ask, members: dict[str, Any]) -> None:
    response = ask(**{"messages": [USER], **members})
    assert (response.status_code, response.text) == (400, BAD_JSON)


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        ({"model": "NonExistentModel"}, 404, "No such model"),
        ({"model": None}, 404, "No such model"),
        ({"model": "Embeddings"}, 404, "No such model"),
        ({"messages": []}, 422, "Invalid params: messages must not be empty"),
        (
            {"messages": [USER, {"role": "system", "content": "Отвечай."}]},
            422,
            "Invalid params: system message must be the first message",
        ),
        (
            {"messages": [{"role": "system"}, {"role": "system"}, USER]},
            422,
            "Invalid params: system message must be the first message",
        ),
        ({"messages": [{"role": "developer", "content": "x"}]}, 422, "Invalid params: unknown role developer"),
        ({"temperature": 0}, 422, "Invalid params: temperature must be in range (0, +inf)"),
        ({"top_p": 1.1}, 422, "Invalid params: top_p must be in range [0, 1]"),
        ({"top_p": -0.1}, 422, "Invalid params: top_p must be in range [0, 1]"),
        ({"max_tokens": 0}, 422, "Invalid params: max_tokens must be in range (0, +inf)"),
        ({"repetition_penalty": 0}, 422, "Invalid params: repetition_penalty must be in range (0, +inf)"),
        ({"update_interval": -1}, 422, "Invalid params: update_interval must be in range [0, +inf)"),
        ({"response_format": {"type": "json_object"}}, 400, 'Unknown type "json_object" in response_format'),
        ({"response_format": {"type": "json"}}, 400, 'Unknown type "json" in response_format'),
        (
            {"response_format": {"type": "json_schema"}},
            400,
            "Empty schema with json format type is not supported",
        ),
        (
            {"response_format": {"type": "json_schema", "schema": {}}},
            400,
            "Empty schema with json format type is not supported",
        ),
        (
            {"response_format": {"type": "json_schema", "schema": {"$ref": "#"}}},
            422,
            "Invalid params: schema can't be satisfied: # contains itself without an end",
        ),
        (
            {"functions": [{**WEATHER, "name": "1st"}]},
            422,
            'Invalid params: Invalid function names. Only Latin letters, digits, "_", "-" and "." are allowed, '
            "and a digit can't be the first: 1st",
        ),
        (
            {"functions": [{**WEATHER, "name": "web_search"}]},
            422,
            "Invalid params: function name web_search is reserved",
        ),
        ({"functions": [{"name": "weather"}]}, 422, "Field 'parameters' is missing"),
        (
            {
                "functions": [
                    {"name": "f", "parameters": {"type": "object", "properties": {"data": {"type": "object"}}}}
                ]
            },
            422,
            "Field 'properties.data.properties' is missing",
        ),
        (
            {"functions": [{"name": "f", "parameters": {"type": "object", "properties": {"tags": {"type": "array"}}}}]},
            422,
            "Field 'properties.tags.items' is missing",
        ),
        (
            {
                "functions": [
                    {
                        "name": "f",
                        "parameters": {"properties": {"rows": {"type": "array", "items": {"type": "object"}}}},
                    }
                ]
            },
            422,
            "Field 'properties.rows.items.properties' is missing",
        ),
        (
            {"functions": [WEATHER], "function_call": {"name": "other"}},
            422,
            "Invalid params: function_call names other, which is not in functions",
        ),
        (
            {"messages": [USER, CALL]},
            422,
            "Invalid params: every assistant function call must have a result in history",
        ),
        (
            {"messages": [USER, CALL, USER, RESULT]},
            422,
            "Invalid params: every assistant function call must have a result in history",
        ),
        (
            {"messages": [USER, CALL, {**RESULT, "name": "other"}]},
            422,
            "Invalid params: every assistant function call must have a result in history",
        ),
        (
            {"messages": [RESULT]},
            422,
            "Invalid params: every assistant function result must have an assistant function call in history",
        ),
        (
            {"messages": [USER, RESULT]},
            422,
            "Invalid params: every assistant function result must have an assistant function call in history",
        ),
        (
            {"messages": [USER, CALL, {**RESULT, "content": "пять"}]},
            422,
            "Invalid params: invalid function result for function weather json string пять, JSON parse error",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(ask: Ask, members: dict[str, Any], status: int, message: str) -> None:
    response = ask(**{"messages": [USER], **members})
    assert (response.status_code, response.json()) == (status, {"status": status, "message": message})
    assert response.text.endswith("}\n")
    assert response.headers["x-request-id"]


def test_an_unknown_model_is_refused_as_recorded(ask: Ask) -> None:
    assert ask(model="NonExistentModel").content == (WIRE / "chat_model_not_found.json").read_bytes()


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [{"role": "system", "content": "Отвечай."}, USER]},
        {"messages": [USER, CALL, RESULT]},
        {"messages": [USER, CALL, {"role": "function", "content": '"пять"'}, {"role": "assistant", "content": "5"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": None, "attachments": []}]},
        {"temperature": 0.001, "top_p": 0, "repetition_penalty": 1, "n": 1, "profanity_check": False},
        {"temperature": None, "functions": None, "function_call": None, "response_format": None, "stream": None},
        {"functions": [WEATHER], "function_call": "auto"},
        {"functions": [{**WEATHER, "name": "_a.b-c9"}], "function_call": "none"},
        {"functions": [{"name": "text2image"}], "function_call": "auto"},
        {"functions": [{"name": "f", "parameters": {"properties": {"any": True}}}]},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "regex", "regex": "[а-я]+"}},
        {"unknown_member": {"a": 1}, "update_interval": 0},
        {"model": "GigaChat-3-Ultra"},
        {"model": "GigaChat-3-Ultra-preview"},
        {"model": "GigaChat-Plus-preview"},
    ],
)
def test_what_the_service_takes_is_taken(ask: Ask, members: dict[str, Any]) -> None:
    assert ask(**{"messages": [USER], **members}).status_code == 200
