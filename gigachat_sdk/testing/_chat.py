"""`POST /v1/chat/completions`: an answer that follows from the request, whole or as a stream."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._assistants import AssistantStore, instructions_of
from gigachat_sdk.testing._attachments import attached, document_of, text_of
from gigachat_sdk.testing._calls import Call, invalid, json_body
from gigachat_sdk.testing._chat_checks import check_conversation, checked_chat_request
from gigachat_sdk.testing._chat_speech import state_id, v1_message
from gigachat_sdk.testing._files import StoredFile
from gigachat_sdk.testing._memory import PromptCache, Sender, Thread, Threads
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply, to_json
from gigachat_sdk.testing._state import State
from gigachat_sdk.testing._text import tokens, words

CHAT_PATH = "/v1/chat/completions"
_PER_MESSAGE = 4  # what a message's role and frame cost, in tokens
_TAG = re.compile(r"(<(?:img|div) [^>]*/>)")
_SECONDS = (2, 1)  # what a built-in function says it still needs


@dataclass(frozen=True)
class Spoken:
    """An answer before it is framed.

    Attributes:
        message: The assistant's message.
        finish_reason: Why it ended.
        usage: What it cost.
        model: The model's name and version.
        ran: The built-in function that ran, if one did.
    """

    message: dict[str, Any]
    finish_reason: str
    usage: dict[str, int]
    model: str
    ran: str | None


def answer_to(state: State, request: dict[str, Any], client_id: str | None = None) -> dict[str, Any]:
    """Make the whole answer to a request's JSON, as `POST /v1/chat/completions` gives it; `stream` does not count.

    Args:
        state: The emulator's memory.
        request: The request's JSON; it stays as it is.
        client_id: The `X-Client-ID` that came with it.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    return _whole(state, request, Sender(client_id))


def _whole(state: State, request: dict[str, Any], sender: Sender) -> dict[str, Any]:
    spoken, tail = _answer(state, request, checked_chat_request(request), sender)
    choice = {"message": spoken.message, "index": 0, "finish_reason": spoken.finish_reason}
    return {"choices": [choice], **tail, "usage": spoken.usage}


def _complete(call: Call) -> Reply:
    request, sender = json_body(call.request), Sender.of(call.request)
    if not request.get("stream"):
        return Reply(json=_whole(call.state, request, sender))
    payload = checked_chat_request(request)
    spoken, tail = _answer(call.state, request, payload, sender)
    chunks = [{"choices": [{"delta": delta, "index": 0}], **tail} for delta in deltas(spoken, tail["created"])]
    last = {"delta": {"content": ""}, "index": 0, "finish_reason": spoken.finish_reason}
    return Reply.sse([*chunks, {"choices": [last], **tail, "usage": spoken.usage}])


def _answer(
    state: State, request: dict[str, Any], payload: dict[str, Any], sender: Sender
) -> tuple[Spoken, dict[str, Any]]:
    """Answer, and keep the answer where the request asks for that; gives the frame beside it."""
    new = payload["messages"]
    files = attached(state, [message.get("attachments", []) for message in new], sender.client_id)
    thread, is_kept = _thread(state, payload)
    remembered = 0
    if thread is None:
        check_conversation(new)
    else:
        remembered = continue_thread(state, payload, thread, new, payload.get("storage", {}).get("limit"))
        request = {**request, "messages": payload["messages"]}
    spoken = speak(state, request, payload, sender, remembered=remembered, files=files)
    tail: dict[str, Any] = {
        "created": int(state.settings.clock()),
        "model": spoken.model,
        "object": "chat.completion",
    }
    if thread is not None and is_kept:
        tail |= {"thread_id": thread.id, "message_id": keep_turn(state, thread, new, spoken, files)}
    return spoken, tail


def _thread(state: State, payload: dict[str, Any]) -> tuple[Thread | None, bool]:
    """Find or begin the thread of a request, and say whether it is to be kept."""
    storage = payload.get("storage", {})
    is_kept = bool(storage.get("is_stateful"))
    store, thread_id = state.part(Threads), storage.get("thread_id") if is_kept else None
    assistant_id = payload.get("assistant_id") or storage.get("assistant_id")
    if assistant_id is not None and thread_id is not None:
        raise invalid("assistant_id can't be given with thread_id")
    if thread_id is not None:
        return store.find(thread_id), True
    if assistant_id is None:
        model = require_model(payload.get("model", ""), "chat").partition(":")[0]
        return (store.begin(model, None, state.settings.clock()) if is_kept else None), is_kept
    if "model" in payload:
        raise invalid("model can't be given with assistant_id")
    model = state.part(AssistantStore).find(assistant_id)["model"]
    return store.begin(model, assistant_id, state.settings.clock()), is_kept


