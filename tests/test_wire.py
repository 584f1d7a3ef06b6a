"""Bodies recorded from the service, read and built by this SDK: nothing is lost, nothing is added.

`tests/fixtures/wire/index.json` says what each file answers; files of endpoints that are not built yet are named below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import APIStatusError, NotFoundError
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._events import EventDecoder
from gigachat_sdk._request import chat_completion_call
from gigachat_sdk._response import ChunkReader, parse
from gigachat_sdk.errors import status_error
from gigachat_sdk.types import (
    ChatCompletion,
    ChatCompletionChunk,
    Headers,
    Model,
    ModelList,
    RequestInfo,
    ResponseInfo,
    ResponseModel,
)
from gigachat_sdk.types.tokens import TokenAnswer

WIRE = Path(__file__).with_name("fixtures") / "wire"
CASES: dict[str, dict[str, Any]] = {
    case["file"]: case for case in json.loads((WIRE / "index.json").read_text(encoding="utf-8"))["cases"]
}

ANSWERS: dict[str, type[ResponseModel]] = {
    "oauth_token.json": TokenAnswer,
    "chat_parse_json_schema.json": ChatCompletion,
    "chat_response_format_json_schema.json": ChatCompletion,
    "chat_simple.json": ChatCompletion,
    "fixture_v1_chat_function_call.json": ChatCompletion,
    "fixture_v1_chat_reasoning_content.json": ChatCompletion,
    "get_model.json": Model,
    "get_models.json": ModelList,
}
STREAMS = {"stream_simple.sse", "fixture_v1_chat_stream_2023.sse"}
ERRORS: dict[str, type[APIStatusError]] = {
    "chat_model_not_found.json": NotFoundError,
    "get_model_not_found.json": NotFoundError,
}
# Endpoints that are not built yet; whoever builds one moves its files up.
LATER = {
    "embeddings_multiple.json",
    "embeddings_single.json",
    "fixture_ai_check.json",
    "fixture_assistants_create.json",
    "fixture_assistants_delete.json",
    "fixture_assistants_files_delete.json",
    "fixture_assistants_list.json",
    "fixture_assistants_modify.json",
    "fixture_balance.json",
    "fixture_files_delete.json",
    "fixture_files_get.json",
    "fixture_files_list.json",
    "fixture_files_upload.json",
    "fixture_functions_convert.json",
    "fixture_threads_list.json",
    "fixture_threads_messages_add.json",
    "fixture_threads_messages_list.json",
    "fixture_threads_messages_run.json",
    "fixture_threads_messages_run.sse",
    "fixture_threads_retrieve.json",
    "fixture_threads_run_get.json",
    "fixture_threads_run_start.json",
    "primary_chat_create_simple.json",
    "primary_chat_function_tool_roundtrip_1.json",
    "primary_chat_function_tool_roundtrip_2.json",
    "primary_chat_parse_json_schema.json",
    "primary_chat_stream_simple.sse",
    "tokens_count_multiple.json",
    "tokens_count_single.json",
}
CHAT_REQUESTS = sorted(
    name
    for name, case in CASES.items()
    if case["path"] == "/api/v1/chat/completions" and isinstance(case["request_body"], dict)
)


def exchange(name: str) -> tuple[RequestInfo, ResponseInfo, bytes]:
    case = CASES[name]
    request = RequestInfo(case["method"], f"https://{case['host']}{case['path']}")
    return request, ResponseInfo(case["status"], Headers(case["response_headers"])), (WIRE / name).read_bytes()


def test_every_recorded_file_is_read_here_or_named_as_later_work() -> None:
    lists = [set(ANSWERS), STREAMS, set(ERRORS), LATER]
    files = {file.name for file in WIRE.iterdir()} - {"index.json"}
    assert set().union(*lists) == files
    assert sum(map(len, lists)) == len(files)
    assert set(CASES) == files


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_recorded_answers_are_read_without_loss(name: str) -> None:
    request, response, content = exchange(name)
    answer = parse(ANSWERS[name], content, request, response)
    assert isinstance(answer, ANSWERS[name])
    document = json.loads(content)
    if name != "oauth_token.json":  # its two shapes are read into one
        assert answer.to_dict() == document
        assert json.loads(answer.to_json()) == document
    assert answer.response is response
    assert answer.request_id == response.headers.get("x-request-id")


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_recorded_errors_become_exceptions_that_say_the_same(name: str) -> None:
    request, response, content = exchange(name)
    error = status_error(request, response, content)
    document = json.loads(content)
    assert type(error) is ERRORS[name]
    assert error.body == document
    assert document["message"] in str(error)
    assert error.status_code == document["status"] == CASES[name]["status"]
    assert error.request_id == CASES[name]["response_headers"]["X-Request-Id"]


def chunks_of(name: str, size: int) -> tuple[list[ChatCompletionChunk], ChatCompletionAccumulator, bool]:
    request, response, content = exchange(name)
    accumulator = ChatCompletionAccumulator()
    reader = ChunkReader(ChatCompletionChunk, accumulator, request, response)
    decoder = EventDecoder()
    chunks: list[ChatCompletionChunk] = []
    for start in range(0, len(content), size):
        for event in decoder.feed(content[start : start + size]):
            chunk = reader.read(event)
            if chunk is not None:
                assert isinstance(chunk, ChatCompletionChunk)
                chunks.append(chunk)
    assert decoder.finish() == []
    return chunks, accumulator, reader.is_done


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("name", sorted(STREAMS))
def test_recorded_streams_are_read_without_loss_however_they_arrive(name: str, size: int) -> None:
    lines = (WIRE / name).read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    chunks, accumulator, is_done = chunks_of(name, size)
    assert is_done
    assert [chunk.to_dict() for chunk in chunks] == documents
    text = "".join(document["choices"][0]["delta"]["content"] for document in documents)
    assert accumulator.text == text
    whole = accumulator.partial()
    assert whole is not None
    assert whole.choices[0].message.content == text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.model == documents[0]["model"]
    assert whole.to_dict().get("usage") == documents[-1].get("usage")


def test_there_are_recorded_chat_requests() -> None:
    assert len(CHAT_REQUESTS) == 5


@pytest.mark.parametrize("name", CHAT_REQUESTS)
def test_recorded_chat_requests_can_be_built(name: str) -> None:
    body = CASES[name]["request_body"]
    params = {key: value for key, value in body.items() if key != "stream"}
    call = chat_completion_call(params, stream=body.get("stream"), default_model="unused")
    assert call.body is not None
    assert json.loads(call.body) == body
    assert (call.method, call.path, call.content_type) == ("POST", "/chat/completions", "application/json")
    assert call.stream is body.get("stream", False)


def test_a_recorded_answer_can_be_fed_back() -> None:
    request, response, content = exchange("fixture_v1_chat_function_call.json")
    answer = parse(ChatCompletion, content, request, response)
    assert isinstance(answer, ChatCompletion)
    call = chat_completion_call({"messages": [answer.choices[0].message]}, stream=False, default_model="GigaChat")
    assert call.body is not None
    assert json.loads(call.body)["messages"] == [json.loads(content)["choices"][0]["message"]]
