"""`types/chat_completion.py` and `types/models.py`: answers are read leniently, and nothing of them is lost."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from gigachat_sdk.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    FunctionCall,
    KnownModel,
    Model,
    Usage,
)

DEEP = "[" * 100_000


def completion(message: dict[str, Any], **choice: Any) -> ChatCompletion:
    return ChatCompletion.model_validate_json(json.dumps({"choices": [{"message": message, **choice}]}))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": ""},
        {"role": "assistant"},
        {"content": "текст"},
        {},
        {"role": "oracle", "content": "x"},
        {"role": "function_in_progress", "content": "x"},
        {"role": "assistant", "content": "x", "functions_state_id": "f0"},
        {"role": "assistant", "content": "x", "functions_state_id": None, "function_call": None, "name": None},
        {"role": "assistant", "content": "x", "reasoning_content": "думаю"},
        {"role": "assistant", "content": "x", "attachments": ["a", "b"], "created": 1, "name": "f"},
        {"role": "assistant", "content": "x", "inline_data": {"sources": [{"url": "https://a"}]}},
        {"role": "assistant", "content": "x", "logprobs": [{"chosen": {"token": "a", "logprob": -0.5}}]},
        {"role": "assistant", "content": "x", "citations": [{"n": 1}], "новое": None},
        {"role": "assistant", "content": "x\u2028y\u0085z", "future": {"deep": [[[1]]]}},
    ],
)
def test_messages_are_read_and_given_back_as_they_came(message: dict[str, Any]) -> None:
    answer = completion(message)
    assert answer.to_dict() == {"choices": [{"message": message}]}
    read = answer.choices[0].message
    assert read.role == message.get("role", "assistant")
    assert read.content == message.get("content")


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ({"city": "Москва", "days": 0}, {"city": "Москва", "days": 0}),
        ({}, {}),
        ('{"city": "Москва", "days": 0}', {"city": "Москва", "days": 0}),
        ('  {"a": [1, {"b": null}]}\n', {"a": [1, {"b": None}]}),
        ("{}", {}),
        ("null", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_function_arguments_come_in_many_shapes_and_are_a_dict(arguments: Any, read: dict[str, Any]) -> None:
    answer = completion({"function_call": {"name": "f", "arguments": arguments}}, finish_reason="function_call")
    call = answer.choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments) == ("f", read)
    assert answer.to_dict()["choices"][0]["message"]["function_call"]["arguments"] == read
    assert FunctionCall.model_validate({"name": "f", "arguments": arguments}).arguments == read


def test_function_calls_may_lack_everything() -> None:
    call = completion({"function_call": {}}).choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments, call.id) == ("", {}, None)
    other = FunctionCall.model_validate({})
    other.arguments["changed"] = True
    assert FunctionCall.model_validate({}).arguments == {}


@pytest.mark.parametrize("arguments", ["{", "текст", "[1]", "5", '"text"', [1], 5, True, DEEP])
def test_arguments_that_are_no_object_are_refused_by_name(arguments: Any) -> None:
    with pytest.raises(ValueError, match="arguments") as caught:
        completion({"function_call": {"name": "f", "arguments": arguments}})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("reason", ["stop", "length", "function_call", "blacklist", "error", "made up", None])
def test_finish_reasons_are_an_open_set(reason: str | None) -> None:
    assert completion({"content": "x"}, finish_reason=reason).choices[0].finish_reason == reason


def test_a_choice_needs_neither_index_nor_reason() -> None:
    choice = completion({"content": "x"}).choices[0]
    assert (choice.index, choice.finish_reason) == (0, None)


@pytest.mark.parametrize(
    ("document", "cached"),
    [
        ({"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 18, "precached_prompt_tokens": 2}, 2),
        ({"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 20, "precached_prompt_tokens": 0}, 0),
        ({"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 20}, None),
        ({"prompt_tokens": 138, "completion_tokens": 21, "total_tokens": 159, "system_tokens": 0}, None),
        ({}, None),
    ],
)
def test_usage_is_what_the_service_counted(document: dict[str, Any], cached: int | None) -> None:
    answer = ChatCompletion.model_validate({"choices": [], "usage": document})
    assert isinstance(answer.usage, Usage)
    assert answer.usage.precached_prompt_tokens == cached
    assert answer.usage.total_tokens == document.get("total_tokens", 0)
    assert answer.to_dict()["usage"] == document


def test_a_completion_needs_its_choices_only() -> None:
    answer = ChatCompletion.model_validate({"choices": []})
    assert (answer.created, answer.model, answer.object, answer.usage) == (0, "", "", None)
    assert (answer.thread_id, answer.message_id, answer.additional_data, answer.error_details) == (None,) * 4
    with pytest.raises(ValueError, match="choices"):
        ChatCompletion.model_validate({"created": 1})


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [], "usage": None, "thread_id": None},
        {"choices": [], "object": "chat.completions", "model": "GigaChat:2.0.28.2", "created": 1},
        {"choices": [], "thread_id": "t", "message_id": "m", "additional_data": {"a": 1}, "error_details": {"b": 2}},
        {"choices": [{"message": {"content": "a"}, "index": 1}, {"message": {"content": "b"}, "index": 0}], "x": [1]},
    ],
)
def test_completions_are_given_back_as_they_came(document: dict[str, Any]) -> None:
    answer = ChatCompletion.model_validate_json(json.dumps(document))
    assert answer.to_dict() == document
    assert json.loads(answer.to_json()) == document
    assert ChatCompletion.model_validate(answer.to_dict()) == answer


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "Прив", "role": "assistant"},
        {"content": ""},
        {"content": None, "role": None},
        {},
        {"role": "function_in_progress", "content": ""},
        {"role": "search_in_progress", "extra": 1},
        {"function_call": {"name": "f", "arguments": {"a": 1}}, "functions_state_id": "s"},
        {"reasoning_content": "думаю", "created": 1, "inline_data": {"a": 1}, "name": "f", "logprobs": [{"a": 1}]},
    ],
)
def test_chunks_are_given_back_as_they_came(delta: dict[str, Any]) -> None:
    document = {"choices": [{"delta": delta, "index": 0}], "created": 1, "model": "m", "object": "chat.completion"}
    chunk = ChatCompletionChunk.model_validate_json(json.dumps(document))
    assert chunk.to_dict() == document
    assert chunk.choices[0].delta.content == delta.get("content")


def test_a_chunk_without_choices_brings_the_usage() -> None:
    chunk = ChatCompletionChunk.model_validate({"choices": [], "usage": {"total_tokens": 5}})
    assert chunk.usage is not None
    assert chunk.usage.total_tokens == 5


@pytest.mark.parametrize("kind", ["chat", "embedder", "aicheck", "filter", "made up", None])
def test_types_of_models_are_an_open_set(kind: str | None) -> None:
    model = Model.model_validate({"id": "m", "type": kind})
    assert (model.id, model.type, model.object, model.owned_by) == ("m", kind, "model", "")


def test_known_models_are_names_without_a_version() -> None:
    names = get_args(KnownModel)
    assert "GigaChat" in names
    assert len(set(names)) == len(names)
    assert not any(":" in name for name in names)


def test_a_message_may_be_built_by_hand() -> None:
    assert ChatCompletionMessage(content="x").to_dict() == {"content": "x"}
    call = FunctionCall(name="f", arguments={"a": 1})
    assert ChatCompletionMessage(function_call=call).to_dict() == {
        "function_call": {"name": "f", "arguments": {"a": 1}}
    }


def test_text_that_is_no_utf_8_in_arguments_does_not_break_the_json_of_the_answer() -> None:
    """JSON text can spell half a character (`\\ud83d` alone); the model writes such text now and then."""
    answer = completion({"function_call": {"name": "f", "arguments": '{"text": "\\ud83d"}'}})
    assert json.loads(answer.to_json())["choices"][0]["message"]["function_call"]["name"] == "f"
