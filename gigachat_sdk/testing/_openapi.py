"""Turning the operations of an OpenAPI document into functions."""

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from gigachat_sdk.testing._calls import Refusal, as_list, as_object, malformed

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def functions_of(document: bytes) -> list[dict[str, Any]]:
    """Make a function of each operation: its parameters and body are the parameters, its 2xx answer what it returns.

    Args:
        document: OpenAPI 3 as JSON, or as YAML if PyYAML is installed. `x-few-shot-examples` of an operation become
            the examples.

    Raises:
        Refusal: 400, it is something else.
    """
    parsed = as_object(_parsed(document))
    if parsed is None or not isinstance(parsed.get("openapi"), str):
        raise malformed()
    paths = as_object(parsed.get("paths"))
    if paths is None:
        raise malformed()
    return [
        _function(_Document(parsed), f"{method} {path}", as_object(item) or {}, operation)
        for path, item in paths.items()
        for method, operation in _operations(item)
    ]


def _parsed(document: bytes) -> object:
    try:
        text = document.decode()
    except UnicodeDecodeError:
        raise malformed() from None
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise Refusal(400, "No JSON; for YAML the emulator needs PyYAML: pip install pyyaml") from None
    try:
        return json.loads(json.dumps(yaml.safe_load(text), default=str))  # as JSON has it: keys and dates are text
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise malformed() from None


def _operations(item: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for method, value in (as_object(item) or {}).items():
        operation = as_object(value)
        if method in _METHODS and operation is not None:
            yield method, operation


class _Document:
    """A document whose references can be followed."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def resolved(self, value: Any, within: frozenset[str] = frozenset()) -> Any:
        """Give a value with everything in place that it refers to; what contains itself ends in an empty object."""
        items = as_list(value)
        if items is not None:
            return [self.resolved(item, within) for item in items]
        node = as_object(value)
        if node is None:
            return value
        reference = node.get("$ref")
        if isinstance(reference, str):
            return {} if reference in within else self.resolved(self._target(reference), within | {reference})
        return {name: self.resolved(part, within) for name, part in node.items()}

    def _target(self, reference: str) -> Any:
        found: Any = self._content
        for step in reference.removeprefix("#/").split("/"):
            found = (as_object(found) or {}).get(step.replace("~1", "/").replace("~0", "~"), {})
        return found


def _function(document: _Document, place: str, item: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": _name(operation.get("operationId")) or _name(place),
        "description": operation.get("description") or operation.get("summary") or "",
        "parameters": _parameters(document, item, operation),
    }
    for status, answer in (as_object(operation.get("responses")) or {}).items():
        schema = _content_schema(document.resolved(answer))
        if status.startswith("2") and schema:
            function["return_parameters"] = schema
            break
    if examples := as_list(operation.get("x-few-shot-examples")):
        function["few_shot_examples"] = [_few_shot_example(as_object(example) or {}) for example in examples]
    return function


def _name(given: object) -> str:
    """Make a name that a function may have out of the Latin words of a text; empty where there are none."""
    name = "_".join(re.findall(r"[A-Za-z0-9_.-]+", given)) if isinstance(given, str) else ""
    return f"_{name}" if name[:1].isdigit() else name


def _few_shot_example(given: dict[str, Any]) -> dict[str, Any]:
    """Give an example as functions have it; some documents write its parameters beside the request."""
    rest = {name: value for name, value in given.items() if name != "request"}
    return {"request": given.get("request", ""), "params": rest.get("params", rest)}


def _parameters(document: _Document, item: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    given = [*(as_list(item.get("parameters")) or []), *(as_list(operation.get("parameters")) or [])]
    for value in given:
        parameter = as_object(document.resolved(value)) or {}
        name = parameter.get("name")
        if isinstance(name, str):
            described = {"description": parameter["description"]} if "description" in parameter else {}
            properties[name] = {**described, **(as_object(parameter.get("schema")) or {})}
            required += [name] if parameter.get("required") is True else []
    body = _content_schema(document.resolved(operation.get("requestBody")))
    if named := as_object(body.get("properties")):
        properties.update(named)
        required += as_list(body.get("required")) or []
    elif body:
        properties["body"] = body
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _content_schema(value: object) -> dict[str, Any]:
    """Give the schema of a body: of its JSON, or of what else there is."""
    content = as_object((as_object(value) or {}).get("content")) or {}
    media = content.get("application/json") or next(iter(content.values()), None)
    return as_object((as_object(media) or {}).get("schema")) or {}
