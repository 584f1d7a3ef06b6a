import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
CONVERTED = json.loads((WIRE / "fixture_functions_convert.json").read_bytes())
SMS: dict[str, Any] = CONVERTED["functions"][0]
OBJECT = {"type": "object", "properties": {}}


def validate(http: httpx.Client, function: Any) -> dict[str, Any]:
    answer = http.post("/functions/validate", json=function)
    assert answer.status_code == 200
    verdict: dict[str, Any] = answer.json()
    return verdict


def test_a_full_description_is_valid(http: httpx.Client) -> None:
    verdict = {"status": 200, "message": "Function is valid", "json_ai_rules_version": "1.0.5"}
    assert validate(http, SMS) == verdict


def test_what_may_be_better_is_a_warning(http: httpx.Client) -> None:
    verdict = validate(http, {"name": "f", "description": "x", "parameters": {"type": "object"}})
    assert verdict == {
        "status": 200,
        "message": "Function is valid",
        "json_ai_rules_version": "1.0.5",
        "warnings": [{"description": "few_shot_examples are missing", "schema_location": "(root)"}],
    }


@pytest.mark.parametrize(
    ("changes", "description", "location"),
    [
        ({"description": None}, "description is missing", "(root)"),
        ({"few_shot_examples": None}, "few_shot_examples are missing", "(root)"),
        ({"parameters": {"anyOf": [OBJECT]}}, "anyOf is not supported", "(root).parameters"),
        (
            {"return_parameters": {"type": "object", "properties": {"a": {"$ref": "#/x"}}}},
            "$ref is not supported",
            "(root).return_parameters.properties.a",
        ),
    ],
)
def test_each_warning(http: httpx.Client, changes: dict[str, Any], description: str, location: str) -> None:
    verdict = validate(http, {**SMS, **changes})
    assert verdict["message"] == "Function is valid"
    assert verdict["warnings"] == [{"description": description, "schema_location": location}]


ROOT = "(root)"
PROPERTIES = "(root).parameters.properties"


def with_property(schema: Any) -> dict[str, Any]:
    return {"parameters": {"type": "object", "properties": {"a": schema}}}


def wrong(expected: str, given: str) -> str:
    return f"Invalid type. Expected: {expected}, given: {given}"


NAME_RULE = "Only Latin letters, digits, '_', '-' and '.' are allowed, no digit first"


@pytest.mark.parametrize(
    ("changes", "description", "location"),
    [
        ({"name": None}, "name is required", ROOT),
        ({"name": 1}, wrong("string", "integer"), f"{ROOT}.name"),
        ({"name": "погода"}, NAME_RULE, f"{ROOT}.name"),
        ({"name": "1weather"}, NAME_RULE, f"{ROOT}.name"),
        ({"name": ""}, NAME_RULE, f"{ROOT}.name"),
        ({"name": "web_search"}, "function name web_search is reserved", f"{ROOT}.name"),
        ({"description": ["x"]}, wrong("string", "array"), f"{ROOT}.description"),
        ({"parameters": None}, "parameters is required", ROOT),
        ({"parameters": "x"}, wrong("object", "string"), f"{ROOT}.parameters"),
        ({"parameters": {"type": "object", "properties": []}}, wrong("object", "array"), PROPERTIES),
        (with_property(True), wrong("object", "boolean"), f"{PROPERTIES}.a"),
        (with_property({"type": "object"}), "properties is required", f"{PROPERTIES}.a"),
        (with_property({"type": "array"}), "items is required", f"{PROPERTIES}.a"),
        (with_property({"type": "array", "items": {"type": "array"}}), "items is required", f"{PROPERTIES}.a.items"),
        ({"return_parameters": 1.5}, wrong("object", "number"), f"{ROOT}.return_parameters"),
        ({"few_shot_examples": {}}, wrong("array", "object"), f"{ROOT}.few_shot_examples"),
        ({"few_shot_examples": [None]}, wrong("object", "null"), f"{ROOT}.few_shot_examples.0"),
        ({"few_shot_examples": [{"params": {}}]}, "request is required", f"{ROOT}.few_shot_examples.0"),
        ({"few_shot_examples": [{"request": "x"}]}, "params is required", f"{ROOT}.few_shot_examples.0"),
        (
            {"few_shot_examples": [{"request": "x", "params": "{}"}]},
            wrong("object", "string"),
            f"{ROOT}.few_shot_examples.0.params",
        ),
    ],
)
def test_each_error(http: httpx.Client, changes: dict[str, Any], description: str, location: str) -> None:
    verdict = validate(http, {**SMS, **changes})
    assert verdict == {
        "status": 200,
        "message": "Incorrect function syntax",
        "json_ai_rules_version": "1.0.5",
        "errors": [{"description": description, "schema_location": location}],
    }


def test_errors_come_all_at_once_and_without_warnings(http: httpx.Client) -> None:
    verdict = validate(http, {})
    assert [one["description"] for one in verdict["errors"]] == ["name is required", "parameters is required"]
    assert "warnings" not in verdict


def test_a_built_in_function_needs_no_parameters(http: httpx.Client) -> None:
    assert validate(http, {"name": "text2image"})["message"] == "Function is valid"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"name"'])
