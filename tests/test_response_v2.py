"""`_response.EventReader`: events of a v2 stream become chunks, its end, or the error that says why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigachat_sdk import StreamError, StreamInterruptedError
from gigachat_sdk._accumulate_v2 import ChatCompletionV2Accumulator
from gigachat_sdk._events import DONE, Event
from gigachat_sdk._response_v2 import EventReader
from gigachat_sdk.types import Headers, RequestInfo, ResponseInfo
from gigachat_sdk.types.v2 import ChatCompletion, ChatCompletionChunk

REQUEST = RequestInfo("POST", "https://api.giga.chat/v2/chat/completions")
RESPONSE = ResponseInfo(200, Headers({"content-type": "text/event-stream", "x-request-id": "abc"}))
DELTA, END = "response.message.delta", "response.message.done"


def new_reader() -> EventReader:
    return EventReader(ChatCompletionChunk, ChatCompletionV2Accumulator(), REQUEST, RESPONSE)


def event(name: str, document: Any) -> Event:
    return Event(name, json.dumps(document).encode())


def says(text: str, role: str = "assistant", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [{"text": text}]}], **more}


def test_events_become_chunks_and_add_up() -> None:
    reader = new_reader()
    for text in ("При", "вет"):
        chunk = reader.read(event(DELTA, says(text)))
        assert isinstance(chunk, ChatCompletionChunk)
        assert (chunk.event, chunk.text, chunk.response, chunk.request_id) == (DELTA, text, RESPONSE, "abc")
        assert not reader.is_done
    last = reader.read(event(END, {"finish_reason": "stop"}))
    assert isinstance(last, ChatCompletionChunk)
    assert (last.event, last.text, last.finish_reason) == (END, "", "stop")
    assert reader.is_done


def test_half_a_character_ends_no_stream() -> None:
    reader = new_reader()
    for told, text in ((r"a\ud83d", "a\ufffd"), (r"\ude00", "\ufffd"), (r"\ud83d\ude00", "\U0001f600")):
        chunk = reader.read(Event(DELTA, b'{"messages":[{"content":[{"text":"%s"}]}]}' % told.encode()))
        assert isinstance(chunk, ChatCompletionChunk)
        assert (chunk.event, chunk.text) == (DELTA, text)
    assert reader.interrupted("").text == "a\ufffd\ufffd\U0001f600"


def test_fields_named_like_our_own_break_nothing() -> None:
    fields = {"_added": 5, "_event": "x", "_response_info": 1, "text": "no"}
    reader = new_reader()
    document = {**says("a"), **fields}
    chunk = reader.read(event(DELTA, document))
    assert isinstance(chunk, ChatCompletionChunk)
    assert (chunk.text, chunk.event, chunk.response) == ("a", DELTA, RESPONSE)
    assert chunk.to_dict() == document


@pytest.mark.parametrize(
    ("name", "document", "is_done"),
    [
        (END, {}, True),
        (END, {"finish_reason": "stop"}, True),
        (END, says("a"), True),
        ("", {"finish_reason": "stop"}, True),
        ("", says("a", finish_reason="length"), True),
        ("", says("a", finish_reason=None), False),
        ("", {}, False),
        (DELTA, says("a", finish_reason="stop"), False),
        ("response.tool.completed", {"finish_reason": "stop"}, False),
        ("response.done", {"finish_reason": "stop"}, False),
    ],
)
def test_the_end_is_told_by_a_name_or_without_names_by_a_reason(name: str, document: Any, is_done: bool) -> None:
    reader = new_reader()
    assert isinstance(reader.read(event(name, document)), ChatCompletionChunk)
    assert reader.is_done is is_done


@pytest.mark.parametrize("name", ["", "done", END])
def test_done_as_a_word_ends_it_too(name: str) -> None:
    reader = new_reader()
    assert reader.read(Event(name, DONE)) is None
    assert reader.is_done


@pytest.mark.parametrize(
    "unknown",
    [
        event("response.future", says("не мне")),
        event("ping", {"status": "ok", "message": "m"}),
        event("response.tool.started", {"tool_execution": {"name": "x"}}),
        event("response.tool.failed", {"status": "fail", "message": "m", "tool_execution": {"name": "x"}}),
    ],
)
def test_events_of_other_names_are_passed_on_and_add_nothing(unknown: Event) -> None:
    reader = new_reader()
    reader.read(event(DELTA, says("a")))
    chunk = reader.read(unknown)
    assert isinstance(chunk, ChatCompletionChunk)
    assert (chunk.event, chunk.text, chunk.to_dict()) == (unknown.name, "", json.loads(unknown.data))
    partial = reader.interrupted("lost").partial
    assert isinstance(partial, ChatCompletion)
    assert [message.to_dict() for message in partial.messages] == says("a")["messages"]
    assert not reader.is_done


@pytest.mark.parametrize(
    "nothing",
    [
        Event("ping", b""),
        Event("", b""),
        Event(DELTA, b""),
        Event("ping", b"text"),
        Event("response.future", b'{"messages": 5}'),
        Event("response.tool.in_progress", b'{"tool_execution": "busy"}'),
    ],
)
def test_events_that_are_no_chunk_and_no_piece_of_the_answer_are_nothing(nothing: Event) -> None:
    reader = new_reader()
    assert reader.read(nothing) is None
    assert not reader.is_done


@pytest.mark.parametrize(
    ("bad", "words", "body"),
    [
        (event("error", {"message": "m"}), "the service sent an error inside the stream: m", {"message": "m"}),
        (event("response.error", {"status": 500}), "an error 500 inside the stream", {"status": 500}),
        (Event("error", b"plain text"), "inside the stream: plain text", "plain text"),
        (event("", {"status": 429, "message": "m"}), "an error 429 inside the stream: m", None),
        (event("", {"error": {"message": "m"}}), "inside the stream: m", None),
        (event(DELTA, {"status": 500, "message": "m"}), "an error 500 inside the stream: m", None),
        (event(END, {"message": "m", "messages": []}), "inside the stream: m", None),
        (Event("", b"text"), "an event of the stream is no ChatCompletionChunk: Invalid JSON", "text"),
        (Event(DELTA, b'{"messages": 5}'), "ChatCompletionChunk: messages: ", None),
        (Event(DELTA, b'{"messages": [{"content": [{"function_call": {"arguments": "{"}}]}]}'), "arguments: ", None),
        (Event(END, b"[]"), "an event of the stream is no ChatCompletionChunk", None),
        (Event(DELTA, ("[" * 100_000).encode()), "Invalid JSON", "[" * 100_000),
    ],
)
def test_errors_keep_what_had_arrived(bad: Event, words: str, body: Any) -> None:
    reader = new_reader()
    reader.read(event(DELTA, says("При")))
    error = reader.read(bad)
    assert type(error) is StreamError
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.body == (json.loads(bad.data) if body is None else body)
    assert error.text == "При"
    assert isinstance(error.partial, ChatCompletion)
    assert (error.partial.text, error.partial.request_id) == ("При", "abc")
    assert (error.__context__, error.__traceback__) == (None, None)
    assert not reader.is_done


@pytest.mark.parametrize(
    "good",
    [says("a", status="x"), {"finish_reason": "error", "error": {"message": "m"}}, {"error_details": {"message": "m"}}],
)
def test_words_of_an_error_beside_an_answer_are_no_error(good: Any) -> None:
    assert isinstance(new_reader().read(event("", good)), ChatCompletionChunk)


def test_a_cut_stream_keeps_what_had_arrived() -> None:
    reader = new_reader()
    reader.read(event(DELTA, says("ду", "reasoning")))
    reader.read(event(DELTA, says("Привет")))
    error = reader.interrupted("the service closed the connection")
    assert type(error) is StreamInterruptedError
    assert error.text == "Привет"
    assert isinstance(error.partial, ChatCompletion)
    assert (error.partial.text, error.partial.reasoning) == ("Привет", "ду")
    assert "6 characters had arrived" in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("аб ", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make dicts with some of the fields; each may hold anything once in a while."""
    mixed = {name: st.one_of(value, value, value, JSON) for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=mixed)


