"""`client.chat.completions.create(...)` without a stream; streams have a file of their own."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from gigachat_sdk import (
    APIStatusError,
    AsyncClient,
    BadRequestError,
    ChatCompletion,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    UnprocessableEntityError,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
MESSAGES = [{"role": "user", "content": "Привет!"}]


async def test_an_answer(client: AsyncClient, emulator: Emulator) -> None:
    completion = await client.chat.completions.create(messages=MESSAGES)
    assert type(completion) is ChatCompletion
    assert completion.choices[0].message.content == "Вы написали: Привет!"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0
    assert completion.request_id == completion.response.headers["X-REQUEST-ID"]
    assert (completion.response.status, completion.response.retries_taken) == (200, 0)
    assert completion.response.http_version == "HTTP/1.1"
    assert completion.response.elapsed > 0


@pytest.mark.parametrize("http2", [False, "auto", True])
async def test_an_answer_over_tls(connect: Connect, https_emulator: Emulator, http2: bool | str) -> None:
    client = connect(https_emulator, http2=http2)
    before = len(https_emulator.requests)
    completion = await client.chat.completions.create(messages=MESSAGES)
    assert completion.choices[0].message.content == "Вы написали: Привет!"
    version = "2" if http2 is True else "1.1"
    assert {request.http_version for request in https_emulator.requests[before + 1 :]} == {version}
    assert completion.response.http_version == ("HTTP/2" if http2 is True else "HTTP/1.1")


async def test_http2_over_a_plain_connection(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, http2=True)
    completion = await client.chat.completions.create(messages=MESSAGES)
    assert completion.response.http_version == "HTTP/2"


@pytest.mark.off_contract("sends query parameters that no operation has")
async def test_the_request_as_it_is_sent(client: AsyncClient, emulator: Emulator) -> None:
    await client.chat.completions.create(
        messages=[{"role": "system", "content": "Кратко"}, *MESSAGES],
        model="GigaChat-2-Max",
        temperature=0.5,
        max_tokens=None,
        extra_body={"new_field": {"a": 1}},
        extra_headers={"X-Session-ID": "s"},
        extra_query={"q": "д"},
    )
    request = emulator.requests_to(CHAT)[0]
    assert request.json() == {
        "messages": [{"role": "system", "content": "Кратко"}, {"role": "user", "content": "Привет!"}],
        "model": "GigaChat-2-Max",
        "temperature": 0.5,
        "new_field": {"a": 1},
    }
    assert "Кратко".encode() in request.body
    assert b", " not in request.body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert request.headers["x-session-id"] == "s"
    assert request.params == {"q": "д"}


async def test_the_objects_of_the_caller_stay_as_they_are(client: AsyncClient) -> None:
    parts = {
        "messages": [
            *MESSAGES,
            {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": {"b": [2]}}},
            {"role": "function", "name": "f", "content": {"a": [1]}},
        ],
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
        "extra_body": {"x": {"y": 1}},
        "extra_headers": {"X-A": "b"},
    }
    before = copy.deepcopy(parts)
    await client.chat.completions.create(**parts)
    assert parts == before


async def test_an_answer_can_be_fed_back(client: AsyncClient, emulator: Emulator) -> None:
    emulator.answer({"function_call": {"name": "weather", "arguments": {"place": "Тула"}}})
    functions = [{"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}]
    first = await client.chat.completions.create(messages=MESSAGES, functions=functions)
    message = first.choices[0].message
    assert (message.function_call.name, message.function_call.arguments) == ("weather", {"place": "Тула"})
    emulator.answer(None)
    result = {"role": "function", "name": "weather", "content": {"t": 20, "город": "Тула"}}
    await client.chat.completions.create(messages=[*MESSAGES, message, result], functions=functions)
    sent = emulator.requests_to(CHAT)[1].json()["messages"]
    assert sent[1] == message.to_dict()
    assert sent[1]["functions_state_id"] == message.functions_state_id
    assert json.loads(sent[2]["content"]) == {"t": 20, "город": "Тула"}


async def test_a_call_without_messages_is_a_type_error(client: AsyncClient) -> None:
    with pytest.raises(TypeError, match=r"create\(\) missing 1 required keyword-only argument: 'messages'"):
        await client.chat.completions.create()


async def test_a_misspelt_keyword_is_told_with_the_right_one(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'temperatur'; did you mean 'temperature'"):
        await client.chat.completions.create(messages=MESSAGES, temperatur=1)
    with pytest.raises(TypeError, match="'zzz'; what the SDK does not know goes into extra_body"):
        await client.chat.completions.create(messages=MESSAGES, zzz=1)
    with pytest.raises(InvalidRequestError, match="stream: expected True or False, got 'yes'"):
        await client.chat.completions.create(messages=MESSAGES, stream="yes")
    assert emulator.requests == []


async def test_a_wrong_argument_is_told_by_its_place(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.chat.completions.create(messages=[*MESSAGES, {"role": "tool", "content": "x"}])
    assert caught.value.param == "messages[1]"
    assert caught.value.__context__ is None
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (413, RequestTooLargeError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
    ],
)
async def test_an_error_by_its_status(
    connect: Connect, emulator: Emulator, status: int, kind: type[APIStatusError]
) -> None:
    client = connect(emulator, max_retries=0)
    emulator.reply(CHAT, Reply.error(status, "Так нельзя", headers={"X-Request-Id": "id-1"}))
    with pytest.raises(APIStatusError) as caught:
        await client.chat.completions.create(messages=MESSAGES)
    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.request_id) == (status, "id-1")
    assert error.body == {"status": status, "message": "Так нельзя"}
    assert str(error).startswith(f"{status} for POST {emulator.base_url}/chat/completions: Так нельзя")
    assert str(error).endswith("(request id id-1)")
    assert (error.request.method, error.request.headers["authorization"]) == ("POST", "[hidden]")
    assert error.response.headers["content-type"] == "application/json; charset=utf-8"
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), twin.body, twin.response) == (kind, str(error), error.body, error.response)


async def test_a_recorded_refusal(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "chat_model_not_found.json").read_bytes()
    emulator.reply(CHAT, Reply(404, body=body, headers={"Content-Type": "application/json; charset=utf-8"}))
    with pytest.raises(NotFoundError, match="No such model") as caught:
        await client.chat.completions.create(messages=MESSAGES)
    assert caught.value.body == json.loads(body)


@pytest.mark.parametrize(
    "file",
    [
        "chat_simple.json",
        "chat_parse_json_schema.json",
        "chat_response_format_json_schema.json",
        "fixture_v1_chat_function_call.json",
        "fixture_v1_chat_reasoning_content.json",
    ],
)
async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator, file: str) -> None:
    body = (WIRE / file).read_bytes()
    emulator.reply(CHAT, Reply(body=body, headers={"Content-Type": "application/json"}))
    completion = await client.chat.completions.create(messages=MESSAGES)
    assert completion.to_dict() == json.loads(body)


async def test_an_answer_with_fields_nobody_knows(client: AsyncClient, emulator: Emulator) -> None:
    document = {"choices": [{"message": {"role": "новая", "x": 1}, "finish_reason": "new"}], "y": {"z": None}}
    emulator.reply(CHAT, Reply(json=document))
    completion = await client.chat.completions.create(messages=MESSAGES)
    assert completion.to_dict() == document
    assert completion.y == {"z": None}


async def test_an_answer_can_be_pickled_with_its_facts(client: AsyncClient) -> None:
    completion = await client.chat.completions.create(messages=MESSAGES)
    twin = pickle.loads(pickle.dumps(completion))
    assert twin == completion
    assert twin.response == completion.response
    assert copy.deepcopy(completion).request_id == completion.request_id is not None


async def test_the_copy_of_an_answer_is_independent(client: AsyncClient) -> None:
    completion = await client.chat.completions.create(messages=MESSAGES)
    shallow = copy.copy(completion)
    assert shallow.request_id == completion.request_id
    assert shallow is not completion