def test_what_is_no_function_cannot_be_validated(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/functions/validate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def described(name: str) -> dict[str, Any]:
    return SMS["parameters"]["properties"][name] | {}


def document() -> dict[str, Any]:
    """Make an OpenAPI document that says what the recorded function says."""
    version = described("version")
    body = {
        "type": "object",
        "properties": {name: described(name) for name in ("employeeId", "text")},
        "required": ["employeeId", "text"],
    }
    operation = {
        "operationId": SMS["name"],
        "description": SMS["description"],
        "parameters": [{"$ref": "#/components/parameters/version"}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sms"}}}},
        "responses": {
            "400": {"content": {"application/json": {"schema": {"type": "object", "properties": {"error": {}}}}}},
            "200": {"content": {"application/json": {"schema": SMS["return_parameters"]}}},
        },
        "x-few-shot-examples": SMS["few_shot_examples"],
    }
    parameter = {
        "name": "version",
        "in": "header",
        "required": True,
        "description": version.pop("description"),
        "schema": version,
    }
    return {
        "openapi": "3.0.0",
        "paths": {"/sms": {"post": operation}},
        "components": {"parameters": {"version": parameter}, "schemas": {"Sms": body}},
    }


def convert(http: httpx.Client, text: Any) -> Any:
    sent = text if isinstance(text, bytes) else json.dumps(text).encode()
    answer = http.post("/functions/convert", content=sent)
    return answer.json()["functions"] if answer.status_code == 200 else (answer.status_code, answer.json()["message"])


def test_a_document_becomes_the_recorded_functions(http: httpx.Client) -> None:
    assert convert(http, document()) == CONVERTED["functions"]


def paths(operation: Any, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {"/a/{b}": {"get": operation, **more}}}


EMPTY = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("given", "function"),
    [
        (paths({}), {"name": "get_a_b", "description": "", "parameters": EMPTY}),
        (paths({"operationId": "2nd.a-b__c"}), {"name": "_2nd.a-b__c", "description": "", "parameters": EMPTY}),
        (
            paths({"operationId": "Погода в городе", "summary": "Погода"}),
            {"name": "get_a_b", "description": "Погода", "parameters": EMPTY},
        ),
        (
            paths({"operationId": "a b"}, parameters=[{"name": "b", "required": True}, {"name": "c"}]),
            {
                "name": "a_b",
                "description": "",
                "parameters": {"type": "object", "properties": {"b": {}, "c": {}}, "required": ["b"]},
            },
        ),
        (
            paths(
                {
                    "operationId": "f",
                    "parameters": [{"$ref": "#/nowhere"}, None],
                    "requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}},
                    "responses": {"204": {}, "200": {"content": {"x/y": {"schema": EMPTY}}}},
                }
            ),
            {
                "name": "f",
                "description": "",
                "parameters": {"type": "object", "properties": {"body": {"type": "string"}}},
                "return_parameters": EMPTY,
            },
        ),
        (
            paths({"operationId": "f", "x-few-shot-examples": [{"request": "Вопрос", "b": 1}, None]}),
            {
                "name": "f",
                "description": "",
                "parameters": EMPTY,
                "few_shot_examples": [{"request": "Вопрос", "params": {"b": 1}}, {"request": "", "params": {}}],
            },
        ),
    ],
)
def test_operations_become_functions(http: httpx.Client, given: dict[str, Any], function: dict[str, Any]) -> None:
    assert convert(http, given) == [function]


def test_a_schema_that_contains_itself_ends(http: httpx.Client) -> None:
    tree = {
        "type": "object",
        "properties": {name: {"$ref": "#/components/schemas/Tree"} for name in ("left", "right")},
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}}
    given = {**paths({"operationId": "f", "requestBody": body}), "components": {"schemas": {"Tree": tree}}}
    assert convert(http, given)[0]["parameters"]["properties"] == {"left": {}, "right": {}}


def test_all_operations_are_found_and_nothing_else(http: httpx.Client) -> None:
    item = {"get": {"operationId": "a"}, "post": {"operationId": "b"}, "put": "x", "summary": {"operationId": "c"}}
    given = {"openapi": "3.0.0", "paths": {"/": item, "/x": None}}
    assert [function["name"] for function in convert(http, given)] == ["a", "b"]
    assert convert(http, {"openapi": "3.0.0", "paths": {}}) == []


YAML = """
openapi: 3.0.0
paths:
  /день:
    get:
      operationId: day
      parameters:
        - {name: date, in: query, schema: {type: string, example: 2026-11-22}}
      responses:
        200:
          content:
            application/json:
              schema: {type: object, properties: {text: {type: string}}}
""".encode()


def test_yaml_is_read_where_there_is_a_parser(http: httpx.Client) -> None:
    (function,) = convert(http, YAML)
    assert function["parameters"]["properties"] == {"date": {"type": "string", "example": "2026-11-22"}}
    assert function["return_parameters"]["properties"] == {"text": {"type": "string"}}


def test_without_a_parser_the_refusal_says_what_to_install(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert convert(http, YAML) == (400, "No JSON; for YAML the emulator needs PyYAML: pip install pyyaml")


REFUSED = (400, "Your request contains invalid JSON syntax.")


@pytest.mark.parametrize(
    "given",
    [b"\xff", b"[]", b"1", {}, {"openapi": "3.0.0"}, {"paths": {}}, {"openapi": 3, "paths": {}}],
)
def test_what_is_no_document_is_refused(http: httpx.Client, given: Any) -> None:
    assert convert(http, given) == REFUSED


@pytest.mark.parametrize("given", [b"", "просто текст".encode(), b"{a: [", b"a: !!binary x", b"? [a]\n: b"])
def test_what_is_no_document_in_yaml_is_refused(http: httpx.Client, given: bytes) -> None:
    assert convert(http, given) == REFUSED
