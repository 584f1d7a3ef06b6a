"""`POST /v2/chat/completions`: content parts, the server's own tools, threads, and events with names."""

from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._assistants import AssistantStore
from gigachat_sdk.testing._attachments import attached, document_of, text_of
from gigachat_sdk.testing._calls import Call, json_body
from gigachat_sdk.testing._chat_speech import state_id
from gigachat_sdk.testing._chat_v2_checks import (
    check_v2_conversation,
    checked_tools,
    checked_v2_request,
    normalized,
)
from gigachat_sdk.testing._chat_v2_speech import Asked, Said, logprobs, v2_answer
from gigachat_sdk.testing._memory import PromptCache, Sender, Thread, ThreadsV2
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply, to_json
from gigachat_sdk.testing._state import State
from gigachat_sdk.testing._text import tokens, words

CHAT_V2_PATH = "/v2/chat/completions"
_PER_MESSAGE = 4  # what a message's role and frame cost, in tokens
_CLOSED = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n"


def _complete(call: Call) -> Reply:
    state, request, sender = call.state, json_body(call.request), Sender.of(call.request)
    payload = checked_v2_request(request)
    new = payload["messages"]
    files = attached(state, [_file_ids(message) for message in new], sender.client_id)
    thread, is_kept = _thread(state, payload)
    model = payload.get("model") or (thread.model if thread else "")
    version = require_model(model, "chat")
    messages, remembered = new, 0
    if thread is not None:
        past = _remembered(state, payload, thread, new)
        messages, remembered = [*past, *new], len(past)
        request = {**request, "messages": messages}
    if not payload["model_options"].get("unnormalized_history"):
        remembered = len(normalized(messages[:remembered]))
        messages = normalized(messages)
    check_v2_conversation(messages)
    asked = Asked(request, payload, messages, remembered, files, checked_tools(payload, model), sender)
    said = v2_answer(state, asked)
    answer = _framed(state, asked, said, version)
    if thread is not None and is_kept:
        answer = _kept(state, thread, new, said, answer)
    return _streamed(answer, said) if payload.get("stream") else Reply(json=answer)


def _thread(state: State, payload: dict[str, Any]) -> tuple[Thread | None, bool]:
    """Find or begin the thread of a request, and say whether it is to be kept."""
    storage, assistant_id = payload.get("storage"), payload.get("assistant_id")
    store, is_kept = state.part(ThreadsV2), storage is not None
    if storage and "thread_id" in storage:
        return store.find(storage["thread_id"]), True
    if assistant_id is not None:
        model = state.part(AssistantStore).find(assistant_id)["model"]
        return store.begin(model, assistant_id, state.settings.clock()), is_kept
    return (store.begin(payload.get("model", ""), None, state.settings.clock()) if is_kept else None), is_kept


