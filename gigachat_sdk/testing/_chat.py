"""`POST /v1/chat/completions`: an answer that follows from the request, whole or as a stream."""

import json
import uuid
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, as_object, invalid
from gigachat_sdk.testing._chat_checks import checked_chat_request
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply, to_json
from gigachat_sdk.testing._schema import UnsatisfiableError, example
from gigachat_sdk.testing._state import Answer
from gigachat_sdk.testing._text import tokens, words

CHAT_PATH = "/v1/chat/completions"
_PER_MESSAGE = 4  # what a message's role and frame cost, in tokens


def _complete(call: Call) -> Reply:
    payload = checked_chat_request(call.request)
    model = require_model(payload.get("model", ""), "chat")
    message = _message(call, payload)
    finish_reason = "function_call" if "function_call" in message else "stop"
    limit = payload.get("max_tokens")
    cut = tokens(message["content"])[:limit]
    if "".join(cut) != message["content"]:
        message["content"] = "".join(cut)
        finish_reason = "length"
    usage = _usage(payload, message)
    tail: dict[str, Any] = {
        "created": int(call.state.settings.clock()),
        "model": model,
        "object": "chat.completion",
    }
    if payload.get("stream"):
        return Reply.sse([*_chunks(message, tail), _last_chunk(finish_reason, tail, usage)])
    choice = {"message": message, "index": 0, "finish_reason": finish_reason}
    return Reply(json={"choices": [choice], **tail, "usage": usage})


def _message(call: Call, payload: dict[str, Any]) -> dict[str, Any]:
    source = call.state.answer
    if callable(source):
        source = source(call.request.json())
    answer = _default_answer(payload) if source is None else source
    said = {"content": answer} if isinstance(answer, str) else answer
    given = {name: value for name, value in said.items() if value is not None}
    message: dict[str, Any] = {"content": "", "role": "assistant", **given}
    if "function_call" in message:
        message.setdefault("functions_state_id", str(uuid.uuid5(uuid.NAMESPACE_OID, to_json(payload["messages"]))))
    return message


def _default_answer(payload: dict[str, Any]) -> Answer:
    try:
        if choice := as_object(payload.get("function_call")):
            function = next(one for one in payload["functions"] if one["name"] == choice["name"])
            arguments: dict[str, Any] = as_object(example(function.get("parameters", {"type": "object"}))) or {}
            arguments.update(choice.get("partial_arguments") or {})
            return {"function_call": {"name": choice["name"], "arguments": arguments}}
        wanted: dict[str, Any] = payload.get("response_format", {})
        if wanted.get("type") == "json_schema":
            return json.dumps(example(wanted["schema"]), ensure_ascii=False, indent=4)
    except UnsatisfiableError as error:
        raise invalid(f"schema can't be satisfied: {error}") from None
    said = [message.get("content", "") for message in payload["messages"] if message["role"] == "user"]
    return f"Вы написали: {said[-1]}" if said and said[-1].strip() else "Вы ничего не написали."


def _usage(payload: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    asked = [*payload["messages"], *payload["functions"]]
    prompt = sum(_PER_MESSAGE + _size(part) for part in asked)
    completion = _size(message)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "precached_prompt_tokens": 0,
    }


def _size(part: dict[str, Any]) -> int:
    """Count the tokens of a message or of a function's definition."""
    spoken = {"content", "reasoning_content", "function_call", "name", "description", "parameters"}
    texts = [value if isinstance(value, str) else to_json(value) for key, value in part.items() if key in spoken]
    return sum(len(tokens(text)) for text in texts)


def _chunks(message: dict[str, Any], tail: dict[str, Any]) -> list[dict[str, Any]]:
    """Cut a message into deltas: the role and everything but the text come whole in the first one."""
    pieces = words(message["content"]) or [""]
    first = {**message, "content": pieces[0]}
    deltas = [first, *({"content": piece} for piece in pieces[1:])]
    return [{"choices": [{"delta": delta, "index": 0}], **tail} for delta in deltas]


def _last_chunk(finish_reason: str, tail: dict[str, Any], usage: dict[str, int]) -> dict[str, Any]:
    choice = {"delta": {"content": ""}, "index": 0, "finish_reason": finish_reason}
    return {"choices": [choice], **tail, "usage": usage}


ROUTES = [Route(CHAT_PATH, _complete, methods=["POST"])]
