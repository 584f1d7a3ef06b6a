"""`types/threads.py` and `types/threads_params.py`: threads, their messages, their runs."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from gigachat_sdk import ChatCompletionChunk, InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import (
    Thread,
    ThreadCompletion,
    ThreadCompletionChunk,
    ThreadList,
    ThreadMessageList,
    ThreadMessagesCreated,
    ThreadMessagesRerunParams,
    ThreadMessagesRunParams,
    ThreadRun,
    ThreadRunParams,
)
from gigachat_sdk.types._base import RequestModel
from gigachat_sdk.types.request_options import RequestOptions
from gigachat_sdk.types.threads_params import (
    ThreadCreateRequest,
    ThreadMessagesCreateRequest,
    ThreadMessagesQuery,
    ThreadMessagesRerunRequest,
    ThreadMessagesRunRequest,
    ThreadRequest,
    ThreadRunRequest,
    ThreadsQuery,
    ThreadsRetrieveRequest,
)

USER = [{"role": "user", "content": "Привет"}]
RUNS = [ThreadRunRequest, ThreadMessagesRunRequest, ThreadMessagesRerunRequest]


@pytest.mark.parametrize("document", [{"id": "1", "model": "M"}, {"thread_id": "1"}, {"id": "1", "thread_id": "1"}])
@pytest.mark.parametrize(
    "copied", [lambda thread: thread, copy.copy, copy.deepcopy, lambda thread: pickle.loads(pickle.dumps(thread))]
)
def test_a_thread_has_its_id_under_both_names(document: dict[str, Any], copied: Any) -> None:
    thread = copied(Thread.model_validate_json(json.dumps(document)))
    assert (thread.id, thread.thread_id) == ("1", "1")
    assert thread.to_dict() == document
    assert json.loads(thread.to_json()) == document


def test_a_thread_without_an_id_is_one_all_the_same() -> None:
    thread = Thread.model_validate({"status": "ready"})
    assert (thread.id, thread.thread_id, thread.status) == ("", "", "ready")
    assert thread.to_dict() == {"status": "ready"}


def test_lists_are_iterated_indexed_and_counted() -> None:
    threads = ThreadList.model_validate({"threads": [{"id": "1"}, {"thread_id": "2"}]})
    assert ([thread.id for thread in threads], len(threads), threads[1].id) == (["1", "2"], 2, "2")
    messages = ThreadMessageList.model_validate({"thread_id": "1", "messages": [{"role": "user", "content": None}]})
    assert ([message.role for message in messages], messages.thread_id) == (["user"], "1")
    made = ThreadMessagesCreated.model_validate({"thread_id": "1", "messages": [{"message_id": "2", "created_at": 3}]})
    assert [(message.message_id, message.created_at) for message in made] == [("2", 3)]


def test_messages_are_read_with_what_belongs_to_them() -> None:
    document = {
        "status": "ready",
        "thread_id": "1",
        "messages": [
            {"message_id": "2", "role": "user", "content": "x", "attachments": [{"file_id": "3", "name": "a.txt"}]},
            {
                "role": "assistant",
                "function_call": {"name": "f", "arguments": {"a": 1}},
                "finish_reason": "function_call",
            },
        ],
    }
    run = ThreadRun.model_validate(document)
    assert run.to_dict() == document
    assert run.messages is not None
    assert run.messages[0].attachments is not None
    assert run.messages[0].attachments[0].file_id == "3"
    assert run.messages[1].function_call is not None
    assert run.messages[1].function_call.arguments == {"a": 1}
    assert ThreadRun.model_validate({"status": "in_progress"}).messages is None


def test_a_chunk_of_a_run_is_a_chunk_of_chat() -> None:
    chunk = ThreadCompletionChunk.model_validate({"choices": [], "thread_id": "1", "usage": {"total_tokens": 3}})
    assert isinstance(chunk, ChatCompletionChunk)
    assert chunk.thread_id == "1"


def test_an_answer_of_a_run() -> None:
    document = {"thread_id": "1", "message": {"role": "assistant", "content": "да"}, "finish_reason": "stop"}
    answer = ThreadCompletion.model_validate(document)
    assert (answer.message.content, answer.finish_reason, answer.usage) == ("да", "stop", None)
    assert answer.to_dict() == document


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (ThreadsQuery, {"assistants_ids": iter("ab"), "limit": 2, "before": 3}, {"assistants_ids": ["a", "b"]}),
        (ThreadsQuery, {"assistants_ids": None, "limit": None, "before": None}, {}),
        (ThreadsRetrieveRequest, {"threads_ids": ("a", "b")}, {"threads_ids": ["a", "b"]}),
        (ThreadCreateRequest, {}, {}),
        (ThreadRequest, {"thread_id": "1"}, {}),
        (ThreadMessagesQuery, {"thread_id": "1", "limit": 5, "before": None}, {}),
        (ThreadMessagesCreateRequest, {"messages": iter(USER), "thread_id": "1", "model": None}, {"messages": USER}),
        (ThreadRunRequest, {"thread_id": "1", "assistant_id": "2", "limit": 5, "stream": True}, {}),
        (ThreadMessagesRerunRequest, {"thread_id": "1", "update_interval": 0.5, "functions": [{"name": "f"}]}, {}),
        (
            ThreadMessagesRunRequest,
            {"messages": USER, "model": "M", "function_call": {"name": "f"}, "flags": ("a",), "temperature": 1},
            {"flags": ("a",), "temperature": 1.0},
        ),
    ],
)
def test_what_is_given_is_sent(model: type[RequestModel], fields: dict[str, Any], sent: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**fields, **sent}.items() if value is not None}
    assert validated(model, fields).to_payload() == expected


@pytest.mark.parametrize(
    ("model", "fields", "message", "is_kind"),
    [
        (ThreadsQuery, {"assistants_ids": "a"}, "assistants_ids: expected a list, got 'a'", True),
        (ThreadsQuery, {"assistants_ids": []}, "assistants_ids: expected at least one item, got none", False),
        (ThreadsQuery, {"limit": "5"}, "limit: expected an integer, got '5'", True),
        (ThreadsQuery, {"before": 1.5}, "before: expected an integer, got 1.5", True),
        (ThreadsRetrieveRequest, {"threads_ids": "abc"}, "threads_ids: expected a list, got 'abc'", True),
        (ThreadsRetrieveRequest, {"threads_ids": []}, "threads_ids: expected at least one item, got none", False),
        (ThreadsRetrieveRequest, {"threads_ids": ["a", ""]}, "threads_ids[1]: the value is empty", False),
        (ThreadRequest, {"thread_id": ""}, "thread_id: the value is empty", False),
        (ThreadRequest, {"thread_id": 5}, "thread_id: expected a string, got 5", True),
        (ThreadMessagesQuery, {"thread_id": "1", "limit": True}, "limit: expected an integer, got True", True),
        (ThreadMessagesCreateRequest, {"messages": []}, "messages: expected at least one item, got none", False),
        (ThreadMessagesCreateRequest, {"messages": USER, "model": ""}, "model: the value is empty", False),
        (ThreadMessagesCreateRequest, {"messages": USER, "thread_id": ""}, "thread_id: the value is empty", False),
        (ThreadMessagesRunRequest, {"messages": "x"}, "messages: expected a list, got 'x'", True),
        (ThreadMessagesRunRequest, {"messages": USER, "assistant_id": ""}, "assistant_id: the value is empty", False),
        (
            ThreadMessagesRerunRequest,
            {"thread_id": "1", "update_interval": "1"},
            "update_interval: expected a number, got '1'",
            True,
        ),
        (ThreadRunRequest, {"thread_id": ""}, "thread_id: the value is empty", False),
    ],
)
def test_what_cannot_be_sent_is_refused(
    model: type[RequestModel], fields: dict[str, Any], message: str, is_kind: bool
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(model, fields)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize("model", RUNS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": "1"}, "temperature: expected a number, got '1'"),
        ({"max_tokens": 1.5}, "max_tokens: expected an integer, got 1.5"),
        ({"flags": "a"}, "flags: expected a list of strings, got 'a'"),
        ({"profanity_check": 1}, "profanity_check: expected a boolean, got 1"),
        ({"top_p": float("nan")}, "top_p: expected a finite number, got NaN or infinity"),
        ({"function_call": "must"}, "function_call: expected 'auto', 'none' or {'name': ...}, got 'must'"),
        ({"functions": [{"name": "1st"}]}, "functions[0]: the service takes no function named '1st': "),
    ],
)
def test_options_of_a_run_are_of_their_kind(model: type[RequestModel], fields: dict[str, Any], message: str) -> None:
    required = {"messages": USER} if model is ThreadMessagesRunRequest else {"thread_id": "1"}
    with pytest.raises(InvalidRequestError) as caught:
        validated(model, {**required, **fields})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("params", "model"),
    [
        (ThreadRunParams, ThreadRunRequest),
        (ThreadMessagesRunParams, ThreadMessagesRunRequest),
        (ThreadMessagesRerunParams, ThreadMessagesRerunRequest),
    ],
)
def test_every_keyword_is_validated_and_the_other_way_round(params: Any, model: type[RequestModel]) -> None:
    positional = set() if model is ThreadMessagesRunRequest else {"thread_id"}
    own = params.__annotations__.keys() - RequestOptions.__annotations__.keys()
    assert own | positional | {"stream"} == model.model_fields.keys()