TEXT = st.text("аб ", max_size=3)
PROBABILITIES = st.lists(objects(chosen=objects(token=TEXT), top=st.lists(objects(token=TEXT), max_size=1)), max_size=2)
INLINE = objects(
    sources=st.dictionaries(TEXT, objects(url=TEXT), max_size=2), images=st.lists(objects(a=JSON), max_size=1)
)
WORK = objects(name=TEXT, status=TEXT, seconds_left=st.integers(0, 9))
CALL = st.fixed_dictionaries(  # arguments that are null, or text, come out as a dict
    {}, optional={"name": TEXT, "arguments": st.dictionaries(TEXT, JSON, max_size=1), "id": st.none() | TEXT}
)
PART = objects(
    text=TEXT,
    files=st.lists(st.fixed_dictionaries({"id": TEXT}), max_size=2),
    function_call=CALL,
    tool_execution=WORK,
    inline_data=INLINE,
    logprobs=PROBABILITIES,
    unknown=JSON,
)
MESSAGE = objects(
    role=st.sampled_from(["assistant", "assistant", "reasoning", "tool", "oracle"]),
    content=st.lists(PART, max_size=3),
    function_call=CALL,
    tool_execution=WORK,
    tool_state_id=TEXT,
    logprobs=PROBABILITIES,
    unknown=JSON,
)
DOCUMENT = objects(
    messages=st.lists(MESSAGE, max_size=3),
    finish_reason=st.sampled_from(["stop", None]),
    usage=objects(input_tokens=st.integers(0, 9)),
    created_at=st.integers(0, 9),
    tool_execution=WORK,
    logprobs=PROBABILITIES,
    additional_data=objects(execution_steps=st.lists(objects(step=objects(a=JSON)), max_size=1)),
    message=JSON,
    status=JSON,
    unknown=JSON,
)
NAMES = st.sampled_from(
    ["", DELTA, DELTA, END, "response.tool.in_progress", "response.tool.completed", "ping", "error"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, DOCUMENT | JSON), max_size=6))
def test_no_event_breaks_anything(events: list[tuple[str, Any]]) -> None:
    accumulator = ChatCompletionV2Accumulator()
    reader = EventReader(ChatCompletionChunk, accumulator, REQUEST, RESPONSE)
    said = thought = ""
    for name, document in events:
        result = reader.read(event(name, document))
        if isinstance(result, ChatCompletionChunk):
            assert result.to_dict() == document
            said, thought = said + result.text, thought + result.reasoning
        else:
            assert result is None or type(result) is StreamError
    partial = reader.interrupted("cut").partial
    whole = ChatCompletion() if partial is None else partial
    assert isinstance(whole, ChatCompletion)
    assert (whole.text, whole.reasoning) == (said, thought)
    assert accumulator.text == said
    assert all(message.content or len(message.to_dict()) > 2 for message in whole.messages if message.role == "tool")
