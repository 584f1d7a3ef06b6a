"""`/v1/threads`: dialogues that the server keeps, and runs of a model or an assistant in them."""

from typing import Any
from urllib.parse import parse_qs

from starlette.routing import Route

from gigachat_sdk.testing._assistants import AssistantStore
from gigachat_sdk.testing._attachments import attached
from gigachat_sdk.testing._calls import Call, invalid, json_body, malformed
from gigachat_sdk.testing._chat import Spoken, continue_thread, deltas, keep_turn, size_of, speak
from gigachat_sdk.testing._chat_checks import checked_chat_request, checked_message
from gigachat_sdk.testing._memory import KeptMessage, Sender, Thread, Threads
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._shapes import LIMIT, Check, check_ranges, is_object, is_text, is_whole, list_of, shaped

RUN_PATH = "/v1/threads/run"
RUN_MESSAGES_PATH = "/v1/threads/messages/run"
RERUN_PATH = "/v1/threads/messages/rerun"
_DEFAULT_MODEL = "GigaChat"
_REQUEST: dict[str, Check] = {
    "thread_id": is_text,
    "assistant_id": is_text,
    "model": is_text,
    "messages": list_of(is_object),
    "threads_ids": list_of(is_text),
    "limit": is_whole,
}


def _list(call: Call) -> Reply:
    query = parse_qs(call.request.query)
    threads = call.state.part(Threads).list()
    if "assistants_ids" in query:
        threads = [thread for thread in threads if thread.assistant_id in query["assistants_ids"]]
    if (before := _number(call, "before")) is not None:
        threads = [thread for thread in threads if thread.created_at < before]
    return Reply(json={"threads": [_described(thread) for thread in threads[: _number(call, "limit")]]})


def _create(call: Call) -> Reply:
    if call.request.body:
        json_body(call.request)
    store = call.state.part(Threads)
    thread = store.begin(_DEFAULT_MODEL, None, call.state.settings.clock())
    store.keep(thread)
    return Reply(json=_described(thread))


def _retrieve(call: Call) -> Reply:
    store = call.state.part(Threads)
    wanted = shaped(json_body(call.request), _REQUEST, ("threads_ids",))["threads_ids"]
    return Reply(json={"threads": [_described(store.find(thread_id)) for thread_id in wanted]})


def _delete(call: Call) -> Reply:
    call.state.part(Threads).delete(shaped(json_body(call.request), _REQUEST, ("thread_id",))["thread_id"])
    return Reply()


def _list_messages(call: Call) -> Reply:
    thread = _asked_for(call)
    messages = thread.messages
    if (before := _number(call, "before")) is not None:
        messages = [message for message in messages if message.created_at < before]
    if (limit := _number(call, "limit")) is not None:
        messages = messages[-limit:]
    described = [{**_described_message(message), "model": thread.model} for message in messages]
    return Reply(json={"thread_id": thread.id, "messages": described})


def _add_messages(call: Call) -> Reply:
    given = shaped(json_body(call.request), _REQUEST, ("messages",))
    new = [checked_message(message) for message in given["messages"]]
    if not new:
        raise invalid("messages must not be empty")
    files = attached(call.state, [message.get("attachments", []) for message in new], Sender.of(call.request).client_id)
    names = {file.id: file.filename for file in files}
    store, thread, now = call.state.part(Threads), _thread(call, given), call.state.settings.clock()
    kept = [
        store.add(thread, message, now, names=[names[one] for one in message.get("attachments", [])]) for message in new
    ]
    added = [{"created_at": message.created_at, "message_id": message.id} for message in kept]
    return Reply(json={"thread_id": thread.id, "messages": added})


def _run(call: Call) -> Reply:
    """Run a thread. The answer is there at once; who does not stream fetches it by its own call."""
    given = shaped(json_body(call.request), _REQUEST, ("thread_id",))
    thread = call.state.part(Threads).find(given["thread_id"])
    if (assistant_id := given.get("assistant_id")) is not None:
        _let_answer(call, thread, assistant_id)
    asked = _since_the_last_answer(thread)
    ran = _ran(call, thread, {**given, "messages": []})
    thread.turn = [*asked, *thread.turn]
    if given.get("stream"):
        return _streamed(call, thread, *ran)
    started = {"status": "in_progress", "thread_id": thread.id, "created_at": int(call.state.settings.clock())}
    return Reply(json=started)


def _run_result(call: Call) -> Reply:
    thread = _asked_for(call)
    messages = [_described_message(message) for message in thread.turn]
    return Reply(
        json={
            "status": "ready",
            "thread_id": thread.id,
            "updated_at": thread.updated_at,
            "model": thread.model,
            "messages": messages,
        }
    )


def _run_messages(call: Call) -> Reply:
    given = shaped(json_body(call.request), _REQUEST, ("messages",))
    if not given["messages"]:
        raise invalid("messages must not be empty")
    thread = _thread(call, given)
    return _answered(call, thread, given)


def _rerun(call: Call) -> Reply:
    """Answer the last question of a thread anew; what was answered before is forgotten."""
    given = shaped(json_body(call.request), _REQUEST, ("thread_id",))
    thread = call.state.part(Threads).find(given["thread_id"])
    before = thread.messages
    while thread.messages and thread.messages[-1].sent["role"] == "assistant":
        thread.messages = thread.messages[:-1]
    asked = _since_the_last_answer(thread)
    try:
        reply = _answered(call, thread, {**given, "messages": []})
    except Exception:
        thread.messages = before
        raise
    thread.turn = [*asked, *thread.turn]
    return reply


