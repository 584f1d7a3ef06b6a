"""What a v1 answer says: what the test told, else a function's call, a file, a structure or plain words."""

import uuid
from collections.abc import Sequence
from typing import Any

from gigachat_sdk.testing._calls import as_list, as_object
from gigachat_sdk.testing._chat_checks import BUILT_IN_FUNCTIONS
from gigachat_sdk.testing._files import StoredFile
from gigachat_sdk.testing._memory import Sender
from gigachat_sdk.testing._replies import to_json
from gigachat_sdk.testing._speech import (
    Heard,
    arguments_for,
    asks_for_model,
    asks_for_picture,
    model3d,
    picture,
    say,
    structured,
    think,
    told,
)
from gigachat_sdk.testing._state import State
from gigachat_sdk.testing._text import tokens


def v1_message(
    state: State,
    request: dict[str, Any],
    payload: dict[str, Any],
    sender: Sender,
    *,
    remembered: int,
    files: Sequence[StoredFile],
) -> tuple[dict[str, Any], str | None]:
    """Make the assistant's message.

    Args:
        state: The emulator's memory.
        request: What a function of the test gets to see.
        payload: The checked request, all messages in it.
        sender: Who asks.
        remembered: How many of the messages come from the memory of the server.
        files: The files that came with the other messages.

    Returns:
        The message, perhaps with a `finish_reason`, and the built-in function that ran.
    """
    given = told(state, request)
    if given is not None:
        return {"content": "", "role": "assistant", **_in_v1(given)}, None
    heard = _heard(payload, remembered, files)
    said, ran = _default(state, payload, heard, sender)
    if "reasoning_effort" in payload:
        said["reasoning_content"] = "".join(tokens(think(heard))[: payload.get("reasoning_max_tokens")])
    return {"content": "", "role": "assistant", **said}, ran


def state_id(messages: object) -> str:
    """Make the id of a state of functions: another one for other messages."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, to_json(messages).encode("utf-8", "replace").decode()))


def _heard(payload: dict[str, Any], remembered: int, files: Sequence[StoredFile]) -> Heard:
    messages = enumerate(payload["messages"])
    asked = [(number, message.get("content", "")) for number, message in messages if message["role"] == "user"]
    earlier = [text for number, text in asked[:-1] if number < remembered]
    reads = payload.get("function_call") != "none"
    return Heard(asked[-1][1] if asked else "", earlier, files, reads)


def _default(state: State, payload: dict[str, Any], heard: Heard, sender: Sender) -> tuple[dict[str, Any], str | None]:
    choice = as_object(payload.get("function_call"))
    functions = {function["name"]: function for function in payload["functions"]}
    if choice and not _is_built_in(choice["name"], functions):
        arguments = arguments_for(functions[choice["name"]], choice.get("partial_arguments"))
        return {"function_call": {"name": choice["name"], "arguments": arguments}}, None
    if (text := structured(payload.get("response_format", {}))) is not None:
        return {"content": text}, None
    ran = _built_in_to_run(payload, functions, heard)
    if ran == "text2image":
        file = picture(state, heard.text, sender.client_id)
        return {"content": f'Готово: <img src="{file.id}" fuse="true"/> {say(heard)}'}, ran
    if ran == "text2model3d":
        file = model3d(state, heard.text, sender.client_id)
        return {"content": f'Готово: <div data-model-id="{file.id}"/> {say(heard)}'}, ran
    return {"content": say(heard)}, None


def _is_built_in(name: str, functions: dict[str, Any]) -> bool:
    return name in BUILT_IN_FUNCTIONS and "parameters" not in functions.get(name, {})


def _built_in_to_run(payload: dict[str, Any], functions: dict[str, Any], heard: Heard) -> str | None:
    """Choose a built-in function: the one that is forced, or with `"auto"` one that is allowed and asked for.

    Drawing is allowed unless there are functions of the user's own; then it must be named, as modelling always must.
    """
    choice = payload.get("function_call")
    if isinstance(choice, dict):
        return str(payload["function_call"]["name"])
    if choice != "auto":
        return None
    named = {name for name in functions if _is_built_in(name, functions)}
    if "text2model3d" in named and asks_for_model(heard):
        return "text2model3d"
    if asks_for_picture(heard) and ("text2image" in named or not functions.keys() - named):
        return "text2image"
    return None


def _in_v1(given: dict[str, Any]) -> dict[str, Any]:
    """Turn a v2 message of the test into one of v1: its texts joined, and its call."""
    parts = as_list(given.get("content"))
    if parts is None:
        return given
    message = {name: value for name, value in given.items() if name not in ("content", "tool_state_id")}
    message["content"] = "".join(part.get("text", "") for part in parts)
    calls = [part["function_call"] for part in parts if "function_call" in part]
    return {**message, "function_call": calls[0]} if calls else message
