"""`types/v2`: answers are read leniently and without loss, and say what is asked of them most."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gigachat_sdk.types import GeneratedFile, Headers, ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.v2 import (
    ChatCompletion,
    ChatCompletionChunk,
    ContentPart,
    FunctionCall,
    ParsedChatCompletion,
    ResponseMessage,
)
from gigachat_sdk.types.v2.completion import added_texts, name_event, set_added_texts

CALL = {"name": "f", "arguments": {"city": "Москва"}}
PICTURE = {"id": "p", "mime": "image/jpeg", "target": "image"}


def read(document: dict[str, Any]) -> ChatCompletion:
    """Read a document, and make sure that nothing of it is lost."""
    completion = ChatCompletion.model_validate_json(json.dumps(document))
    assert completion.to_dict() == document
    assert json.loads(completion.to_json()) == document
    assert ChatCompletion.model_validate(completion.to_dict()) == completion
    return completion


def message(*parts: dict[str, Any], role: str = "assistant", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts), **more}


DOCUMENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "only messages": {"messages": []},
    "messages that are null": {"messages": None},
    "content that is null": {"messages": [{"role": "assistant", "content": None}]},
    "content that is missing": {"messages": [{"role": "assistant"}]},
    "no role": {"messages": [{"content": []}]},
    "a time as text": {"created_at": "1780321855", "messages": []},
    "an unknown role and reason": {"messages": [message(role="oracle")], "finish_reason": "boredom"},
    "unknown fields everywhere": {
        "new": {"a": [1]},
        "messages": [message({"text": "x", "new": 1}, {"video": {"id": 5}}, new=[2])],
        "usage": {"input_tokens": 1, "new": 3, "input_tokens_details": {"cached_tokens": 1, "new": 4}},
    },
    "all of a message": {
        "messages": [
            message(
                {"text": "см. [sources=[2]]", "inline_data": {"sources": {"2": {"url": "u", "title": "t", "n": 1}}}},
                {"files": [PICTURE, {"id": "a"}]},
                {"function_call": {**CALL, "id": "1"}},
                {"function_result": {"name": "f", "result": {"a": 1}, "id": "1"}},
                {"function_result": {"name": "f", "result": '{"a": 1}'}},
                {"tool_execution": {"name": "image_generate", "status": "success", "censored": False}},
                {"text": "a", "logprobs": [{"chosen": {"token": "a", "token_id": 5, "logprob": -0.1}, "top": []}]},
                {"inline_data": {"images": [{"id": 1}], "widgets": [{"id": 2}]}},
                message_id="m",
                tool_state_id="s",
                tools_state_id="s",
                function_call=CALL,
                tool_execution={"name": "web_search", "seconds_left": 3},
                inline_data={"sources": {}},
                logprobs=[{"chosen": None, "top": None}],
                finish_reason="stop",
            )
        ]
    },
    "all of an answer": {
        "model": "GigaChat-3-Ultra:32",
        "created_at": 1,
        "messages": [message({"text": "a"})],
        "finish_reason": "stop",
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": {}},
        "thread_id": "t",
        "message_id": "m",
        "tools_state_id": "s",
        "tool_execution": {"name": "x", "status": "fail", "seconds_left": 0.5},
        "logprobs": [],
        "additional_data": {
            "execution_steps": [
                {
                    "ts_start": 1,
                    "ts_end": "2",
                    "event_type": "call",
                    "step": {"function_call": CALL, "functions_in": []},
                }
            ]
        },
        "error_details": {"code": 1},
        "object": "chat.completion",
        "id": "i",
    },
    "additional data as a list": {"messages": [], "additional_data": [{"a": 1}]},
    "additional data with null": {"messages": [], "additional_data": {"execution_steps": None}},
    "null wherever a value may be missing": {
        "messages": [{"role": "assistant", "content": [{"text": None, "files": None}], "function_call": None}],
        "finish_reason": None,
        "usage": None,
        "additional_data": None,
    },
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_answers_are_read_without_loss(name: str) -> None:
    completion = read(DOCUMENTS[name])
    assert isinstance(completion.messages, list)
    assert all(isinstance(one.content, list) for one in completion.messages)
    assert pickle.loads(pickle.dumps(completion)) == completion


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none() | st.text(max_size=3),
        "files": st.none() | st.lists(st.fixed_dictionaries({"id": st.text(max_size=2)}), max_size=2),
        "function_call": st.just(CALL),
        "unknown": JSON,
    },
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"role": st.text(max_size=3), "content": st.none() | st.lists(PARTS, max_size=3), "unknown": JSON}
)


@given(
    st.fixed_dictionaries(
        {}, optional={"messages": st.none() | st.lists(MESSAGES, max_size=3), "created_at": st.integers(), "x": JSON}
    )
)
def test_any_answer_comes_out_as_it_came(document: dict[str, Any]) -> None:
    read(document)


def test_an_empty_list_that_came_as_null_is_a_list_like_any_other() -> None:
    completion = ChatCompletion.model_validate_json('{"messages": null}')
    assert completion.messages == []
    completion.messages.append(ResponseMessage(role="assistant"))
    assert completion.to_dict() == {"messages": [{"role": "assistant"}]}


def test_what_is_no_answer_is_refused() -> None:
    for document in ("[]", '{"messages": {}}', '{"messages": [{"content": "текст"}]}', '{"messages": [{"role": 5}]}'):
        with pytest.raises(ValidationError):
            ChatCompletion.model_validate_json(document)


def test_text_is_what_the_assistant_says() -> None:
    completion = read(
        {
            "messages": [
                message({"text": "Хм, "}, {"text": "подумаю"}, role="reasoning"),
                message({"text": "Вот "}, {"files": [PICTURE]}, {"text": ""}, {"text": "кот"}),
                message({"text": "не для чтения"}, role="tool"),
                message({"text": "."}),
            ]
        }
    )
    assert completion.text == "Вот кот."
    assert completion.reasoning == "Хм, подумаю"
    assert [one.text for one in completion.messages] == ["Хм, подумаю", "Вот кот", "не для чтения", "."]


def test_nothing_says_nothing() -> None:
    completion = ChatCompletion()
    assert (completion.text, completion.reasoning, completion.function_calls) == ("", "", [])
    assert (completion.files, completion.images(), completion.messages) == ([], [], [])
    assert (completion.model, completion.created_at, completion.usage) == ("", 0, None)
    assert ResponseMessage().state_id is None


def test_function_calls_are_found_in_parts_and_beside_them() -> None:
    other = {**CALL, "name": "g", "id": "2"}
    completion = read(
        {"messages": [message({"text": "a"}, {"function_call": CALL}, {"function_call": other}), message()]}
    )
    assert completion.function_calls == [FunctionCall(**CALL), FunctionCall(**other)]
    assert read({"messages": [{"role": "assistant", "function_call": CALL}]}).function_calls == [FunctionCall(**CALL)]
    both = read({"messages": [message({"function_call": CALL}, function_call=CALL)]})
    assert both.function_calls == [FunctionCall(**CALL)]
    more = read({"messages": [message({"function_call": CALL}, {"function_call": other}, function_call=CALL)]})
    assert more.function_calls == [FunctionCall(**CALL), FunctionCall(**other)]


@pytest.mark.parametrize("arguments", ['{"city": "Москва"}', {"city": "Москва"}])
def test_arguments_are_a_dict_whatever_they_came_as(arguments: Any) -> None:
    completion = ChatCompletion.model_validate(
        {"messages": [message({"function_call": {"name": "f", "arguments": arguments}})]}
    )
    assert completion.function_calls[0].arguments == {"city": "Москва"}


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"tool_state_id": "a"}, "a"),
        ({"tools_state_id": "b"}, "b"),
        ({"tool_state_id": "", "tools_state_id": "b"}, "b"),
    ],
)
def test_the_state_has_two_names(fields: dict[str, str], state: str) -> None:
    assert ResponseMessage.model_validate(fields).state_id == state


def test_pictures_can_be_downloaded_by_what_the_answer_says() -> None:
    files = [
        PICTURE,
        {"id": "a", "mime": "audio/mp3", "target": "audio"},
        {"id": "j", "mime": "image/png"},
        {"id": "c", "mime": "image/png", "target": "cover"},
        {"id": "n"},
    ]
    completion = read({"messages": [message({"files": files[:2]}), message({"files": files[2:]})]})
    assert [file.id for file in completion.files] == ["p", "a", "j", "c", "n"]
    assert completion.images() == [
        GeneratedFile("p", None, "image/jpeg", "image"),
        GeneratedFile("j", None, "image/png", None),
    ]
    attach(completion, ResponseInfo(200, Headers(), sent_client_id="me"))
    assert [image.client_id for image in completion.images()] == ["me", "me"]


def chunk(event: str, **fields: Any) -> ChatCompletionChunk:
    made = ChatCompletionChunk.model_validate(fields)
    name_event(made, event)
    return made


def test_a_chunk_knows_its_event_and_does_not_show_it() -> None:
    made = chunk("response.message.delta", messages=[message({"text": "a"})])
    assert made.event == "response.message.delta"
    assert made.to_dict() == {"messages": [message({"text": "a"})]}
    assert "event" not in made.to_json()
    assert ChatCompletionChunk().event == ""


def test_a_chunk_says_what_it_adds() -> None:
    made = chunk("", messages=[message({"text": "a"}), message({"text": "b"}, role="reasoning")])
    assert (made.text, made.reasoning) == ("a", "b")
    set_added_texts(made, {"assistant": "c"})
    assert (made.text, made.reasoning) == ("c", "")
    assert made.messages[0].text == "a"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@pytest.mark.parametrize("added", [None, {"assistant": "c"}])
def test_copies_of_a_chunk_know_as_much(copied: Any, added: dict[str, str] | None) -> None:
    made = attach(chunk("e", messages=[message({"text": "a"})]), ResponseInfo(200, Headers({"x-request-id": "1"})))
    set_added_texts(made, added)
    twin = copied(made)
    assert (twin, twin.event, twin.text, twin.request_id) == (made, "e", "a" if added is None else "c", "1")
    assert added_texts(twin) == added
    name_event(twin, "other")
    assert made.event == "e"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_fields_named_like_our_own_are_the_services(copied: Any) -> None:
    fields = {"_added": {"assistant": "no"}, "_event": 5, "_response_info": {"request_id": "no"}}
    made = ChatCompletionChunk.model_validate({"messages": [message({"text": "a"})], **fields})
    for one in (made, copied(made)):
        assert (one.text, one.event, one.response, one.request_id, added_texts(one)) == ("a", "", None, None, None)
        assert one.to_dict() == {"messages": [message({"text": "a"})], **fields}


def test_what_was_parsed_does_not_come_out() -> None:
    document = {"messages": [message({"text": "5"})]}
    completion = ParsedChatCompletion[Any].model_validate(document)
    assert completion.parsed is None
    completion.parsed = 5
    assert (completion.to_dict(), json.loads(completion.to_json())) == (document, document)
    assert isinstance(completion, ChatCompletion)


def test_parts_can_be_made_by_hand() -> None:
    assert ContentPart(text="a").to_dict() == {"text": "a"}


@pytest.mark.parametrize(
    "document",
    [
        {"tool_execution": {"name": "web_search", "seconds_left": 3}},
        {"messages": [{"role": "assistant", "tool_execution": {"name": "web_search", "seconds_left": 3}}]},
        {"messages": [{"content": [{"text": "?"}, {"tool_execution": {"name": "web_search", "seconds_left": 3}}]}]},
    ],
    ids=["the event", "a message", "a part"],
)
def test_how_far_a_tool_is_may_stand_anywhere(document: dict[str, Any]) -> None:
    chunk = ChatCompletionChunk.model_validate(document)
    assert chunk.tool_progress is not None
    assert (chunk.tool_progress.name, chunk.tool_progress.seconds_left) == ("web_search", 3)
    assert chunk.to_dict() == document


def test_most_events_say_nothing_of_tools() -> None:
    assert ChatCompletionChunk.model_validate({"messages": [{"content": [{"text": "a"}]}, {}]}).tool_progress is None