def continue_thread(
    state: State, payload: dict[str, Any], thread: Thread, new: Sequence[dict[str, Any]], limit: int | None = None
) -> int:
    """Complete a request by what its thread and the thread's assistant know.

    Args:
        state: The emulator's memory.
        payload: The checked request; it gets all messages, a model and functions.
        thread: The thread.
        new: The messages that are new in it.
        limit: How many of the older messages count.

    Returns:
        How many of the messages come from the memory.

    Raises:
        Refusal: 422, the messages do not make a dialogue; 404, the assistant is gone.
    """
    assistant = state.part(AssistantStore).find(thread.assistant_id) if thread.assistant_id else {}
    past = thread.seen(limit)
    if not any(message["role"] == "system" for message in [*past, *new][:1]):
        past = [*instructions_of(assistant), *past]
    payload["messages"] = [*past, *new]
    payload.setdefault("model", thread.model)
    payload["functions"] = payload["functions"] or assistant.get("functions", [])
    check_conversation(payload["messages"])
    return len(past)


def keep_turn(
    state: State, thread: Thread, new: Sequence[dict[str, Any]], spoken: Spoken, files: Sequence[StoredFile]
) -> str:
    """Add what was asked and answered to a thread, and give the id of the answer."""
    store, now = state.part(Threads), state.settings.clock()
    names = {file.id: file.filename for file in files}
    thread.turn = [
        store.add(thread, message, now, names=[names[one] for one in message.get("attachments", [])]) for message in new
    ]
    answer = store.add(thread, spoken.message, now, finish_reason=spoken.finish_reason)
    thread.turn.append(answer)
    return answer.id


def speak(
    state: State,
    request: dict[str, Any],
    payload: dict[str, Any],
    sender: Sender,
    *,
    remembered: int = 0,
    files: Sequence[StoredFile] = (),
) -> Spoken:
    """Answer a dialogue.

    Args:
        state: The emulator's memory.
        request: What a function of the test gets to see.
        payload: The checked request, all messages in it.
        sender: Who asks.
        remembered: How many of the messages come from the memory of the server.
        files: The files that came with the other messages.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    model = require_model(payload.get("model", ""), "chat")
    message, ran = v1_message(state, request, payload, sender, remembered=remembered, files=files)
    finish_reason = message.pop("finish_reason", "function_call" if "function_call" in message else "stop")
    if ran or "function_call" in message:
        message.setdefault("functions_state_id", state_id(payload["messages"]))
    cut = tokens(message["content"])[: payload.get("max_tokens")]
    if "".join(cut) != message["content"]:
        message["content"] = "".join(cut)
        finish_reason = "length"
    read = document_of(files) if payload.get("function_call") != "none" else None
    usage = _usage(state, payload, message, sender, text_of(read) if read else "")
    return Spoken(message, finish_reason, usage, model, ran)


def _usage(
    state: State, payload: dict[str, Any], message: dict[str, Any], sender: Sender, document: str
) -> dict[str, int]:
    asked = [*payload["functions"], *payload["messages"]]
    prompt = [(to_json(part), _PER_MESSAGE + size_of(part)) for part in asked]
    total = sum(size for _, size in prompt) + len(tokens(document))
    completion = size_of(message)
    return {
        "prompt_tokens": total,
        "completion_tokens": completion,
        "total_tokens": total + completion,
        "precached_prompt_tokens": state.part(PromptCache).hits(sender.session_id, prompt),
    }


def size_of(part: dict[str, Any]) -> int:
    """Count the tokens of a message, of a piece of one, or of a function's definition."""
    spoken = {"content", "reasoning_content", "function_call", "name", "description", "parameters"}
    texts = [value if isinstance(value, str) else to_json(value) for key, value in part.items() if key in spoken]
    return sum(len(tokens(text)) for text in texts)


def deltas(spoken: Spoken, created: int) -> list[dict[str, Any]]:
    """Cut an answer into deltas: how a built-in function gets on, thoughts, then words; a file's tag stays whole.

    Args:
        spoken: The answer.
        created: Unix time in seconds.
    """
    progress = [
        {"content": str(seconds), "role": "function_in_progress", "name": spoken.ran, "created": created}
        for seconds in (_SECONDS if spoken.ran else ())
    ]
    message = dict(spoken.message)
    thoughts = words(message.pop("reasoning_content", ""))
    parts = _TAG.split(message.pop("content"))
    said = [word for part in parts for word in ([part] if _TAG.match(part) else words(part))]
    pieces: list[dict[str, Any]] = [
        *({"content": "", "reasoning_content": thought} for thought in thoughts),
        *({"content": word} for word in said),
    ]
    first = {**(pieces[0] if pieces else {"content": ""}), **message}
    return [*progress, first, *pieces[1:]]


ROUTES = [Route(CHAT_PATH, _complete, methods=["POST"])]
