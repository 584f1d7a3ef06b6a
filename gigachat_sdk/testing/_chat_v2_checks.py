"""What the service checks in a v2 chat request before a model sees it: the shape first (400), then the values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from gigachat_sdk.testing._calls import Refusal, invalid, malformed
from gigachat_sdk.testing._chat_checks import checked_functions, is_json_text
from gigachat_sdk.testing._shapes import (
    GENERATION,
    LIMIT,
    Check,
    Ranges,
    check_metadata,
    check_ranges,
    check_response_format,
    check_word,
    either,
    is_flag,
    is_number,
    is_object,
    is_text,
    is_whole,
    list_of,
    shaped,
)

BUILT_IN_TOOLS = (
    "code_interpreter",
    "get_datetime",
    "image_generate",
    "memory",
    "model_3d_generate",
    "url_content_extraction",
    "web_search",
)
RESULT_ROLES = ("tool", "function")  # one of them in the recordings, the other one in a live report
_ROLES = frozenset({"system", "user", "assistant", "reasoning", *RESULT_ROLES})
_CODING_MODEL = "GigaChat-3-Ultra"
_SEARCHES = ("web_search", "actual_info_web_search", "safe_search")
_EFFORTS = ("low", "medium", "high", "off")

_REQUEST: dict[str, Check] = {
    "model": is_text,
    "assistant_id": is_text,
    "memory_id": is_text,
    "messages": list_of(is_object),
    "tools_state_id": is_text,
    "model_options": is_object,
    "stream": is_flag,
    "disable_filter": is_flag,
    "filter_config": is_object,
    "flags": list_of(is_text),
    "storage": either(is_object, is_flag),
    "ranker_options": is_object,
    "user_info": is_object,
    "tool_config": is_object,
    "tools": list_of(is_object),
}
_MESSAGE: dict[str, Check] = {
    "role": is_text,
    "message_id": is_text,
    "tools_state_id": is_text,
    "tool_state_id": is_text,
    "functions_state_id": is_text,
    "content": list_of(is_object),
}
_PART: dict[str, Check] = {
    "text": is_text,
    "files": list_of(is_object),
    "function_call": is_object,
    "function_result": is_object,
    "inline_data": is_object,
    "tool_execution": is_object,
    "logprobs": list_of(is_object),
}
_OPTIONS: dict[str, Check] = {
    "temperature": is_number,
    "top_p": is_number,
    "max_tokens": is_whole,
    "repetition_penalty": is_number,
    "update_interval": is_number,
    "unnormalized_history": is_flag,
    "top_logprobs": is_whole,
    "parallel_tool_calls": is_flag,
    "preset": is_text,
    "reasoning": is_object,
    "response_format": is_object,
}
_RANGES: Ranges = {**GENERATION, "top_logprobs": (lambda value: 1 <= value <= 5, "[1, 5]")}
_PARTS: dict[str, dict[str, Check]] = {  # objects within the request, by the name of their member
    "storage": {"limit": is_whole, "thread_id": is_text, "metadata": is_object},
    "ranker_options": {"enabled": is_flag, "top_n": is_whole, "embeddings_model": is_text},
    "user_info": {"timezone": is_text},
    "filter_config": {"request_content": is_object, "response_content": is_object},
}
_FILTER: dict[str, Check] = {"neuro": is_flag, "blacklist": is_flag, "whitelist": is_flag}


@dataclass(frozen=True)
class Tools:
    """What a model may use.

    Attributes:
        functions: Definitions of the user's functions, by name.
        built_in: The server's own tools.
        mode: `"auto"`, `"none"`, `"forced"` or `"any"`.
        forced: The function or the tool that is forced.
        any_of: The functions of which at least one is called.
    """

    functions: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    built_in: tuple[str, ...] = ()
    mode: str = "auto"
    forced: str | None = None
    any_of: tuple[str, ...] = ()


def checked_v2_request(request: dict[str, Any]) -> dict[str, Any]:
    """Check a v2 chat request, all but its model, its tools and the order of its messages.

    Args:
        request: The request's JSON; it stays as it is.

    Returns:
        The request's JSON without members that are null; `storage` and `model_options` are objects, `storage` an
        empty one for true, and not there for false.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    payload = shaped(request, _REQUEST, ("messages",))
    payload["messages"] = [_checked_message(message) for message in payload["messages"]]
    if is_flag(payload.get("storage")):
        payload |= {"storage": {}} if payload.pop("storage") else {}
    for name, fields in _PARTS.items():
        if name in payload:
            payload[name] = shaped(payload[name], fields)
    for content in payload.get("filter_config", {}).values():
        shaped(content, _FILTER)
    options = payload["model_options"] = shaped(payload.get("model_options", {}), _OPTIONS)
    options["reasoning"] = shaped(options.get("reasoning", {}), {"effort": is_text, "max_tokens": is_whole})
    check_response_format(options.get("response_format", {"type": "text"}))
    check_ranges(options, _RANGES)
    check_ranges(options["reasoning"])
    check_word("reasoning.effort", options["reasoning"].get("effort"), _EFFORTS)
    storage: dict[str, Any] = payload.get("storage", {})
    check_ranges(storage, LIMIT)
    check_metadata(storage.get("metadata", {}))
    if "model" in payload and "assistant_id" in payload:
        raise invalid("model can't be given with assistant_id")
    if "assistant_id" in payload and "thread_id" in storage:
        raise invalid("assistant_id can't be given with thread_id")
    if not payload["messages"]:
        raise invalid("messages must not be empty")
    return payload