def _answered(call: Call, thread: Thread, given: dict[str, Any]) -> Reply:
    spoken, message_id = _ran(call, thread, given)
    if given.get("stream"):
        return _streamed(call, thread, spoken, message_id)
    return Reply(
        json={
            "object": "threads.messages.run",
            "model": spoken.model,
            "thread_id": thread.id,
            "message_id": message_id,
            "created": int(call.state.settings.clock()),
            "usage": _usage(spoken.usage["prompt_tokens"], spoken.usage["completion_tokens"]),
            "message": spoken.message,
            "finish_reason": spoken.finish_reason,
        }
    )


def _ran(call: Call, thread: Thread, given: dict[str, Any]) -> tuple[Spoken, str]:
    """Let a model answer in a thread, and give the answer and its id."""
    state, sender = call.state, Sender.of(call.request)
    check_ranges(given, LIMIT)
    options = {name: value for name, value in given.items() if name not in ("thread_id", "assistant_id", "model")}
    known = [message.sent for message in thread.messages]
    payload = checked_chat_request({**options, "messages": [*known, *given["messages"]]})
    new = payload["messages"][len(known) :]
    files = attached(state, [message.get("attachments", []) for message in new], sender.client_id)
    remembered = continue_thread(state, payload, thread, new, given.get("limit"))
    request = {**given, "messages": payload["messages"]}
    spoken = speak(state, request, payload, sender, remembered=remembered, files=files)
    return spoken, keep_turn(state, thread, new, spoken, files)


def _streamed(call: Call, thread: Thread, spoken: Spoken, message_id: str) -> Reply:
    created = int(call.state.settings.clock())
    pieces = deltas(spoken, created)
    events: list[dict[str, Any]] = []
    for number, delta in enumerate(pieces, 1):
        choice: dict[str, Any] = {"delta": delta, "index": 0}
        if number == len(pieces):
            choice["finish_reason"] = spoken.finish_reason
        prompt = spoken.usage["prompt_tokens"] if number == 1 else 0
        completion = 0 if delta.get("role") == "function_in_progress" else size_of(delta)
        events.append(
            {
                "choices": [choice],
                "created": created,
                "model": spoken.model,
                "object": "threads.messages.run",
                "usage": _usage(prompt, completion),
                "thread_id": thread.id,
                "message_id": message_id,
            }
        )
    return Reply.sse(events)


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _thread(call: Call, given: dict[str, Any]) -> Thread:
    """Find the thread that a request names, or begin one for its assistant or its model."""
    thread_id, assistant_id, model = given.get("thread_id"), given.get("assistant_id"), given.get("model")
    if model is not None and (thread_id is not None or assistant_id is not None):
        raise invalid("model can be given without thread_id and assistant_id only")
    store = call.state.part(Threads)
    if thread_id is not None:
        thread = store.find(thread_id)
        if assistant_id is not None:
            _let_answer(call, thread, assistant_id)
        return thread
    name: str = _DEFAULT_MODEL if model is None else model
    require_model(name, "chat")
    thread = store.begin(name, None, call.state.settings.clock())
    if assistant_id is not None:
        _let_answer(call, thread, assistant_id)
    return thread


def _let_answer(call: Call, thread: Thread, assistant_id: str) -> None:
    """Let an assistant answer in a thread from now on."""
    assistant = call.state.part(AssistantStore).find(assistant_id)
    thread.assistant_id, thread.model = assistant_id, assistant["model"]


def _since_the_last_answer(thread: Thread) -> list[KeptMessage]:
    number = len(thread.messages)
    while number and thread.messages[number - 1].sent["role"] != "assistant":
        number -= 1
    return thread.messages[number:]


def _described(thread: Thread) -> dict[str, Any]:
    described = {"id": thread.id, "model": thread.model}
    if thread.assistant_id is not None:
        described["assistant_id"] = thread.assistant_id
    times = {"created_at": thread.created_at, "updated_at": thread.updated_at}
    return {**described, **times, "status": "ready", "run_lock": False}


def _described_message(message: KeptMessage) -> dict[str, Any]:
    sent = message.sent
    described: dict[str, Any] = {
        "message_id": message.id,
        "role": sent["role"],
        "content": sent.get("content", ""),
    }
    if "function_call" in sent:
        described["function_call"] = sent["function_call"]
    if ids := sent.get("attachments"):
        files = zip(ids, message.names, strict=True)
        described["attachments"] = [{"file_id": file_id, "name": name} for file_id, name in files]
    described["created_at"] = message.created_at
    if message.finish_reason is not None:
        described["finish_reason"] = message.finish_reason
    return described


def _asked_for(call: Call) -> Thread:
    thread_id = call.request.params.get("thread_id")
    if thread_id is None:
        raise malformed()
    return call.state.part(Threads).find(thread_id)


def _number(call: Call, name: str) -> int | None:
    text = call.request.params.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise malformed()
    return int(text)


ROUTES = [
    Route("/v1/threads", _list, methods=["GET"]),
    Route("/v1/threads", _create, methods=["POST"]),
    Route("/v1/threads/retrieve", _retrieve, methods=["POST"]),
    Route("/v1/threads/delete", _delete, methods=["POST"]),
    Route("/v1/threads/messages", _list_messages, methods=["GET"]),
    Route("/v1/threads/messages", _add_messages, methods=["POST"]),
    Route(RUN_PATH, _run, methods=["POST"]),
    Route(RUN_PATH, _run_result, methods=["GET"]),
    Route(RUN_MESSAGES_PATH, _run_messages, methods=["POST"]),
    Route(RERUN_PATH, _rerun, methods=["POST"]),
]