def _remembered(
    state: State, payload: dict[str, Any], thread: Thread, new: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Give the messages that a thread and its assistant put before the new ones; functions go to the request."""
    storage: dict[str, Any] = payload.get("storage", {})
    past = thread.seen(storage.get("limit"))
    if thread.assistant_id is None:
        return past
    assistant = state.part(AssistantStore).find(thread.assistant_id)
    if "functions" in assistant and "tools" not in payload:
        payload["tools"] = [{"functions": {"specifications": assistant["functions"]}}]
    text, is_told = assistant.get("instructions"), [*past, *new][0]["role"] == "system"
    return [{"role": "system", "content": [{"text": text}]}, *past] if text and not is_told else past


def _framed(state: State, asked: Asked, said: Said, version: str) -> dict[str, Any]:
    """Cut an answer where `max_tokens` says so, count it, and put it into its frame."""
    options = asked.payload["model_options"]
    is_cut = "max_tokens" in options and _cut(said.parts, options["max_tokens"])
    if "top_logprobs" in options:
        for part in said.parts:
            if "text" in part:
                part["logprobs"] = logprobs(part["text"], options["top_logprobs"])
    has_call = any("function_call" in part for part in said.parts)
    finish_reason = "length" if is_cut else said.finish_reason or ("function_call" if has_call else "stop")
    message: dict[str, Any] = {"role": "assistant"}
    if asked.payload.get("tools") and asked.tools.mode != "none":
        message["tool_state_id"] = state_id(asked.messages)
    message |= {**said.extra, "content": said.parts}
    thoughts = [] if said.thoughts is None else [{"role": "reasoning", "content": [{"text": said.thoughts}]}]
    return {
        "model": version,
        "created_at": int(state.settings.clock()),
        "messages": [*thoughts, message],
        "finish_reason": finish_reason,
        "usage": _usage(state, asked, [*thoughts, message]),
    }


def _cut(parts: list[dict[str, Any]], limit: int) -> bool:
    """Cut the texts of a message to so many tokens together, and say whether anything was lost."""
    is_cut = False
    for part in parts:
        pieces = tokens(part.get("text", ""))
        if len(pieces) > limit:
            part["text"], is_cut = "".join(pieces[:limit]), True
        limit = max(0, limit - len(pieces))
    return is_cut


def _usage(state: State, asked: Asked, answered: list[dict[str, Any]]) -> dict[str, Any]:
    prompt = [(to_json(part), _size_of(part)) for part in [*asked.tools.functions.values(), *asked.messages]]
    read = document_of(asked.files)
    total = sum(size + _PER_MESSAGE for _, size in prompt) + (len(tokens(text_of(read))) if read else 0)
    said = sum(_size_of(message) for message in answered)
    cached = state.part(PromptCache).hits(asked.sender.session_id, prompt)
    return {
        "input_tokens": total,
        "input_tokens_details": {"prompt_tokens": total, "cached_tokens": cached},
        "output_tokens": said,
        "total_tokens": total + said,
    }


def _size_of(part: dict[str, Any]) -> int:
    """Count the tokens of a message, or of a function's definition."""
    counted = {"text", "function_call", "function_result", "name", "description", "parameters"}
    pieces = [part, *part.get("content", [])]
    values = [value for piece in pieces for name, value in piece.items() if name in counted]
    return sum(len(tokens(value if isinstance(value, str) else to_json(value))) for value in values)


def _kept(
    state: State, thread: Thread, new: list[dict[str, Any]], said: Said, answer: dict[str, Any]
) -> dict[str, Any]:
    """Keep what was asked and answered in a thread, and put the ids into the answer."""
    store, now = state.part(ThreadsV2), state.settings.clock()
    for message in new:
        store.add(thread, message, now)
    parts = [{name: part[name] for name in ("text", "files", "function_call") if name in part} for part in said.parts]
    store.add(thread, {"role": "assistant", "content": parts}, now, finish_reason=answer["finish_reason"])
    message_id = thread.messages[-1].id
    messages = [
        {"message_id": message_id, **message} if message["role"] == "assistant" else message
        for message in answer["messages"]
    ]
    return {**answer, "messages": messages, "thread_id": thread.id}


def _streamed(answer: dict[str, Any], said: Said) -> Reply:
    """Send an answer in events: thoughts, how the tools get on, files and words; calls and counts come at the end."""
    head: dict[str, Any] = {name: answer[name] for name in ("model", "created_at", "thread_id") if name in answer}
    *thoughts, message = answer["messages"]
    beside = {name: message[name] for name in ("message_id", "role") if name in message}
    events: list[tuple[str, dict[str, Any]]] = []

    def add(name: str, role: dict[str, Any], part: dict[str, Any]) -> None:
        events.append((f"response.{name}", {**head, "messages": [{**role, "content": [part]}]}))

    for thought in thoughts:
        for word in words(thought["content"][0]["text"]):
            add("message.delta", {"role": "reasoning"}, {"text": word})
    for name in said.ran:
        add("tool.in_progress", beside, {"tool_execution": {"name": name, "seconds_left": 1}})
        add("tool.completed", beside, {"tool_execution": {"name": name, "status": "success"}})
    for part in message["content"]:
        for piece in _pieces(part):
            add("message.delta", beside, piece)
    done = {**head, "finish_reason": answer["finish_reason"], "usage": answer["usage"]}
    last = {name: value for name, value in message.items() if name != "content"}
    if calls := [part for part in message["content"] if "function_call" in part]:
        last["content"] = calls
    if last.keys() != beside.keys():
        done["messages"] = [last]
    events.append(("response.message.done", done))
    return Reply.named_sse(events)


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Cut a part of the content: a text into words, what belongs to the text with the last of them."""
    if "text" not in part:
        return [] if "function_call" in part else [part]
    top = len(part["logprobs"][0]["top"]) if part.get("logprobs") else 0
    pieces = [{"text": word, **({"logprobs": logprobs(word, top)} if top else {})} for word in words(part["text"])]
    pieces = pieces or [{"text": ""}]
    rest = {name: value for name, value in part.items() if name not in ("text", "logprobs")}
    return [*pieces[:-1], {**pieces[-1], **rest}]


def _file_ids(message: dict[str, Any]) -> list[str]:
    return [file["id"] for part in message["content"] for file in part.get("files", [])]


def _closed(_: Call) -> Reply:
    """Answer as the proxy does in front of everything else under `/v2`."""
    return Reply(403, body=_CLOSED + "</body>\r\n</html>\r\n", headers={"Content-Type": "text/html"})


ROUTES = [
    Route(CHAT_V2_PATH, _complete, methods=["POST"]),
    Route("/v2/{rest:path}", _closed, methods=["GET", "POST", "PUT", "DELETE"]),
]
