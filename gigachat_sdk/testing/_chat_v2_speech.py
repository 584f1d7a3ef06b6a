"""What a v2 answer says: what the test told, else calls of functions, what the built-in tools give, or plain words."""

import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from gigachat_sdk.testing._calls import as_list, made_id
from gigachat_sdk.testing._chat_speech import state_id
from gigachat_sdk.testing._chat_v2_checks import Tools
from gigachat_sdk.testing._files import StoredFile
from gigachat_sdk.testing._memory import Sender
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

_ADDRESS = re.compile(r"https?://\S+")
_FOUND = {"1": {"url": "https://example.com/", "title": "Example Domain"}}


@dataclass
class Said:
    """An answer before it is counted, cut and framed.

    Attributes:
        parts: The content of the assistant's message.
        thoughts: The text of a message of reasoning; None for none.
        ran: The built-in tools that ran.
        finish_reason: What the test gave as such.
        extra: Other members of the assistant's message.
    """

    parts: list[dict[str, Any]]
    thoughts: str | None = None
    ran: tuple[str, ...] = ()
    finish_reason: str | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Asked:
    """A checked v2 request in its surroundings.

    Attributes:
        request: What a function of the test gets to see.
        payload: The checked request.
        messages: All messages that the model sees.
        remembered: How many of the messages come from the memory of the server.
        files: The files that came with the other messages.
        tools: What the model may use.
        sender: Who asks.
    """

    request: dict[str, Any]
    payload: dict[str, Any]
    messages: Sequence[dict[str, Any]]
    remembered: int
    files: Sequence[StoredFile]
    tools: Tools
    sender: Sender


def v2_answer(state: State, asked: Asked) -> Said:
    """Make an answer.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    given = told(state, asked.request)
    if given is not None:
        return _in_v2(given)
    heard = _heard(asked)
    said = _default(state, asked, heard)
    effort = asked.payload["model_options"]["reasoning"]
    if effort and effort.get("effort") != "off":
        said.thoughts = "".join(tokens(think(heard))[: effort.get("max_tokens")])
    return said


def text_of_parts(message: Mapping[str, Any]) -> str:
    """Join the texts of a message, a line for each."""
    return "\n".join(part["text"] for part in message["content"] if "text" in part)


def logprobs(text: str, top: int) -> list[dict[str, Any]]:
    """Make up how likely the tokens of a text were, and what could have stood in their places."""
    made: list[dict[str, Any]] = []
    for token in tokens(text):
        ranked = [_ranked(token + "·" * rank, rank) for rank in range(top)]
        made.append({"chosen": ranked[0], "top": ranked})
    return made


def _ranked(token: str, rank: int) -> dict[str, Any]:
    number = zlib.crc32(token.encode("utf-8", "replace")) % 100_000
    return {"token": token, "token_id": number, "logprob": -0.25 * (rank + 1)}


def _heard(asked: Asked) -> Heard:
    users = [(number, text_of_parts(one)) for number, one in enumerate(asked.messages) if one["role"] == "user"]
    earlier = [text for number, text in users[:-1] if number < asked.remembered]
    return Heard(users[-1][1] if users else "", earlier, asked.files)


def _default(state: State, asked: Asked, heard: Heard) -> Said:
    tools = asked.tools
    called = _called(asked)
    if called:
        calls = [{"name": name, "arguments": arguments_for(tools.functions[name])} for name in called]
        if len(calls) > 1:  # results find their calls by these ids
            seed = state_id(asked.messages)
            calls = [{"id": made_id(seed, number), **call} for number, call in enumerate(calls)]
        return Said([{"function_call": call} for call in calls])
    if (text := structured(asked.payload["model_options"].get("response_format", {}))) is not None:
        return Said([{"text": text}])
    said = Said([], ran=_to_run(tools, heard))
    text = say(heard)
    for name, make, target in (("image_generate", picture, "image"), ("model_3d_generate", model3d, "3dmodel")):
        if name in said.ran:
            file = make(state, heard.text, asked.sender.client_id)
            said.parts.append({"files": [{"id": file.id, "mime": file.mime, "target": target}]})
            text = f"Готово. {text}"
    if "get_datetime" in said.ran:
        text += f" Сейчас {_now(state, asked)}."
    if "web_search" in said.ran:
        said.parts.append({"text": f"{text} [sources=[1]]", "inline_data": {"images": [], "sources": _FOUND}})
    else:
        said.parts.append({"text": text})
    return said


def _called(asked: Asked) -> tuple[str, ...]:
    """Choose the user's functions to call: the forced one, or of those any of which must be."""
    tools = asked.tools
    if tools.mode == "any":
        return tools.any_of if asked.payload["model_options"].get("parallel_tool_calls") else tools.any_of[:1]
    return (tools.forced,) if tools.forced is not None and tools.forced in tools.functions else ()


def _to_run(tools: Tools, heard: Heard) -> tuple[str, ...]:
    """Choose the built-in tools to run: the forced one, or those that are of use here."""
    if tools.forced is not None:
        return (tools.forced,)
    useless: set[str] = set()
    if not asks_for_picture(heard):
        useless.add("image_generate")
    if not asks_for_model(heard):
        useless.add("model_3d_generate")
    if not _ADDRESS.search(heard.text):
        useless.add("url_content_extraction")
    return () if tools.mode == "none" else tuple(name for name in tools.built_in if name not in useless)


def _now(state: State, asked: Asked) -> str:
    zone: tzinfo = timezone.utc
    if name := asked.payload.get("user_info", {}).get("timezone"):
        with suppress(OSError, ValueError, KeyError):  # it is no name, or the system knows no time zones
            zone = ZoneInfo(name)
    return datetime.fromtimestamp(state.settings.clock(), zone).isoformat(timespec="seconds")


def _in_v2(given: dict[str, Any]) -> Said:
    """Take a message of the test: one of v2, or one of v1 that is turned into it."""
    rest = dict(given)
    content = rest.pop("content", "")
    parts = as_list(content)
    parts = [{"text": content}] if parts is None and content else list(parts or [])
    if "function_call" in rest:
        parts.append({"function_call": rest.pop("function_call")})
    if "functions_state_id" in rest:
        rest["tool_state_id"] = rest.pop("functions_state_id")
    rest.pop("role", None)
    thoughts, finish_reason = rest.pop("reasoning_content", None), rest.pop("finish_reason", None)
    return Said(parts or [{"text": ""}], thoughts, (), finish_reason, rest)
