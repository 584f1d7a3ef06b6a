"""`_accumulate_v2.py`: events added up are the answer they are pieces of, however the last one tells it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat_sdk._accumulate_v2 import ChatCompletionV2Accumulator
from gigachat_sdk.types.v2 import ChatCompletion, ChatCompletionChunk
from gigachat_sdk.types.v2.completion import name_event

DELTA, DONE = "response.message.delta", "response.message.done"
WORKING, WORKED = "response.tool.in_progress", "response.tool.completed"
BASE: dict[str, Any] = {"model": "GigaChat-3-Ultra:32", "created_at": 1}
END: dict[str, Any] = {"finish_reason": "stop", "usage": {"total_tokens": 3}}
CALL: dict[str, Any] = {"function_call": {"name": "f", "arguments": {"a": None}}}
OTHER: dict[str, Any] = {"function_call": {"name": "g", "arguments": {}, "id": "2"}}
PICTURE: dict[str, Any] = {"files": [{"id": "p", "mime": "image/jpeg"}]}
SOURCES: dict[str, Any] = {"inline_data": {"sources": {"1": {"url": "a"}}}}

Given = tuple[str, dict[str, Any]]


def text(value: str, **beside: Any) -> dict[str, Any]:
    return {"text": value, **beside}


def message(*parts: dict[str, Any], role: str = "assistant", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts), **fields}


def delta(*parts: dict[str, Any], role: str = "assistant", event: str = DELTA, **fields: Any) -> Given:
    return event, {**BASE, "messages": [message(*parts, role=role, **fields)]}


def done(*messages: dict[str, Any], event: str = DONE, **fields: Any) -> Given:
    said = {"messages": list(messages)} if messages else {}
    return event, {**BASE, **END, **said, **fields}


def added(*events: Given) -> tuple[ChatCompletionV2Accumulator, str]:
    """Add events up; return the sum, and the text that they said to add."""
    accumulator, said = ChatCompletionV2Accumulator(), ""
    for name, document in events:
        chunk = ChatCompletionChunk.model_validate(document)
        name_event(chunk, name)
        accumulator.add(chunk)
        assert chunk.to_dict() == document
        said += accumulator.text_of(chunk)
    return accumulator, said


def whole(*events: Given) -> dict[str, Any]:
    accumulator, said = added(*events)
    completion = accumulator.partial()
    assert isinstance(completion, ChatCompletion)
    assert completion.text == accumulator.text == said
    return completion.to_dict()


def answer(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**BASE, **END, "messages": list(messages), **fields}


@given(st.text(), st.lists(st.integers(0, 1000), max_size=10), st.sampled_from(["assistant", "reasoning"]))
def test_a_text_split_anywhere_adds_up_to_itself(value: str, places: list[int], role: str) -> None:
    edges = [0, *sorted(place % (len(value) + 1) for place in places), len(value)]
    pieces = [value[start:end] for start, end in pairwise(edges)]
    parts = [text(value)] if value else []
    assert whole(*(delta(text(piece), role=role) for piece in pieces), done()) == answer(
        *([message(*parts, role=role)] if pieces else [])
    )


TEXTS = st.lists(st.text("аб ", min_size=1, max_size=3), min_size=1, max_size=5)


@given(TEXTS, st.booleans(), st.booleans())
def test_a_last_event_that_repeats_the_text_adds_nothing(pieces: list[str], is_stripped: bool, is_named: bool) -> None:
    value = "".join(pieces)
    told = value.strip() if is_stripped else value
    event = DONE if is_named else ""
    said = whole(*(delta(text(piece)) for piece in pieces), done(message(text(told)), event=event))
    assert said == answer(message(text(value)))


@given(TEXTS, st.text("вг", min_size=1, max_size=3))
def test_a_last_event_may_bring_the_last_piece_or_the_whole(pieces: list[str], last: str) -> None:
    value = "".join(pieces)
    before = [delta(text(piece)) for piece in pieces]
    assert whole(*before, done(message(text(last)))) == answer(message(text(value + last)))
    assert whole(*before, done(message(text(value + last)))) == answer(message(text(value + last)))
    assert whole(done(message(text(value)))) == answer(message(text(value)))


def test_a_last_event_without_a_name_ends_it_by_its_reason() -> None:
    assert whole(delta(text("а"), event=""), done(message(text("а")), event="")) == answer(message(text("а")))
    assert whole(delta(text("а"), event=""), delta(text("а"), event="")) == {**BASE, "messages": [message(text("аа"))]}


def test_reasons_in_the_middle_of_named_events_end_nothing() -> None:
    events = [delta(text("а")), (DELTA, {**BASE, "messages": [message(text("а"))], "finish_reason": "stop"})]
    assert whole(*events)["messages"] == [message(text("аа"))]


def test_a_done_event_without_a_reason_is_the_last_all_the_same() -> None:
    assert whole(delta(text("аб")), delta(text("аб"), event=DONE))["messages"] == [message(text("аб"))]


CASES: dict[str, tuple[list[Given], dict[str, Any]]] = {
    "the recorded way": ([delta(text("1, 2, 3")), done()], answer(message(text("1, 2, 3")))),
    "only an end": ([done()], answer()),
    "an empty text is no part": ([delta(text("")), done(message(text("")))], answer(message())),
    "a role alone": ([(DELTA, {**BASE, "messages": [{"role": "assistant"}]}), done()], answer()),
    "no role": ([(DELTA, {**BASE, "messages": [{"content": [text("a")]}]}), done()], answer(message(text("a")))),
    "roles are kept apart": (
        [
            delta(text("ду"), role="reasoning"),
            delta(text("От")),
            delta(text("маю"), role="reasoning"),
            delta(text("вет")),
            done(message(text("Ответ"))),
        ],
        answer(message(text("думаю"), role="reasoning"), message(text("Ответ"))),
    ),
    "two messages of an event": (
        [(DELTA, {**BASE, "messages": [message(text("a"), role="reasoning"), message(text("b"))]}), done()],
        answer(message(text("a"), role="reasoning"), message(text("b"))),
    ),
    "several parts of an event": (
        [delta(text("a"), PICTURE, text("b")), delta(text("c")), done()],
        answer(message(text("a"), PICTURE, text("bc"))),
    ),
    "a call at the end": (
        [done(message(CALL, tool_state_id="s"), finish_reason="function_call")],
        answer(message(CALL, tool_state_id="s"), finish_reason="function_call"),
    ),
    "a text, and calls at the end": (
        [delta(text("Сейчас")), done(message(CALL, OTHER, tool_state_id="s"))],
        answer(message(text("Сейчас"), CALL, OTHER, tool_state_id="s")),
    ),
    "calls repeated at the end": (
        [delta(CALL), delta(OTHER), done(message(CALL, OTHER, tool_state_id="s"))],
        answer(message(CALL, OTHER, tool_state_id="s")),
    ),
    "equal calls are two": ([done(message(CALL, CALL))], answer(message(CALL, CALL))),
    "equal calls one by one are two": ([delta(CALL), delta(CALL), done()], answer(message(CALL, CALL))),
    "one of two equal calls is new": ([delta(CALL), done(message(CALL, CALL))], answer(message(CALL, CALL))),
    "everything repeated": (
        [
            delta(PICTURE),
            delta(text("Ко", **SOURCES)),
            delta(text("т")),
            done(message(PICTURE, text("Кот", **SOURCES))),
        ],
        answer(message(PICTURE, text("Кот", **SOURCES))),
    ),
    "everything repeated and more": (
        [delta(text("Ко")), done(message(PICTURE, text("Кот", **SOURCES), CALL))],
        answer(message(text("Ко"), PICTURE, text("т", **SOURCES), CALL)),
    ),
    "sources come in pieces": (
        [
            delta(text("a", inline_data={"sources": {"1": {"url": "a"}}, "images": [{"i": 1}]})),
            delta({"inline_data": {"sources": {"2": {"url": "b"}}, "images": [{"i": 2}], "new": 1}}),
            delta(text("b")),
            done(),
        ],
        answer(
            message(
                text(
                    "ab",
                    inline_data={"sources": {"1": {"url": "a"}, "2": {"url": "b"}}, "images": [{"i": 2}], "new": 1},
                )
            )
        ),
    ),
    "sources before any text": (
        [delta(SOURCES), delta(text("a")), done()],
        answer(message(SOURCES, text("a"))),
    ),
    "probabilities come in pieces": (
        [
            delta(text("a", logprobs=[{"chosen": {"token": "a"}}])),
            delta(text("b", logprobs=[{"chosen": {"token": "b"}}])),
            done(),
        ],
        answer(message(text("ab", logprobs=[{"chosen": {"token": "a"}}, {"chosen": {"token": "b"}}]))),
    ),
    "probabilities are repeated": (
        [
            delta(text("a", logprobs=[{"chosen": {"token": "a"}}])),
            done(message(text("a", logprobs=[{"chosen": {"token": "a"}}]))),
        ],
        answer(message(text("a", logprobs=[{"chosen": {"token": "a"}}]))),
    ),
    "probabilities of the last piece": (
        [
            delta(text("a", logprobs=[{"chosen": {"token": "a"}}])),
            done(message(text("b", logprobs=[{"chosen": {"token": "b"}}]))),
        ],
        answer(message(text("ab", logprobs=[{"chosen": {"token": "a"}}, {"chosen": {"token": "b"}}]))),
    ),
    "probabilities beside the messages": (
        [(DELTA, {**BASE, "messages": [], "logprobs": [{"top": []}]}), done(logprobs=[{"top": []}])],
        answer(logprobs=[{"top": []}, {"top": []}]),
    ),
    "a tool at work": (
        [
            (WORKING, {**BASE, "tool_execution": {"name": "image_generate", "seconds_left": 9}}),
            (WORKING, {**BASE, "messages": [{"role": "assistant", "tool_execution": {"name": "image_generate"}}]}),
            delta({"tool_execution": {"name": "image_generate", "seconds_left": 3}}, event=WORKING),
            (WORKED, {**BASE, "tool_execution": {"name": "image_generate", "status": "success"}}),
            delta(PICTURE),
            delta(text("Кот")),
            done(),
        ],
        answer(message(PICTURE, text("Кот"))),
    ),
    "a tool that brings something": (
        [delta(PICTURE, event=WORKED, tool_state_id="s"), delta(text("Кот")), done()],
        answer(message(PICTURE, text("Кот"), tool_state_id="s")),
    ),
    "a tool at work, untold by the event": (
        [delta({"tool_execution": {"name": "x"}}, event=""), delta(text("a"), event=""), done(event="")],
        answer(message(text("a"))),
    ),
    "a tool that has worked is a part": (
        [delta({"tool_execution": {"name": "x", "status": "success"}}), done(tool_execution={"status": "success"})],
        answer(message({"tool_execution": {"name": "x", "status": "success"}}), tool_execution={"status": "success"}),
    ),
    "what stands beside the content": (
        [delta(text("a"), message_id="m", new=[1]), delta(text("b"), new=[2]), done(message(message_id="n"))],
        answer(message(text("ab"), message_id="n", new=[2])),
    ),
    "what stands beside the messages": (
        [
            (DELTA, {**BASE, "messages": [], "thread_id": "t", "new": 1}),
            delta(text("a")),
            done(additional_data={"execution_steps": [{"event_type": "e"}]}, new=2),
        ],
        answer(message(text("a")), thread_id="t", new=2, additional_data={"execution_steps": [{"event_type": "e"}]}),
    ),
    "an unknown part": (
        [delta({"video": {"id": 1}}), delta(text("a")), done()],
        answer(message({"video": {"id": 1}}, text("a"))),
    ),
    "a call beside the content": (
        [(DONE, {**BASE, **END, "messages": [{"role": "assistant", **CALL}]})],
        answer(message(**CALL)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_events_add_up(name: str) -> None:
    events, expected = CASES[name]
    assert whole(*events) == expected


def test_what_a_last_event_repeats_is_not_said_again_by_any_role() -> None:
    accumulator = ChatCompletionV2Accumulator()
    for name, document in (
        delta(text("ду"), role="reasoning"),
        delta(text("а")),
        done(message(text("думаю"), role="reasoning"), message(text("аб"))),
    ):
        chunk = ChatCompletionChunk.model_validate(document)
        name_event(chunk, name)
        accumulator.add(chunk)
    assert (chunk.text, chunk.reasoning) == ("б", "маю")
    assert chunk.messages[1].text == "аб"


def test_nothing_adds_up_to_nothing() -> None:
    accumulator = ChatCompletionV2Accumulator()
    assert (accumulator.text, accumulator.partial()) == ("", None)


def test_what_was_added_up_can_be_read_on_the_way_and_stays_as_it_was() -> None:
    accumulator, _ = added(delta(text("a", logprobs=[{"top": []}], **SOURCES)))
    early = accumulator.partial()
    assert early is not None
    before = early.to_dict()
    for name, document in (
        delta(text("b", logprobs=[{"top": []}], inline_data={"sources": {"2": {}}})),
        delta(PICTURE),
        delta(text("c")),
    ):
        chunk = ChatCompletionChunk.model_validate(document)
        name_event(chunk, name)
        accumulator.add(chunk)
    assert early.to_dict() == before
    assert accumulator.text == "abc"
    late = accumulator.partial()
    assert late is not None
    assert accumulator.partial() == late
