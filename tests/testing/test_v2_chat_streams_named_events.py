from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Reply

from .wire import WIRE, Events, events_in, shape

Stream = Callable[..., Events]
V2 = "/v2/chat/completions"
TIME = {"name": "time", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def stream(http: httpx.Client, emulator: Emulator) -> Stream:
    """Send a v2 request for a stream, and give the events."""

    def send(text: str = "Привет", **members: Any) -> Events:
        messages = [{"role": "user", "content": [{"text": text}]}]
        body = {"model": "GigaChat-3-Ultra", "messages": messages, "stream": True, **members}
        response = http.post(emulator.base_url.removesuffix("/v1") + V2, json=body)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
        assert "[DONE]" not in response.text
        events = events_in(response.text)
        assert [name for name, _ in events].count("response.message.done") == 1
        assert events[-1][0] == "response.message.done"
        return events

    return send


def whole(http: httpx.Client, emulator: Emulator, text: str = "Привет", **members: Any) -> dict[str, Any]:
    body = {"model": "GigaChat-3-Ultra", "messages": [{"role": "user", "content": [{"text": text}]}], **members}
    answer: dict[str, Any] = http.post(emulator.base_url.removesuffix("/v1") + V2, json=body).json()
    return answer


def joined(events: Events, role: str = "assistant", member: str = "text") -> list[Any]:
    """Give the values of one member of all parts that messages of a role have."""
    messages = [message for _, event in events for message in event.get("messages", []) if message["role"] == role]
    return [part[member] for message in messages for part in message.get("content", []) if member in part]


def test_a_stream_has_the_recorded_framing(stream: Stream) -> None:
    recorded = events_in((WIRE / "primary_chat_stream_simple.sse").read_text())
    events = stream("раз")
    for mine, theirs in ((events[0], recorded[0]), (events[-1], recorded[-1])):
        assert mine[0] == theirs[0]
        assert shape(mine[1]) == shape(theirs[1])
    assert {name for name, _ in events[:-1]} == {"response.message.delta"}
    assert len(events) == 4


@pytest.mark.parametrize("text", ["раз два три", "  раз\n\nдва\t ", "", "строка\u2028ещё\u0085и\r\nещё"])
@pytest.mark.parametrize("options", [{}, {"max_tokens": 1}, {"max_tokens": 4, "top_logprobs": 2}])
def test_a_stream_says_what_the_whole_answer_says(
    stream: Stream, http: httpx.Client, emulator: Emulator, text: str, options: dict[str, Any]
) -> None:
    emulator.answer(text)
    events = stream(model_options=options)
    answer = whole(http, emulator, model_options=options)
    part = answer["messages"][0]["content"][0]
    assert "".join(joined(events)) == part["text"]
    likely = [one for some in joined(events, member="logprobs") for one in some]
    assert "".join(one["chosen"]["token"] for one in likely) == (part["text"] if "top_logprobs" in options else "")
    done = events[-1][1]
    assert (done["usage"], done["finish_reason"]) == (answer["usage"], answer["finish_reason"])


def test_thoughts_come_first(stream: Stream, http: httpx.Client, emulator: Emulator) -> None:
    options = {"reasoning": {"effort": "low"}}
    events = stream(model_options=options)
    roles = [event["messages"][0]["role"] for _, event in events[:-1]]
    assert roles == sorted(roles, reverse=True)
    thought, answer = whole(http, emulator, model_options=options)["messages"]
    assert "".join(joined(events, "reasoning")) == thought["content"][0]["text"]
    assert "".join(joined(events)) == answer["content"][0]["text"]


def test_a_call_comes_whole_with_the_end(stream: Stream, http: httpx.Client, emulator: Emulator) -> None:
    forced = {
        "tools": [{"functions": {"specifications": [TIME]}}],
        "tool_config": {"mode": "forced", "function_name": "time"},
    }
    ((name, done),) = stream(**forced)
    assert name == "response.message.done"
    assert done["messages"] == whole(http, emulator, **forced)["messages"]
    assert done["finish_reason"] == "function_call"


def test_built_in_tools_say_how_they_get_on(stream: Stream) -> None:
    tools = [{"image_generate": {}}, {"web_search": {}}]
    events = stream("Нарисуй кота", tools=tools)
    names = [name for name, _ in events]
    assert names[:4] == ["response.tool.in_progress", "response.tool.completed"] * 2
    assert names[4] == "response.message.delta"
    executions = joined(events, member="tool_execution")
    assert executions == [
        {"name": "image_generate", "seconds_left": 1},
        {"name": "image_generate", "status": "success"},
        {"name": "web_search", "seconds_left": 1},
        {"name": "web_search", "status": "success"},
    ]
    assert events[4][1]["messages"][0]["content"][0].keys() == {"files"}
    assert "".join(joined(events)) == "Готово. Вы написали: Нарисуй кота [sources=[1]]"
    (found,) = joined(events, member="inline_data")
    assert found["sources"].keys() == {"1"}
    assert events[-2][1]["messages"][0]["content"][0]["inline_data"] == found
    assert events[-1][1]["messages"][0].keys() == {"role", "tool_state_id"}


def test_a_stream_in_a_thread_has_the_ids_in_every_event(
    stream: Stream, http: httpx.Client, emulator: Emulator
) -> None:
    events = stream("раз", storage={})
    (thread_id,) = {event["thread_id"] for _, event in events}
    assert len({event["messages"][0]["message_id"] for _, event in events[:-1]}) == 1
    later = whole(http, emulator, "два", storage={"thread_id": thread_id})
    assert later["messages"][0]["content"] == [{"text": "Вы написали: два (раньше: раз)"}]


def test_named_events_can_be_scripted(stream: Stream, http: httpx.Client, emulator: Emulator) -> None:
    reply = Reply.named_sse([("response.message.done", {"finish_reason": "error"})], headers={"X-A": "1"})
    emulator.reply(V2, reply)
    assert stream() == [("response.message.done", {"finish_reason": "error"})]
    assert reply.headers == {"Content-Type": "text/event-stream", "X-A": "1"}
