"""What the service checks in a chat request before a model sees it: the shape first (400), then the values (422)."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gigachat_sdk.testing._calls import Refusal, as_object, invalid
from gigachat_sdk.testing._shapes import (
    LIMIT,
    Check,
    check_metadata,
    check_ranges,
    check_response_format,
    check_word,
    is_flag,
    is_number,
    is_object,
    is_text,
    is_whole,
    list_of,
    shaped,
)

BUILT_IN_FUNCTIONS = frozenset({"text2image", "text2model3d", "get_file_content"})
_RESERVED_FUNCTIONS = frozenset({"web_search"})
_FUNCTION_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_ROLES = frozenset({"system", "user", "assistant", "function"})
_EFFORTS = ("low", "medium", "high")

_REQUEST: dict[str, Check] = {
    "model": is_text,
    "messages": list_of(is_object),
    "temperature": is_number,
    "top_p": is_number,
    "max_tokens": is_whole,
    "repetition_penalty": is_number,
    "update_interval": is_number,
    "stream": is_flag,
    "profanity_check": is_flag,
    "n": is_whole,
    "flags": list_of(is_text),
    "functions": list_of(is_object),
    "response_format": is_object,
    "reasoning_effort": is_text,
    "reasoning_max_tokens": is_whole,
    "storage": is_object,
    "function_ranker": is_object,
    "additional_data": is_object,
    "assistant_id": is_text,
}
_MESSAGE: dict[str, Check] = {
    "role": is_text,
    "content": is_text,
    "name": is_text,
    "function_call": is_object,
    "functions_state_id": is_text,
    "attachments": list_of(is_text),
    "reasoning_content": is_text,
    "data_for_context": list_of(is_object),
}
_FUNCTION: dict[str, Check] = {
    "name": is_text,
    "description": is_text,
    "parameters": is_object,
    "few_shot_examples": list_of(is_object),
    "return_parameters": is_object,
}
_STORAGE: dict[str, Check] = {
    "is_stateful": is_flag,
    "limit": is_whole,
    "assistant_id": is_text,
    "thread_id": is_text,
    "metadata": is_object,
}


def checked_chat_request(request: dict[str, Any]) -> dict[str, Any]:
    """Check everything but the model and the order of the messages of a chat request.

    Args:
        request: The request's JSON; it stays as it is.

    Returns:
        The request's JSON without members that are null.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    payload = shaped(request, _REQUEST, ("messages",))
    payload["messages"] = [checked_message(message) for message in payload["messages"]]
    payload["functions"] = checked_functions(payload.get("functions", []))
    if "storage" in payload:
        payload["storage"] = shaped(payload["storage"], _STORAGE, ("is_stateful",))
        check_ranges(payload["storage"], LIMIT)
        check_metadata(payload["storage"].get("metadata", {}))
    check_response_format(payload.get("response_format", {"type": "text"}))
    check_ranges(payload)
    check_word("reasoning_effort", payload.get("reasoning_effort"), _EFFORTS)
    if not payload["messages"]:
        raise invalid("messages must not be empty")
    _check_function_call(payload)
    return payload


def checked_message(value: object) -> dict[str, Any]:
    """Check one message by itself.

    Returns:
        The message without members that are null.

    Raises:
        Refusal: Its shape or its role is wrong.
    """
    message = shaped(value, _MESSAGE, ("role",))
    if "function_call" in message:
        fields: dict[str, Check] = {"name": is_text, "arguments": is_object}
        message["function_call"] = shaped(message["function_call"], fields, ("name",))
    if message["role"] not in _ROLES:
        raise invalid(f"unknown role {message['role']}")
    return message


def check_conversation(messages: Sequence[Mapping[str, Any]]) -> None:
    """Check what a model would see, from its first message to its last.

    Raises:
        Refusal: 422, for a system message in the middle, or a call and a result that do not stand together.
    """
    for number, message in enumerate(messages):
        if message["role"] == "system" and number:
            raise invalid("system message must be the first message")
    for before, after in zip([None, *messages], [*messages, None], strict=True):
        _check_neighbours(before, after)


def _check_neighbours(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
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
    if not is_json_text(content):
        name = call["name"]
        raise invalid(f"invalid function result for function {name} json string {content}, JSON parse error")


def is_json_text(text: str) -> bool:
    """Say whether a text is a JSON document."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def checked_functions(values: Sequence[object], *, built_in: bool = True) -> list[dict[str, Any]]:
    """Check the definitions of functions.

    Args:
        values: The definitions.
        built_in: Whether a built-in function may stand among them with its name alone.

    Returns:
        The definitions without members that are null.

    Raises:
        Refusal: 400 or 422, as the service words it.
    """
    functions = [shaped(value, _FUNCTION, ("name",)) for value in values]
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
        elif not built_in or name not in BUILT_IN_FUNCTIONS:
            raise Refusal(422, "Field 'parameters' is missing")
    return functions


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
    choice = shaped(payload["function_call"], {"name": is_text, "partial_arguments": is_object}, ("name",))
    payload["function_call"] = choice
    if choice["name"] not in {function["name"] for function in payload["functions"]} | BUILT_IN_FUNCTIONS:
        raise invalid(f"function_call names {choice['name']}, which is not in functions")
