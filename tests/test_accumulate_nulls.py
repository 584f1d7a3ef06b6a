"""A null in the place of anything that an event holds: a chunk, or an error of the stream, and never any other one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gigachat_sdk import StreamError
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._accumulate_threads import ThreadCompletionAccumulator
from gigachat_sdk._accumulate_v2 import ChatCompletionV2Accumulator
from gigachat_sdk._events import Event
from gigachat_sdk._response import ChunkReader
from gigachat_sdk._response_v2 import EventReader
from gigachat_sdk.types import ChatCompletionChunk, Headers, RequestInfo, ResponseInfo
from gigachat_sdk.types._narrow import is_dict, is_sequence
from gigachat_sdk.types.threads import ThreadCompletionChunk
from gigachat_sdk.types.v2 import ChatCompletionChunk as V2Chunk

REQUEST = RequestInfo("POST", "https://api.example/v1/chat/completions")
RESPONSE = ResponseInfo(200, Headers({}))
CALL = {"name": "f", "arguments": {"a": 1}, "id": "1"}
LOGPROB = {"chosen": {"token": "a", "token_id": 1, "logprob": -0.5}, "top": [{"token": "a"}], "new": {"a": 1}}
INLINE = {"sources": {"1": {"url": "a", "title": "b"}}, "images": [{"a": 1}], "widgets": [{"a": 1}], "new": {"a": 1}}
WORKING = {"name": "t", "status": "success", "seconds_left": 1, "censored": False}
V1: dict[str, Any] = {
    "choices": [
        {
            "delta": {
                "content": "a",
                "role": "assistant",
                "function_call": CALL,
                "functions_state_id": "s",
                "reasoning_content": "r",
                "attachments": ["f"],
                "name": "n",
                "created": 1,
                "inline_data": {"a": {"b": 1}},
                "logprobs": [{"token": "a"}],
                "new": {"a": 1},
            },
            "index": 0,
            "finish_reason": "stop",
        }
    ],
    "created": 1,
    "model": "GigaChat",
    "object": "chat.completion",
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "precached_prompt_tokens": 0, "new": 5},
    "thread_id": "t",
    "message_id": "m",
    "additional_data": {"execution_steps": [{"a": 1}]},
    "error_details": {"code": 1},
    "new": {"a": 1},
}
V2: dict[str, Any] = {
    "messages": [
        {
            "role": "assistant",
            "content": [
                {
                    "text": "a",
                    "files": [{"id": "f", "target": "image", "mime": "image/png"}],
                    "function_call": CALL,
                    "function_result": {"name": "f", "result": {"a": 1}, "id": "1"},
                    "tool_execution": WORKING,
                    "inline_data": INLINE,
                    "logprobs": [LOGPROB],
                    "new": {"a": 1},
                },
                {"text": "b", "inline_data": INLINE, "logprobs": [LOGPROB]},
            ],
            "message_id": "m",
            "tool_state_id": "s",
            "tools_state_id": "s",
            "function_call": CALL,
            "tool_execution": WORKING,
            "inline_data": INLINE,
            "logprobs": [LOGPROB],
            "finish_reason": "stop",
            "new": {"a": 1},
        }
    ],
    "model": "GigaChat-3-Ultra",
    "created_at": 1,
    "finish_reason": "stop",
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
    "thread_id": "t",
    "message_id": "m",
    "tools_state_id": "s",
    "tool_execution": WORKING,
    "logprobs": [LOGPROB],
    "additional_data": {"execution_steps": [{"event_type": "e", "ts_start": 1, "ts_end": 2, "step": {"a": 1}}]},
    "error_details": {"code": 1},
    "new": {"a": 1},
}
V2_PLAIN: dict[str, Any] = {
    "model": "m",
    "created_at": 1,
    "messages": [{"role": "assistant", "content": [{"text": "a"}]}],
}

Place = tuple[str | int, ...]


def places(value: Any, way: Place = ()) -> Iterator[Place]:
    """Every place in a document, from the whole to the last number."""
    yield way
    if is_dict(value):
        for name, part in value.items():
            yield from places(part, (*way, name))
    elif is_sequence(value):
        for index, part in enumerate(value):
            yield from places(part, (*way, index))


def with_null(document: Any, way: Place) -> Any:
    if not way:
        return None
    document = copy.deepcopy(document)
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = None
    return document


def new_reader(kind: str) -> tuple[ChunkReader[Any], Any]:
    if kind == "v1":
        chat = ChatCompletionAccumulator()
        return ChunkReader(ChatCompletionChunk, chat, REQUEST, RESPONSE), chat
    if kind == "thread":
        thread = ThreadCompletionAccumulator()
        return ChunkReader(ThreadCompletionChunk, thread, REQUEST, RESPONSE), thread
    v2 = ChatCompletionV2Accumulator()
    return EventReader(V2Chunk, v2, REQUEST, RESPONSE), v2


NAMES = {"v1": [""], "thread": [""], "v2": ["response.message.delta", "response.tool.in_progress", "other", ""]}
CASES = [
    pytest.param(kind, document, way, id=f"{kind}-{title}-{'.'.join(map(str, way))}")
    for kind, title, document in (
        ("v1", "full", V1),
        ("thread", "full", V1),
        ("v2", "full", V2),
        ("v2", "plain", V2_PLAIN),
    )
    for way in places(document)
]


@pytest.mark.parametrize(("kind", "document", "way"), CASES)
def test_a_null_anywhere_is_read_or_told(kind: str, document: dict[str, Any], way: Place) -> None:
    nulled = with_null(document, way)
    for name in NAMES[kind]:
        for order in ([nulled, document, nulled], [document, nulled, document]):
            reader, accumulator = new_reader(kind)
            last = "response.message.done" if kind == "v2" else name
            for event_name, told in zip((name, name, last), order, strict=True):
                read = reader.read(Event(event_name, json.dumps(told).encode()))
                if isinstance(read, StreamError):
                    assert told is nulled
                elif read is None:  # no chunk, by a name that is nobody's
                    assert (told is nulled, event_name) == (True, name)
                elif way[-1:] != ("arguments",):  # which are an object always
                    assert read.to_dict() == told
                whole = accumulator.partial()
                assert accumulator.text == "" if whole is None else whole.to_dict()


def test_a_message_without_content_takes_nothing_from_the_text() -> None:
    reader, accumulator = new_reader("v2")
    for content in (None, [{"text": "a"}], None, [{"text": "b"}]):
        document = {"model": "m", "created_at": 1, "messages": [{"role": "assistant", "content": content}]}
        chunk = reader.read(Event("response.message.delta", json.dumps(document).encode()))
        assert isinstance(chunk, V2Chunk)
        assert chunk.to_dict() == document
        assert chunk.text == accumulator.text_of(chunk) == "".join(part["text"] for part in content or ())
    assert accumulator.text == "ab"