def _checked_message(value: object) -> dict[str, Any]:
    message = shaped(value, _MESSAGE, ("role",))
    if message["role"] not in _ROLES:
        raise malformed()
    message["content"] = [_checked_part(part) for part in message.get("content", [])]
    return message


def _checked_part(value: object) -> dict[str, Any]:
    part = shaped(value, _PART)
    if not part.keys() & _PART.keys():
        raise malformed()
    for file in part.get("files", []):
        shaped(file, {"id": is_text}, ("id",))
    if "function_call" in part:
        fields: dict[str, Check] = {"id": is_text, "name": is_text, "arguments": is_object}
        part["function_call"] = shaped(part["function_call"], fields, ("name",))
    if "function_result" in part:
        fields = {"id": is_text, "name": is_text, "result": either(is_object, is_text)}
        result = part["function_result"] = shaped(part["function_result"], fields, ("name", "result"))
        if isinstance(result["result"], str) and not is_json_text(result["result"]):
            name, text = result["name"], result["result"]
            raise Refusal(400, f"invalid function result for function {name} json string {text}, JSON parse error")
    return part


def checked_tools(payload: Mapping[str, Any], model: str) -> Tools:
    """Check what a request says about tools.

    Args:
        payload: The checked request.
        model: The name of the model.

    Raises:
        Refusal: 400 for a wrong shape, 404 for a tool that there is not, 422 for what does not fit.
    """
    functions: dict[str, dict[str, Any]] = {}
    built_in: list[str] = []
    for tool in payload.get("tools", []):
        given = shaped(tool, {})
        if len(given) != 1:
            raise malformed()
        name, settings = next(iter(given.items()))
        if name == "functions":
            specifications = shaped(settings, {"specifications": list_of(is_object)}).get("specifications", [])
            functions |= {one["name"]: one for one in checked_functions(specifications, built_in=False)}
        else:
            _check_built_in(name, settings, model)
            built_in.append(name)
    return _configured(shaped(payload.get("tool_config", {"mode": "auto"}), _CONFIG, ("mode",)), functions, built_in)


_CONFIG: dict[str, Check] = {
    "mode": is_text,
    "tool_name": is_text,
    "function_name": is_text,
    "functions_names_any": list_of(is_text),
}


def _check_built_in(name: str, settings: object, model: str) -> None:
    if name not in BUILT_IN_TOOLS:
        raise Refusal(404, f"Unknown tool {name}")
    given = shaped(settings, {"type": is_text, "indexes": list_of(is_text), "flags": list_of(is_text)})
    if name == "code_interpreter" and model.removesuffix("-preview") != _CODING_MODEL:
        raise Refusal(422, f"Tool {name} is unavailable")
    if name == "web_search":
        check_word("web_search.type", given.get("type"), _SEARCHES)


def _configured(config: dict[str, Any], functions: dict[str, dict[str, Any]], built_in: list[str]) -> Tools:
    mode = config["mode"]
    if mode == "forced":
        names = [name for name in (config.get("function_name"), config.get("tool_name")) if name is not None]
        if len(names) != 1:
            raise invalid("tool_config.mode forced needs either function_name or tool_name")
        known = functions if "function_name" in config else built_in
        if names[0] not in known:
            raise invalid(f"tool_config names {names[0]}, which is not in tools")
        return Tools(functions, tuple(built_in), mode, names[0])
    if mode == "any":
        wanted = config.get("functions_names_any", [])
        if not wanted:
            raise invalid("tool_config.mode any needs functions_names_any")
        for name in wanted:
            if name not in functions:
                raise invalid(f"tool_config names {name}, which is not in tools")
        return Tools(functions, tuple(built_in), mode, None, tuple(wanted))
    if mode not in ("auto", "none"):
        raise malformed()
    return Tools(functions, tuple(built_in), mode)


def normalized(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Do what the service does to a history unless `unnormalized_history` forbids it.

    A system message that no user message follows becomes one of the user; neighbours of one role, user or assistant,
    become one message.
    """
    made: list[dict[str, Any]] = []
    for message, after in zip_longest(messages, messages[1:]):
        is_alone = message["role"] == "system" and (after is None or after["role"] != "user")
        role = "user" if is_alone else message["role"]
        if made and role == made[-1]["role"] and role in ("user", "assistant"):
            made[-1] = {**made[-1], "content": [*made[-1]["content"], *message["content"]]}
        else:
            made.append({**message, "role": role})
    return made


def check_v2_conversation(messages: Sequence[Mapping[str, Any]]) -> None:
    """Check what a model would see, from its first message to its last.

    Raises:
        Refusal: 422, for a system message in the middle, or a call and a result that do not stand together.
    """
    open_calls: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if message["role"] == "system" and number:
            raise invalid("system message must be the first message")
        if message["role"] in RESULT_ROLES:
            for part in message["content"]:
                if "function_result" in part:
                    _close(open_calls, part["function_result"])
        elif message["role"] != "reasoning":
            _require_closed(open_calls)
            calls = [part["function_call"] for part in message["content"] if "function_call" in part]
            open_calls = calls if message["role"] == "assistant" else []
    _require_closed(open_calls)


def _close(open_calls: list[dict[str, Any]], result: Mapping[str, Any]) -> None:
    """Take the call that a result belongs to off the list: by its id where both have one, else by its name."""
    for number, call in enumerate(open_calls):
        has_ids = "id" in call and "id" in result
        if call["name"] == result["name"] and (not has_ids or call["id"] == result["id"]):
            del open_calls[number]
            return
    raise invalid("every assistant function result must have an assistant function call in history")


def _require_closed(open_calls: Sequence[object]) -> None:
    if open_calls:
        raise invalid("every assistant function call must have a result in history")
