"""`client.v2.chat.completions.create(...)`: what is sent, what comes back, what is refused before it is sent."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from security.leaks import TOKEN, leaks_of_error

from gigachat_sdk import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import GeneratedFile
from gigachat_sdk.types.v2 import ChatCompletion, ResponseMessage

from .conftest import Connect

pytestmark = pytest.mark.anyio

CHAT = "/v2/chat/completions"
WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
MESSAGES: list[Any] = [{"role": "user", "content": "Привет!"}]
SENT = [{"role": "user", "content": [{"text": "Привет!"}]}]
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Погода",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def sent(emulator: Emulator, number: int = -1) -> Any:
    return emulator.requests_to(CHAT)[number].json()


async def test_an_answer(client: AsyncClient, emulator: Emulator) -> None:
    completion = await client.v2.chat.completions.create(messages=MESSAGES, model="GigaChat-2-Max")
    assert isinstance(completion, ChatCompletion)
    assert completion.text == "Вы написали: Привет!"
    assert completion.finish_reason == "stop"
    assert completion.model.startswith("GigaChat-2-Max:")
    assert completion.usage.total_tokens == completion.usage.input_tokens + completion.usage.output_tokens > 2
    assert completion.usage.input_tokens_details.cached_tokens == 0
    assert completion.request_id == completion.response.headers["x-request-id"]
    assert sent(emulator) == {"messages": SENT, "model": "GigaChat-2-Max"}
    request = emulator.requests_to(CHAT)[0]
    assert request.headers["accept"] == "application/json"


async def test_the_address_is_that_of_the_contract(client: AsyncClient, emulator: Emulator) -> None:
    await client.v2.chat.completions.create(messages=MESSAGES)
    assert [request.path for request in emulator.requests_to(CHAT)] == ["/v2/chat/completions"]
    assert client.base_url_v2 == emulator.base_url.removesuffix("/v1") + "/v2"
    assert client.v2 is client.v2


@pytest.mark.parametrize(
    ("params", "model"),
    [
        ({}, "GigaChat-2-Pro"),
        ({"model": None}, "GigaChat-2-Pro"),
        ({"model": "GigaChat-2"}, "GigaChat-2"),
        ({"storage": True}, "GigaChat-2-Pro"),
        ({"storage": {"thread_id": None}}, "GigaChat-2-Pro"),
        ({"storage": {"thread_id": "t"}}, None),
        ({"assistant_id": "a"}, None),
        ({"assistant_id": "a", "model": "GigaChat-2"}, "GigaChat-2"),
    ],
)
async def test_the_model_is_the_client_s_unless_something_else_brings_one(
    connect: Connect, emulator: Emulator, params: dict[str, Any], model: str | None
) -> None:
    emulator.reply(CHAT, Reply(json={"messages": []}))
    await connect(emulator, model="GigaChat-2-Pro").v2.chat.completions.create(messages=MESSAGES, **params)
    assert sent(emulator).get("model") == model


async def test_a_function_there_and_back(client: AsyncClient, emulator: Emulator) -> None:
    create = client.v2.chat.completions.create
    asked = await create(messages=MESSAGES, tools=[WEATHER], tool_config={"mode": "forced", "function_name": "weather"})
    [call] = asked.function_calls
    assert (asked.finish_reason, asked.text, call.name, list(call.arguments)) == (
        "function_call",
        "",
        "weather",
        ["city"],
    )
    results = [{"function_result": {"name": call.name, "id": call.id, "result": {"degrees": 5}}}]
    told = await create(messages=[*MESSAGES, *asked.messages, {"role": "tool", "content": results}], tools=[WEATHER])
    assert (told.finish_reason, told.function_calls) == ("stop", [])
    assert told.text
    first, second = sent(emulator, 0), sent(emulator, 1)
    assert first["tools"] == second["tools"] == [{"functions": {"specifications": [WEATHER]}}]
    state = asked.messages[0].state_id
    assert state
    assert second["messages"][1]["tools_state_id"] == state
    assert "tool_state_id" not in second["messages"][1]
    assert second["messages"][1]["content"][0]["function_call"] == call.to_dict()


async def test_a_result_that_is_no_json_never_leaves(client: AsyncClient, emulator: Emulator) -> None:
    results = [{"function_result": {"name": "weather", "result": "солнечно"}}]
    with pytest.raises(InvalidRequestError, match=r"^messages\[1\]\.content\[0\]\.function_result\.result: .*pass a d"):
        await client.v2.chat.completions.create(messages=[*MESSAGES, {"role": "tool", "content": results}])
    assert emulator.requests == []


async def test_pictures_come_with_the_client_that_asked(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, client_id="me")
    part = {"files": [{"id": "1", "mime": "image/jpeg", "target": "image"}]}
    emulator.answer({"content": [part, {"text": "Вот кот"}]})
    completion = await client.v2.chat.completions.create(messages=MESSAGES, tools=["image_generate"])
    assert completion.text == "Вот кот"
    assert completion.images() == [GeneratedFile("1", "me", "image/jpeg", "image")]
    assert completion.images()[0].client_id == completion.client_id


async def test_thoughts_are_no_text(client: AsyncClient, emulator: Emulator) -> None:
    completion = await client.v2.chat.completions.create(
        messages=MESSAGES, model_options={"reasoning": {"effort": "high"}}
    )
    assert [message.role for message in completion.messages] == ["reasoning", "assistant"]
    assert completion.reasoning
    assert completion.text == "Вы написали: Привет!"
    again = await client.v2.chat.completions.create(messages=[*MESSAGES, *completion.messages, *MESSAGES])
    assert again.text == "Вы написали: Привет!"


async def test_a_thread_remembers(client: AsyncClient, emulator: Emulator) -> None:
    first = await client.v2.chat.completions.create(messages=MESSAGES, storage=True)
    assert first.thread_id
    emulator.answer(lambda request: f"{len(request['messages'])}")
    second = await client.v2.chat.completions.create(
        messages=[{"role": "user", "content": "Ещё"}], storage={"thread_id": first.thread_id}
    )
    assert (second.thread_id, second.text) == (first.thread_id, "3")
    assert sent(emulator, 0)["storage"] == {}
    assert "model" not in sent(emulator, 1)


async def test_a_lost_answer_is_asked_for_again_unless_the_service_keeps_the_messages(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    lost = Reply(body="{", headers={"Content-Length": "100"})
    emulator.reply(CHAT, lost)
    assert (await client.v2.chat.completions.create(messages=MESSAGES)).text
    assert len(delays) == 1
    emulator.reply(CHAT, lost)
    with pytest.raises(APIConnectionError):
        await client.v2.chat.completions.create(messages=MESSAGES, storage=True)
    assert len(delays) == 1


@pytest.mark.off_contract("sends fields and parameters that no operation has")
async def test_options_of_a_call(client: AsyncClient, emulator: Emulator) -> None:
    await client.v2.chat.completions.create(
        messages=MESSAGES,
        extra_headers={"X-Trace": "1"},
        extra_query={"a": 1},
        extra_body={"new": {"a": None}},
        session_id="dialogue",
        timeout=5,
        max_retries=0,
    )
    request = emulator.requests_to(CHAT)[0]
    assert (request.headers["x-trace"], request.headers["x-session-id"], request.query) == ("1", "dialogue", "a=1")
    assert sent(emulator) == {"messages": SENT, "model": "GigaChat", "new": {"a": None}}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "create() missing 1 required keyword-only argument: 'messages'"),
        ({"mesages": []}, "create() got an unexpected keyword argument 'mesages'; did you mean 'messages'?"),
        ({"strem": True}, "did you mean 'stream'?"),
        ({"temperature": 1}, "'temperature'; the v2 contract has model_options={'temperature': ...}"),
        ({"response_format": {}}, "the v2 contract has model_options={'response_format': ...}"),
        ({"reasoning_effort": "low"}, "the v2 contract has model_options={'reasoning': {'effort': ...}}"),
        ({"functions": []}, "'functions'; the v2 contract has tools=[...]"),
        ({"tool_choice": "auto"}, "the v2 contract has tool_config={...}"),
        ({"profanity_check": False}, "the v2 contract has disable_filter, which is its opposite"),
        ({"xyzzy": 1}, "what the SDK does not know goes into extra_body={...}"),
    ],
)
async def test_unknown_keywords_are_told_where_they_belong(
    client: AsyncClient, emulator: Emulator, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError) as caught:
        await client.v2.chat.completions.create(**params)
    assert words in str(caught.value)
    assert emulator.requests == []


@pytest.mark.parametrize("stream", ["yes", 1])
async def test_stream_is_a_switch(client: AsyncClient, emulator: Emulator, stream: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"^stream: expected True or False, got {stream!r}"):
        await client.v2.chat.completions.create(messages=MESSAGES, stream=stream)
    assert emulator.requests == []


async def test_what_json_cannot_hold_is_told_by_its_place(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(InvalidRequestError, match=r"^model_options\.temperature: nan is no number that JSON can hold"):
        await client.v2.chat.completions.create(messages=MESSAGES, model_options={"temperature": float("nan")})
    with pytest.raises(InvalidRequestError, match=r"^messages\[0\]\.content\[0\]\.text: character 0 is a lone surr"):
        await client.v2.chat.completions.create(messages=[{"role": "user", "content": "\ud800"}])
    assert emulator.requests == []


@pytest.mark.off_contract("asks for a tool that nobody has, and sends content as v1 does")
async def test_refusals_of_the_service(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="Unknown tool oracle"):
        await client.v2.chat.completions.create(messages=MESSAGES, tools=["oracle"])
    with pytest.raises(NotFoundError, match="No such model"):
        await client.v2.chat.completions.create(messages=MESSAGES, model="Nobody")
    with pytest.raises(BadRequestError):
        await client.v2.chat.completions.create(messages=MESSAGES, extra_body={"messages": MESSAGES})
    emulator.reply(CHAT, Reply.error(429, "Too many requests", headers={"Retry-After": "7"}))
    with pytest.raises(RateLimitError) as caught:
        await client.v2.chat.completions.create(messages=MESSAGES, max_retries=0)
    assert (caught.value.retry_after, caught.value.body["status"]) == (7.0, 429)
    assert isinstance(caught.value, APIStatusError)


async def test_an_answer_that_is_none(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(json={"messages": {"role": "assistant"}}))
    with pytest.raises(APIResponseValidationError, match="the answer is no ChatCompletion: messages: ") as caught:
        await client.v2.chat.completions.create(messages=MESSAGES)
    assert caught.value.body == {"messages": {"role": "assistant"}}
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator) -> None:
    files = sorted(WIRE.glob("primary_chat_*.json"))
    assert len(files) == 4
    for file in files:
        emulator.reply(CHAT, Reply(body=file.read_bytes(), headers={"Content-Type": "application/json"}))
        completion = await client.v2.chat.completions.create(messages=MESSAGES)
        assert completion.to_dict() == json.loads(file.read_bytes())
        twin = pickle.loads(pickle.dumps(completion))
        assert (twin, twin.request_id, twin.text) == (completion, completion.request_id, completion.text)


async def test_messages_of_any_kind_and_any_iterable(client: AsyncClient, emulator: Emulator) -> None:
    answer = ResponseMessage.model_validate({"role": "assistant", "content": [{"text": "Да?"}]})
    say: Any = ({"role": "user", "content": [text]} for text in ("Эй", "Ты здесь?"))
    await client.v2.chat.completions.create(messages=(message for message in [*say, answer, *MESSAGES]))
    assert [(message["role"], message["content"]) for message in sent(emulator)["messages"]] == [
        ("user", [{"text": "Эй"}]),
        ("user", [{"text": "Ты здесь?"}]),
        ("assistant", [{"text": "Да?"}]),
        ("user", [{"text": "Привет!"}]),
    ]


async def enter(stream: Any) -> None:
    async with stream:
        await stream.get_final_text()


ASKING: dict[str, Any] = {
    "v2 create": lambda client, **params: client.v2.chat.completions.create(**params),
    "v2 stream": lambda client, **params: enter(client.v2.chat.completions.stream(**params)),
    "v2 parse": lambda client, **params: client.v2.chat.completions.parse(response_format=dict, **params),
    "v1 stream": lambda client, **params: enter(client.chat.completions.stream(**params)),
    "v1 parse": lambda client, **params: client.chat.completions.parse(response_format=dict, **params),
}


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, AuthenticationError),
        ({"max_retries": -1}, InvalidRequestError),
        ({"model": 5}, InvalidRequestError),
        ({"messages": []}, InvalidRequestError),
        ({"timeot": 5}, TypeError),
        ({"functions_state": 5}, TypeError),
    ],
)
async def test_no_error_shows_a_secret_header(
    client: AsyncClient, name: str, params: dict[str, Any], kind: type[Exception]
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    caught: Exception | None = None
    try:
        await ASKING[name](client, **{"messages": MESSAGES, "extra_headers": headers, **params})
    except kind as error:
        caught = error
    assert caught is not None
    assert leaks_of_error(caught) == []


async def test_a_type_that_is_refused_shows_no_secret_header(client: AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for completions in (client.chat.completions, client.v2.chat.completions):
        caught: Exception | None = None
        try:
            await completions.parse(messages=MESSAGES, response_format=5, extra_headers=headers)
        except InvalidRequestError as error:
            caught = error
        assert caught is not None
        assert leaks_of_error(caught) == []
