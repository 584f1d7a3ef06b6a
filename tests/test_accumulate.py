"""`_accumulate.py`: chunks added up are the answer they are pieces of."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk.types import ChatCompletion, ChatCompletionChunk

BASE = {"created": 1, "model": "GigaChat:2.0", "object": "chat.completion"}


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"choices": list(choices), **BASE, **fields}


def choice(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    ended = {} if finish_reason is None else {"finish_reason": finish_reason}
    return {"delta": delta, "index": index, **ended}


def added(*chunks: dict[str, Any]) -> ChatCompletionAccumulator:
    accumulator = ChatCompletionAccumulator()
    for document in chunks:
        accumulator.add(ChatCompletionChunk.model_validate(document))
    return accumulator


def whole(*chunks: dict[str, Any]) -> dict[str, Any]:
    partial = added(*chunks).partial()
    assert isinstance(partial, ChatCompletion)
    return partial.to_dict()


def answer(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", **message}, "index": 0, **choice}], **BASE}


@given(st.text(), st.lists(st.integers(0, 1000), max_size=10))
def test_a_text_split_anywhere_adds_up_to_itself(text: str, places: list[int]) -> None:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    accumulator = added(*(chunk(choice(content=piece)) for piece in pieces))
    assert accumulator.text == text
    partial = accumulator.partial()
    assert partial is not None
    assert partial.choices[0].message.content == text
    assert whole(*(chunk(choice(reasoning_content=piece)) for piece in pieces)) == answer({"reasoning_content": text})


PIECES = st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), max_size=12)


@given(PIECES)
def test_choices_are_kept_apart_and_in_order(pieces: list[tuple[int, str]]) -> None:
    accumulator = added(*(chunk(choice(index, content=piece)) for index, piece in pieces))
    texts = {index: "".join(text for at, text in pieces if at == index) for index, _ in pieces}
    partial = accumulator.partial()
    found = [] if partial is None else [(one.index, one.message.content) for one in partial.choices]
    assert found == sorted(texts.items())
    assert accumulator.text == texts.get(0, "")


def test_nothing_adds_up_to_nothing() -> None:
    accumulator = ChatCompletionAccumulator()
    assert accumulator.text == ""
    assert accumulator.partial() is None


def test_a_chunk_without_choices_is_something() -> None:
    assert whole({"choices": [], **BASE}) == {"choices": [], **BASE}


@pytest.mark.parametrize(
    ("chunks", "completion"),
    [
        (
            [
                chunk(choice(role="assistant", content="При")),
                chunk(choice(content="вет")),
                chunk(choice(0, "stop", content="")),
            ],
            answer({"content": "Привет"}, finish_reason="stop"),
        ),
        ([chunk(choice(content=""))], answer({"content": ""})),
        ([chunk(choice(role="assistant"))], answer({})),
        ([chunk(choice(content=None, role=None, function_call=None))], answer({})),
        ([chunk(choice(content="\r\n")), chunk(choice(content="\n\r"))], answer({"content": "\r\n\n\r"})),
        (
            [
                chunk(choice(role="assistant", content="")),
                chunk(
                    choice(
                        0,
                        "function_call",
                        content="",
                        function_call={"name": "f", "arguments": {"city": "Москва"}},
                        functions_state_id="state",
                    )
                ),
            ],
            answer(
                {
                    "content": "",
                    "function_call": {"name": "f", "arguments": {"city": "Москва"}},
                    "functions_state_id": "state",
                },
                finish_reason="function_call",
            ),
        ),
        (
            [chunk(choice(function_call={"name": "f", "arguments": '{"a": 1}'}))],
            answer({"function_call": {"name": "f", "arguments": {"a": 1}}}),
        ),
        (
            [
                chunk(choice(role="assistant", reasoning_content="ду")),
                chunk(choice(reasoning_content="маю")),
                chunk(choice(content="да")),
            ],
            answer({"reasoning_content": "думаю", "content": "да"}),
        ),
        (
            [
                chunk(choice(role="function_in_progress", content="2", name="text2image", created=5)),
                chunk(choice(role="function_in_progress", content="1", functions_state_id="s")),
                chunk(choice(role="assistant", content='<img src="1"/>')),
            ],
            answer({"content": '<img src="1"/>', "functions_state_id": "s"}),
        ),
        ([chunk(choice(role="function_in_progress", content="x"))], answer({})),
        ([chunk(choice(role="oracle", content="x"))], answer({"role": "oracle", "content": "x"})),
        (
            [chunk(choice(content="a", logprobs=[{"t": "a"}])), chunk(choice(content="b", logprobs=[{"t": "b"}]))],
            answer({"content": "ab", "logprobs": [{"t": "a"}, {"t": "b"}]}),
        ),
        (
            [chunk(choice(content="a", new={"x": 1})), chunk(choice(content="b", new={"x": 2}))],
            answer({"content": "ab", "new": {"x": 2}}),
        ),
        ([chunk(choice(content="a", inline_data={"s": [1]}))], answer({"content": "a", "inline_data": {"s": [1]}})),
        (
            [chunk(choice(0, "length", content="a")), chunk(choice(content="b"))],
            answer({"content": "ab"}, finish_reason="length"),
        ),
    ],
)
def test_chunks_add_up(chunks: list[dict[str, Any]], completion: dict[str, Any]) -> None:
    assert whole(*chunks) == completion


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "precached_prompt_tokens": 1}},
        {"thread_id": "t", "message_id": "m"},
        {"additional_data": {"a": 1}},
        {"error_details": {"b": 2}},
        {"future": [1], "usage": {"total_tokens": 3}},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_fields_of_any_chunk_are_kept(fields: dict[str, Any], place: int) -> None:
    chunks = [chunk(choice(content=text)) for text in "abc"]
    chunks[place].update(fields)
    assert whole(*chunks) == {**answer({"content": "abc"}), **fields}


def test_usage_may_come_alone_at_the_end() -> None:
    usage = {"total_tokens": 5}
    assert whole(chunk(choice(content="a")), {"choices": [], "usage": usage}) == {
        **answer({"content": "a"}),
        "usage": usage,
    }


def test_what_was_added_up_can_be_read_on_the_way_and_stays_as_it_was() -> None:
    accumulator = added(chunk(choice(content="a", logprobs=[{"t": 1}])))
    early = accumulator.partial()
    assert early is not None
    before = early.to_dict()
    accumulator.add(ChatCompletionChunk.model_validate(chunk(choice(content="b", logprobs=[{"t": 2}]))))
    assert early.to_dict() == before
    assert accumulator.text == "ab"


def test_chunks_are_not_changed() -> None:
    first = ChatCompletionChunk.model_validate(chunk(choice(content="a", logprobs=[{"t": 1}], new=[1]), extra=[1]))
    before = first.to_dict()
    accumulator = ChatCompletionAccumulator()
    accumulator.add(first)
    accumulator.add(first)
    partial = accumulator.partial()
    assert partial is not None
    assert partial.choices[0].message.logprobs == [{"t": 1}, {"t": 1}]
    assert first.to_dict() == before


def test_what_was_added_up_can_be_fed_back() -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    partial = added(chunk(choice(0, "function_call", content="", function_call=call, functions_state_id="s"))).partial()
    assert partial is not None
    message = partial.choices[0].message
    assert message.function_call is not None
    assert (message.role, message.function_call.arguments, message.functions_state_id) == ("assistant", {"a": 1}, "s")
