"""`_accumulate_threads.py`: events of a run added up are the answer they are pieces of."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat_sdk._accumulate_threads import ThreadCompletionAccumulator
from gigachat_sdk.types import ThreadCompletion, ThreadCompletionChunk

IDS = {"thread_id": "t", "message_id": "m", "model": "GigaChat:1", "object": "threads.messages.run", "created": 1}


def event(usage: dict[str, Any] | None = None, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    ended = {} if finish_reason is None else {"finish_reason": finish_reason}
    counted = {} if usage is None else {"usage": usage}
    return {"choices": [{"delta": delta, "index": 0, **ended}], **IDS, **counted}


def added(*events: dict[str, Any]) -> ThreadCompletionAccumulator:
    accumulator = ThreadCompletionAccumulator()
    for document in events:
        accumulator.add(ThreadCompletionChunk.model_validate(document))
    return accumulator


def whole(*events: dict[str, Any]) -> dict[str, Any]:
    partial = added(*events).partial()
    assert isinstance(partial, ThreadCompletion)
    return partial.to_dict()


def test_before_the_first_event_there_is_nothing() -> None:
    accumulator = added()
    assert (accumulator.partial(), accumulator.text) == (None, "")


@given(st.text(), st.lists(st.integers(0, 1000), max_size=10))
def test_a_text_split_anywhere_adds_up_to_itself(text: str, places: list[int]) -> None:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    events = [event(content=text[start:end]) for start, end in pairwise(edges)]
    assert added(*events).text == text
    assert whole(*events) == {**IDS, "message": {"role": "assistant", "content": text}}


COUNTS = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 99), "completion_tokens": st.integers(0, 99), "total_tokens": st.integers(0, 99)},
    optional={"precached_prompt_tokens": st.none() | st.integers(0, 99), "new_tokens": st.integers(0, 9)},
)


@given(st.lists(COUNTS, min_size=1, max_size=5))
def test_tokens_of_all_events_are_summed(usages: list[dict[str, Any]]) -> None:
    names = {name for usage in usages for name, value in usage.items() if value is not None}
    expected = {name: sum(usage.get(name) or 0 for usage in usages) for name in names}
    assert whole(*(event(usage, content="x") for usage in usages))["usage"] == expected


def test_what_is_no_count_is_taken_as_it_came_last() -> None:
    usages = [
        {"total_tokens": 1, "details": {"a": 1}, "kind": 5},
        {"total_tokens": 2, "details": {"a": 2}, "kind": "paid"},
        {"kind": 7},
    ]
    assert whole(*(event(usage) for usage in usages))["usage"] == {
        "total_tokens": 3,
        "details": {"a": 2},
        "kind": 7,
    }


def test_the_end_of_a_run_and_a_call_of_a_function() -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    answer = whole(event(role="assistant", content=""), event(function_call=call), event(finish_reason="function_call"))
    assert answer == {
        **IDS,
        "message": {"role": "assistant", "content": "", "function_call": call},
        "finish_reason": "function_call",
    }


def test_events_without_a_choice_still_name_the_thread() -> None:
    assert whole({"choices": [], **IDS}) == {**IDS, "message": {"role": "assistant"}}


@pytest.mark.parametrize("name", ["message", "finish_reason"])
def test_unknown_fields_of_events_do_not_take_the_place_of_known_ones(name: str) -> None:
    answer = whole({**event(content="да", finish_reason="stop"), name: 5})
    assert (answer["message"]["content"], answer["finish_reason"]) == ("да", "stop")


def test_a_field_of_another_type_costs_no_text() -> None:
    answer = whole({"choices": [{"delta": {"content": "да"}, "index": 0}], **IDS, "finish_reason": 5})
    assert answer["message"]["content"] == "да"
