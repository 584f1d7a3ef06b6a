"""`POST /v1/functions/validate` and `POST /v1/functions/convert`.

Locations and words of the verdicts follow the one that is known: `name is required` at `(root)`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, as_list, as_object, json_body
from gigachat_sdk.testing._chat_checks import BUILT_IN_FUNCTIONS
from gigachat_sdk.testing._openapi import functions_of
from gigachat_sdk.testing._replies import Reply

_RULES_VERSION = "1.0.5"
_ROOT = "(root)"
_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_RESERVED = frozenset({"web_search"})
_TYPES: dict[type[object], str] = {
    str: "string",
    dict: "object",
    list: "array",
    bool: "boolean",
    int: "integer",
    float: "number",
}
_COMBINING = ("$ref", "anyOf", "allOf")


@dataclass(frozen=True)
class _Issue:
    description: str
    location: str
    fatal: bool = True

    def to_json(self) -> dict[str, str]:
        return {"description": self.description, "schema_location": self.location}


def _validate(call: Call) -> Reply:
    issues = list(_issues(json_body(call.request)))
    errors = [issue.to_json() for issue in issues if issue.fatal]
    found = {"errors": errors} if errors else {"warnings": [issue.to_json() for issue in issues]}
    verdict = {
        "status": 200,
        "message": "Incorrect function syntax" if errors else "Function is valid",
        "json_ai_rules_version": _RULES_VERSION,
    }
    return Reply(json={**verdict, **(found if issues else {})})


def _issues(function: dict[str, Any]) -> Iterator[_Issue]:
    given = {name: value for name, value in function.items() if value is not None}
    yield from _name_issues(given)
    yield from _kind_issues(given, _ROOT, {"description": str})
    if "parameters" in given:
        yield from _schema_issues(given["parameters"], f"{_ROOT}.parameters", is_root=True)
    elif given.get("name") not in BUILT_IN_FUNCTIONS:
        yield _Issue("parameters is required", _ROOT)
    if "return_parameters" in given:
        yield from _schema_issues(given["return_parameters"], f"{_ROOT}.return_parameters", is_root=True)
    yield from _example_issues(given)
    if "description" not in given:
        yield _Issue("description is missing", _ROOT, fatal=False)


def _name_issues(given: dict[str, Any]) -> Iterator[_Issue]:
    name = given.get("name")
    if name is None:
        yield _Issue("name is required", _ROOT)
    elif not isinstance(name, str):
        yield _wrong_kind(name, str, f"{_ROOT}.name")
    elif not _NAME.fullmatch(name):
        yield _Issue("Only Latin letters, digits, '_', '-' and '.' are allowed, no digit first", f"{_ROOT}.name")
    elif name in _RESERVED:
        yield _Issue(f"function name {name} is reserved", f"{_ROOT}.name")


def _example_issues(given: dict[str, Any]) -> Iterator[_Issue]:
    location = f"{_ROOT}.few_shot_examples"
    if "few_shot_examples" not in given:
        yield _Issue("few_shot_examples are missing", _ROOT, fatal=False)
        return
    examples = as_list(given["few_shot_examples"])
    if examples is None:
        yield _wrong_kind(given["few_shot_examples"], list, location)
        return
    for number, value in enumerate(examples):
        example = as_object(value)
        if example is None:
            yield _wrong_kind(value, dict, f"{location}.{number}")
            continue
        kinds: dict[str, type[object]] = {"request": str, "params": dict}
        yield from (_Issue(f"{name} is required", f"{location}.{number}") for name in kinds if name not in example)
        yield from _kind_issues(example, f"{location}.{number}", kinds)


def _schema_issues(value: object, location: str, *, is_root: bool = False) -> Iterator[_Issue]:
    """Check that nested objects name their properties and arrays their items."""
    schema = as_object(value)
    if schema is None:
        yield _wrong_kind(value, dict, location)
        return
    for word in _COMBINING:
        if word in schema:
            yield _Issue(f"{word} is not supported", location, fatal=False)
    kind = schema.get("type")
    if kind == "array":
        if "items" in schema:
            yield from _schema_issues(schema["items"], f"{location}.items")
        else:
            yield _Issue("items is required", location)
    if kind == "object" and not is_root and "properties" not in schema:
        yield _Issue("properties is required", location)
    properties = schema.get("properties", {})
    named = as_object(properties)
    if named is None:
        yield _wrong_kind(properties, dict, f"{location}.properties")
        return
    for name, part in named.items():
        yield from _schema_issues(part, f"{location}.properties.{name}")


def _kind_issues(given: dict[str, Any], location: str, kinds: dict[str, type[object]]) -> Sequence[_Issue]:
    wrong = [name for name, kind in kinds.items() if name in given and not isinstance(given[name], kind)]
    return [_wrong_kind(given[name], kinds[name], f"{location}.{name}") for name in wrong]


def _wrong_kind(value: object, kind: type[object], location: str) -> _Issue:
    given = _TYPES.get(type(value), "null")
    return _Issue(f"Invalid type. Expected: {_TYPES[kind]}, given: {given}", location)


def _convert(call: Call) -> Reply:
    return Reply(json={"functions": functions_of(call.request.body)})


ROUTES = [
    Route("/v1/functions/validate", _validate, methods=["POST"]),
    Route("/v1/functions/convert", _convert, methods=["POST"]),
]
