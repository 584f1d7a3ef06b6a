"""From what callers give to what the v2 contract takes: plain dicts, texts as parts, results as JSON."""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic_core import PydanticCustomError

from .._narrow import is_dict, is_iterable, is_mapping, is_sequence, word
from .._shown import cut_repr
from ..chat_params import document, json_text
from ..chat_request import listed, without_none
from .answers import ResponseMessage

SENDABLE_ROLES = ("system", "user", "assistant", "tool", "reasoning")
_ROLE_HINTS = {
    "developer": "use 'system'",
    "function": "use 'tool' with [{'function_result': {'name': ..., 'result': ...}}] as the content",
    "model": "use 'assistant'",
}
_STATE_IDS = ("tools_state_id", "tool_state_id")


_PARTS = frozenset({"text", "files", "function_call", "function_result", "tool_execution", "inline_data", "logprobs"})
# Words by which other packages tell parts apart; the service may come to send a `type` of its own.
_FOREIGN_KINDS = ("text", "input_text", "output_text")
# What v1 and other packages have in a message, and the service would not look at.
_FOREIGN = {
    "attachments": "a file is a part of the content: {'files': [{'id': ...}]}",
    "tool_calls": "a call is a part of the content: {'function_call': {'name': ..., 'arguments': {...}}}",
}


def message(value: object) -> object:
    """Make a dict of a message, and refuse a role that the service does not take."""
    is_answer = isinstance(value, ResponseMessage)
    given = without_none(value)
    if not is_dict(given):
        raise PydanticCustomError("message_type", "expected a dict or a message of an answer")
    role = word(given.get("role"))
    if not is_answer and role not in SENDABLE_ROLES:
        raise _role_error(role)
    given["role"] = role
    for name, advice in _FOREIGN.items():
        if given.get(name) is not None:
            raise PydanticCustomError(
                "foreign_key", "the v2 contract has no {name}; {advice}", {"name": repr(name), "advice": advice}
            )
    states = [given.pop(name) for name in _STATE_IDS if name in given]
    if states:
        given["tools_state_id"] = states[0]
    if role == "assistant":
        _move_call(given)
    if is_answer or role == "assistant":
        given.setdefault("content", [])
    return given


def _role_error(role: object) -> PydanticCustomError:
    roles = ", ".join(SENDABLE_ROLES)
    if role is None:
        return PydanticCustomError("role_missing", "a message needs a 'role': one of {roles}", {"roles": roles})
    advice = (isinstance(role, str) and _ROLE_HINTS.get(role)) or f"use one of {roles}"
    return PydanticCustomError(
        "role_unknown", "role {role} cannot be sent; {advice}", {"role": cut_repr(role), "advice": advice}
    )


def _move_call(message: dict[str, Any]) -> None:
    """Put a call that stands beside the content into it: the service takes calls as parts only."""
    call = message.pop("function_call", None)
    if call is None:
        return
    parts = content(message.get("content") or [])
    has_call = any(is_dict(part) and part.get("function_call") is not None for part in parts)
    message["content"] = parts if has_call else [*parts, {"function_call": call}]


def role_tag(value: Any) -> str:
    """Return the tag of a message; those in angle brackets are left out of the places that errors name."""
    return f"<{value['role']}>" if value["role"] in SENDABLE_ROLES else "<other>"


def content(value: object) -> list[Any]:
    """Make a list of parts of a text, or of texts and parts."""
    if isinstance(value, str):
        return [{"text": value}]
    if not is_iterable(value) or is_mapping(value) or isinstance(value, bytes | pydantic.BaseModel):
        raise PydanticCustomError("content_type", "expected a text, or a list of texts and parts")
    return [{"text": part} if isinstance(part, str) else without_none(part) for part in value]


def tool_content(value: object) -> object:
    """Make a list of parts; a text among them would be an answer that belongs to no call."""
    parts: object = value if isinstance(value, str) else listed(value)
    if isinstance(parts, str) or (is_sequence(parts) and any(isinstance(part, str) for part in parts)):
        raise PydanticCustomError(
            "tool_content",
            "a message of the role 'tool' holds results of functions: [{'function_result': {'name': ..., 'result': "
            "...}}]",
        )
    return content(parts)


def part(value: object) -> object:
    """Refuse a part that is none."""
    if not is_dict(value):
        raise PydanticCustomError("part_type", "expected a text or a part, such as {'text': ...}")
    if "type" in value and (not value.keys() & _PARTS or value["type"] in _FOREIGN_KINDS):
        raise PydanticCustomError(
            "part_kind",
            "a part says what it is by its key and has no 'type': a text is {text}, an uploaded file {file}",
            {"text": "{'text': ...}", "file": "{'files': [{'id': ...}]}"},
        )
    if not value:
        raise PydanticCustomError("part_empty", "a part has one of the keys text, files, function_call, ...")
    return value


def function_call(value: object) -> object:
    """Make a dict of a call; one of a function that takes nothing may have come without arguments."""
    value = without_none(value)
    return {"arguments": {}, **value} if is_dict(value) and "name" in value else value


def function_result(value: object) -> object:
    """Return a result as the service takes it: an object, or text that is JSON."""
    given = document(value)
    return dict(given) if is_mapping(given) else json_text(value)


def tool(value: object) -> object:
    """Make a tool of its name, of a function, or of a dict with one key."""
    if isinstance(value, str):
        if value in ("", "functions"):
            raise PydanticCustomError("tool", "a name alone stands for a built-in tool, such as 'web_search'")
        return {value: {}}
    given = without_none(value)
    if not is_dict(given):
        raise PydanticCustomError("tool_type", "expected a tool's name, {name: {...}} of one, or a function as a dict")
    if isinstance(given.get("name"), str):
        return {"functions": {"specifications": [given]}}
    if len(given) != 1:
        advice = "; a function stands there without a wrapper: {'name': ..., 'parameters': ...}"
        raise PydanticCustomError(
            "tool",
            "a tool is a dict with one key, such as {'web_search': {}}{advice}",
            {"advice": advice if "type" in given else ""},
        )
    return given


def one_functions_tool(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Put all functions into one tool, at the place of the first."""
    if tools is None or sum("functions" in one for one in tools) < 2:
        return tools
    merged: dict[str, Any] = {}
    specifications: list[Any] = []
    kept: list[dict[str, Any]] = []
    for one in tools:
        if "functions" not in one:
            kept.append(one)
            continue
        if not merged:
            kept.append({"functions": merged})
        merged.update(one["functions"])
        specifications += one["functions"].get("specifications") or []
        merged["specifications"] = specifications
    return kept


def tool_config(value: object) -> object:
    """Refuse to force nothing."""
    given = without_none(value)
    if is_dict(given) and given.get("mode") == "forced" and not given.keys() & {"tool_name", "function_name"}:
        raise PydanticCustomError(
            "tool_config", "mode 'forced' needs a 'function_name', or the 'tool_name' of a built-in tool"
        )
    return given


def storage(value: object) -> object:
    """True opens a thread, as an empty dict does; False asks for none."""
    if isinstance(value, bool):
        return {} if value else None
    return without_none(value)
