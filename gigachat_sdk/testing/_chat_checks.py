"""What the service checks in a chat request before a model sees it.

The shape first (400), then the values (422). These checks know nothing of the SDK's own models: the emulator judges
independently of the client it tests.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from gigachat_sdk.testing._calls import Refusal, as_list, as_object, invalid, json_body, malformed
from gigachat_sdk.testing._state import RecordedRequest

BUILT_IN_FUNCTIONS = frozenset({"text2image", "text2model3d", "get_file_content"})
_RESERVED_FUNCTIONS = frozenset({"web_search"})
_FUNCTION_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_ROLES = frozenset({"system", "user", "assistant", "function"})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _list_of(check: Callable[[object], bool]) -> Callable[[object], bool]:
    def matches(value: object) -> bool:
        items = as_list(value)
        return items is not None and all(check(item) for item in items)

    return matches


_REQUEST: dict[str, Callable[[object], bool]] = {
    "model": _is_text,
    "messages": _list_of(_is_object),
    "temperature": _is_number,
    "top_p": _is_number,
    "max_tokens": _is_whole,
    "repetition_penalty": _is_number,
    "update_interval": _is_number,
    "stream": _is_flag,
    "profanity_check": _is_flag,
    "n": _is_whole,
    "flags": _list_of(_is_text),
    "functions": _list_of(_is_object),
    "response_format": _is_object,
    "reasoning_effort": _is_text,
    "reasoning_max_tokens": _is_whole,
    "storage": _is_object,
    "function_ranker": _is_object,
    "additional_data": _is_object,
    "assistant_id": _is_text,
}
_MESSAGE: dict[str, Callable[[object], bool]] = {
    "role": _is_text,
    "content": _is_text,
    "name": _is_text,
    "function_call": _is_object,
    "functions_state_id": _is_text,
    "attachments": _list_of(_is_text),
    "reasoning_content": _is_text,
    "data_for_context": _list_of(_is_object),
}
_FUNCTION: dict[str, Callable[[object], bool]] = {
    "name": _is_text,
    "description": _is_text,
    "parameters": _is_object,
    "few_shot_examples": _list_of(_is_object),
    "return_parameters": _is_object,
}
_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda value: value > 0, "(0, +inf)"),
    "top_p": (lambda value: 0 <= value <= 1, "[0, 1]"),
    "max_tokens": (lambda value: value > 0, "(0, +inf)"),
    "repetition_penalty": (lambda value: value > 0, "(0, +inf)"),
    "update_interval": (lambda value: value >= 0, "[0, +inf)"),
}


def checked_chat_request(request: RecordedRequest) -> dict[str, Any]:
    """Read a chat request and check everything but its model.

    Returns:
        The request's JSON without members that are null.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    payload = _checked_shape(json_body(request), _REQUEST, required=("messages",))
    payload["messages"] = [_checked_message(message) for message in payload["messages"]]
    payload["functions"] = [
        _checked_shape(function, _FUNCTION, required=("name",)) for function in payload.get("functions", [])
    ]
    _check_response_format(payload.get("response_format", {"type": "text"}))
    _check_ranges(payload)
    _check_messages(payload["messages"])
    _check_functions(payload["functions"])
    _check_function_call(payload)
    return payload


def _checked_shape(
    value: dict[str, Any], fields: Mapping[str, Callable[[object], bool]], required: tuple[str, ...]
) -> dict[str, Any]:
    given = {name: item for name, item in value.items() if item is not None}
    if not all(check(given[name]) for name, check in fields.items() if name in given):
        raise malformed()
    if not all(name in given for name in required):
        raise malformed()
    return given


def _checked_message(value: dict[str, Any]) -> dict[str, Any]:
    message = _checked_shape(value, _MESSAGE, required=("role",))
    if "function_call" in message:
        fields = {"name": _is_text, "arguments": _is_object}
        message["function_call"] = _checked_shape(message["function_call"], fields, required=("name",))
    return message


def _check_response_format(value: dict[str, Any]) -> None:
    kind = value.get("type")
    if not isinstance(kind, str):
        raise malformed()
    if kind not in {"text", "json_schema", "regex"}:
        raise Refusal(400, f'Unknown type "{kind}" in response_format')
    if kind == "json_schema":
        schema = value.get("schema")
        if schema and as_object(schema) is None:
            raise malformed()
        if not schema:
            raise Refusal(400, "Empty schema with json format type is not supported")
    if kind == "regex" and not isinstance(value.get("regex"), str):
        raise malformed()


def _check_ranges(payload: dict[str, Any]) -> None:
    for name, (fits, text) in _RANGES.items():
        if name in payload and not fits(payload[name]):
            raise invalid(f"{name} must be in range {text}")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    if not messages:
        raise invalid("messages must not be empty")
    for number, message in enumerate(messages):
        if message["role"] not in _ROLES:
            raise invalid(f"unknown role {message['role']}")
        if message["role"] == "system" and number:
            raise invalid("system message must be the first message")
    for before, after in zip([None, *messages], [*messages, None], strict=True):
        _check_neighbours(before, after)


def _check_neighbours(before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    """Check that a function's call and its result stand together, looking at two messages in a row."""
    call = before.get("function_call") if before and before["role"] == "assistant" else None
    result = after if after and after["role"] == "function" else None
    if call and (result is None or result.get("name", call["name"]) != call["name"]):
        raise invalid("every assistant function call must have a result in history")
    if result is None:
        return
    if not call:
        raise invalid("every assistant function result must have an assistant function call in history")
    content = result.get("content", "")
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        name = call["name"]
        raise invalid(f"invalid function result for function {name} json string {content}, JSON parse error") from None


def _check_functions(functions: list[dict[str, Any]]) -> None:
    for function in functions:
        name = function["name"]
        if not _FUNCTION_NAME.fullmatch(name):
            raise invalid(
                'Invalid function names. Only Latin letters, digits, "_", "-" and "." are allowed, '
                f"and a digit can't be the first: {name}"
            )
        if name in _RESERVED_FUNCTIONS:
            raise invalid(f"function name {name} is reserved")
        if "parameters" in function:
            _check_schema(function["parameters"], "")
        elif name not in BUILT_IN_FUNCTIONS:
            raise Refusal(422, "Field 'parameters' is missing")


def _check_schema(schema: object, path: str) -> None:
    """Check that nested objects name their properties and arrays their items."""
    node = as_object(schema)
    if node is None:
        return
    kind = node.get("type")
    if kind == "array":
        if "items" not in node:
            raise Refusal(422, f"Field '{path}items' is missing")
        _check_schema(node["items"], f"{path}items.")
    if kind == "object" and path and "properties" not in node:
        raise Refusal(422, f"Field '{path}properties' is missing")
    for name, part in (as_object(node.get("properties")) or {}).items():
        _check_schema(part, f"{path}properties.{name}.")


def _check_function_call(payload: dict[str, Any]) -> None:
    if "function_call" not in payload or payload["function_call"] in ("auto", "none"):
        return
    given = as_object(payload["function_call"])
    if given is None:
        raise malformed()
    choice = _checked_shape(given, {"name": _is_text, "partial_arguments": _is_object}, required=("name",))
    if choice["name"] not in {function["name"] for function in payload["functions"]}:
        raise invalid(f"function_call names {choice['name']}, which is not in functions")
