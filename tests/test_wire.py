"""Bodies recorded from the service, read and built by this SDK: nothing is lost, nothing is added.

`tests/fixtures/wire/index.json` says what each file answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import APIStatusError, NotFoundError
from gigachat_sdk._accumulate import Accumulator, ChatCompletionAccumulator
from gigachat_sdk._accumulate_threads import ThreadCompletionAccumulator
from gigachat_sdk._accumulate_v2 import ChatCompletionV2Accumulator
from gigachat_sdk._calls import chat_completion_call
from gigachat_sdk._calls_v2 import chat_completion_v2_call
from gigachat_sdk._events import EventDecoder
from gigachat_sdk._request import Call, validated
from gigachat_sdk._response import ChunkReader, parse
from gigachat_sdk._response_v2 import EventReader
from gigachat_sdk.errors import status_error
from gigachat_sdk.types import (
    AICheckResult,
    Assistant,
    AssistantCreated,
    AssistantDeleted,
    AssistantFileDeleted,
    AssistantList,
    Balance,
    ChatCompletion,
    ChatCompletionChunk,
    ConvertedFunctions,
    EmbeddingList,
    File,
    FileDeleted,
    FileList,
    Headers,
    Model,
    ModelList,
    RequestInfo,
    ResponseInfo,
    ResponseModel,
    ThreadCompletion,
    ThreadCompletionChunk,
    ThreadList,
    ThreadMessageList,
    ThreadMessagesCreated,
    ThreadRun,
    TokensCountList,
    v2,
)
from gigachat_sdk.types._base import RequestModel
from gigachat_sdk.types.embeddings import EmbeddingsRequest
from gigachat_sdk.types.token_counts import TokensCountRequest
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
    "fixture_files_delete.json": FileDeleted,
    "fixture_files_get.json": File,
    "fixture_files_list.json": FileList,
    "fixture_files_upload.json": File,
    "fixture_v1_chat_function_call.json": ChatCompletion,
    "fixture_v1_chat_reasoning_content.json": ChatCompletion,
    "get_model.json": Model,
    "get_models.json": ModelList,
    "embeddings_multiple.json": EmbeddingList,
    "embeddings_single.json": EmbeddingList,
    "fixture_ai_check.json": AICheckResult,
    "fixture_assistants_create.json": AssistantCreated,
    "fixture_assistants_delete.json": AssistantDeleted,
    "fixture_assistants_files_delete.json": AssistantFileDeleted,
    "fixture_assistants_list.json": AssistantList,
    "fixture_assistants_modify.json": Assistant,
    "fixture_balance.json": Balance,
    "fixture_functions_convert.json": ConvertedFunctions,
    "fixture_threads_list.json": ThreadList,
    "fixture_threads_messages_add.json": ThreadMessagesCreated,
    "fixture_threads_messages_list.json": ThreadMessageList,
    "fixture_threads_messages_run.json": ThreadCompletion,
    "fixture_threads_retrieve.json": ThreadList,
    "fixture_threads_run_get.json": ThreadRun,
    "fixture_threads_run_start.json": ThreadRun,
    "primary_chat_create_simple.json": v2.ChatCompletion,
    "primary_chat_function_tool_roundtrip_1.json": v2.ChatCompletion,
    "primary_chat_function_tool_roundtrip_2.json": v2.ChatCompletion,
    "primary_chat_parse_json_schema.json": v2.ParsedChatCompletion,
    "tokens_count_multiple.json": TokensCountList,
    "tokens_count_single.json": TokensCountList,
}
STREAMS = {"stream_simple.sse", "fixture_v1_chat_stream_2023.sse"}
STREAMS_V2 = {"primary_chat_stream_simple.sse"}
THREAD_STREAMS = {"fixture_threads_messages_run.sse"}
ERRORS: dict[str, type[APIStatusError]] = {
    "chat_model_not_found.json": NotFoundError,
    "get_model_not_found.json": NotFoundError,
}
CHAT_REQUESTS, CHAT_REQUESTS_V2 = (
    sorted(
        name
        for name, case in CASES.items()
        if case["path"] == f"/api/{version}/chat/completions" and isinstance(case["request_body"], dict)
    )
    for version in ("v1", "v2")
)


def exchange(name: str) -> tuple[RequestInfo, ResponseInfo, bytes]:
    case = CASES[name]
    request = RequestInfo(case["method"], f"https://{case['host']}{case['path']}")
    return request, ResponseInfo(case["status"], Headers(case["response_headers"])), (WIRE / name).read_bytes()


def test_every_recorded_file_is_read_here() -> None:
    lists = [set(ANSWERS), STREAMS, STREAMS_V2, THREAD_STREAMS, set(ERRORS)]
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


def chunks_of(
    name: str,
    size: int,
    model: type[Any],
    accumulator: Accumulator[Any],
    reading: Callable[..., ChunkReader[Any]] = ChunkReader,
) -> tuple[list[Any], bool]:
    request, response, content = exchange(name)
    reader = reading(model, accumulator, request, response)
    decoder = EventDecoder()
    chunks: list[Any] = []
    for start in range(0, len(content), size):
        for event in decoder.feed(content[start : start + size]):
            chunk = reader.read(event)
            if chunk is not None:
                assert isinstance(chunk, model)
                chunks.append(chunk)
    assert decoder.finish() == []
    return chunks, reader.is_done


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("name", sorted(STREAMS))
def test_recorded_streams_are_read_without_loss_however_they_arrive(name: str, size: int) -> None:
    lines = (WIRE / name).read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    accumulator = ChatCompletionAccumulator()
    chunks, is_done = chunks_of(name, size, ChatCompletionChunk, accumulator)
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


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("name", sorted(THREAD_STREAMS))
def test_recorded_streams_of_threads_are_read_without_loss_however_they_arrive(name: str, size: int) -> None:
    lines = (WIRE / name).read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    accumulator = ThreadCompletionAccumulator()
    chunks, is_done = chunks_of(name, size, ThreadCompletionChunk, accumulator)
    assert is_done
    assert [chunk.to_dict() for chunk in chunks] == documents
    text = "".join(document["choices"][0]["delta"]["content"] for document in documents)
    assert accumulator.text == text
    whole = accumulator.partial()
    assert whole is not None
    assert (whole.message.role, whole.message.content, whole.finish_reason) == ("assistant", text, "stop")
    assert (whole.thread_id, whole.message_id) == (documents[0]["thread_id"], documents[0]["message_id"])
    assert whole.to_dict()["usage"] == {
        count: sum(document["usage"][count] for document in documents) for count in documents[0]["usage"]
    }


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("name", sorted(STREAMS_V2))
def test_recorded_streams_of_v2_are_read_without_loss_however_they_arrive(name: str, size: int) -> None:
    lines = (WIRE / name).read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    accumulator = ChatCompletionV2Accumulator()
    chunks, is_done = chunks_of(name, size, v2.ChatCompletionChunk, accumulator, EventReader)
    assert is_done
    assert [chunk.to_dict() for chunk in chunks] == documents
    assert [chunk.event for chunk in chunks] == [line[7:] for line in lines if line.startswith("event: ")]
    assert "".join(chunk.text for chunk in chunks) == accumulator.text == "1, 2, 3"
    whole = accumulator.partial()
    assert whole is not None
    assert whole.to_dict() == {**documents[0], **documents[1]}


RECORDED_REQUESTS: list[tuple[str, type[RequestModel]]] = [
    ("embeddings_multiple.json", EmbeddingsRequest),
    ("embeddings_single.json", EmbeddingsRequest),
    ("tokens_count_multiple.json", TokensCountRequest),
    ("tokens_count_single.json", TokensCountRequest),
]


@pytest.mark.parametrize(("name", "model"), RECORDED_REQUESTS)
def test_recorded_requests_can_be_built(name: str, model: type[RequestModel]) -> None:
    body = CASES[name]["request_body"]
    assert validated(model, body).to_payload() == body


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


def test_there_are_recorded_chat_requests_of_v2() -> None:
    assert len(CHAT_REQUESTS_V2) == 5


def sent(call: Call) -> Any:
    assert isinstance(call.body, bytes)
    return json.loads(call.body)


@pytest.mark.parametrize("name", CHAT_REQUESTS_V2)
def test_recorded_chat_requests_of_v2_can_be_built(name: str) -> None:
    body = CASES[name]["request_body"]
    params = {key: value for key, value in body.items() if key != "stream"}
    call = chat_completion_v2_call(params, stream=body.get("stream"), default_model="unused")
    assert sent(call) == body
    assert (call.method, call.base, call.path) == ("POST", "v2", "/chat/completions")
    assert call.stream is call.prefers_http2 is body.get("stream", False)


def test_the_recorded_way_of_a_result_takes_an_answer_and_plain_words() -> None:
    first, second = (CASES[f"primary_chat_function_tool_roundtrip_{number}.json"]["request_body"] for number in (1, 2))
    answer = v2.ChatCompletion.model_validate_json((WIRE / "primary_chat_function_tool_roundtrip_1.json").read_bytes())
    [asked] = answer.function_calls
    result = second["messages"][2]["content"][0]["function_result"]["result"]
    params = {
        "model": first["model"],
        "messages": [
            {"role": "user", "content": first["messages"][0]["content"][0]["text"]},
            *answer.messages,
            {
                "role": "tool",
                "content": [{"function_result": {"name": asked.name, "id": asked.id, "result": result}}],
                "tools_state_id": answer.messages[0].state_id,
            },
        ],
        "tools": first["tools"][0]["functions"]["specifications"],
    }
    assert sent(chat_completion_v2_call(params, stream=False, default_model="unused")) == second
