"""`client.get`, `client.post` and `client.delete`: endpoints that the SDK does not know."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import httpx
import pydantic
import pytest
import respx

from gigachat_sdk import (
    APIResponseValidationError,
    AsyncClient,
    AsyncStream,
    ChatCompletionChunk,
    InvalidRequestError,
    ModelList,
    NotFoundError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import ResponseModel

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
BASE = "https://api.example/v1"


class Thing(pydantic.BaseModel):
    id: int


class Unfinished(pydantic.BaseModel):
    field: Nowhere  # noqa: F821


class UnfinishedAnswer(ResponseModel):
    field: Nowhere  # noqa: F821


def nested(depth: int) -> Any:
    kind: Any = int
    for _ in range(depth):
        kind = list[kind]
    return kind


class Free(pydantic.BaseModel):
    value: Any


class Later(pydantic.BaseModel):
    """Is finished by what comes after it."""

    next: Next | None


class Next(pydantic.BaseModel):
    id: int


class Word(ResponseModel):
    word: str


async def test_a_get_reads_the_answer_as_what_was_asked_for(client: AsyncClient, emulator: Emulator) -> None:
    as_dict = await client.get("/models", cast_to=dict)
    assert as_dict["object"] == "list"
    as_model = await client.get("models", cast_to=ModelList)
    assert as_model.to_dict() == as_dict
    assert as_model.request_id is not None
    assert json.loads(await client.get("/models", cast_to=str)) == as_dict
    assert json.loads(await client.get("/models", cast_to=bytes)) == as_dict


async def test_a_model_of_the_users_own_will_do(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(json=[{"id": 1}, {"id": 2}]), method="GET")
    assert await client.get("/things", cast_to=list[Thing]) == [Thing(id=1), Thing(id=2)]


async def test_a_model_may_be_finished_by_what_comes_after_it(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(json={"next": {"id": 1}}), method="GET")
    assert await client.get("/things", cast_to=Later) == Later(next=Next(id=1))


async def test_half_a_character_costs_no_answer(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(body=rb'[{"value":"a\ud83d"}]'), method="GET")
    assert await client.get("/things", cast_to=list[Free]) == [Free(value="a\ufffd")]


async def test_parameters_and_headers_go_along(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(json={}), method="GET")
    await client.get("/things", cast_to=dict, extra_query={"a": [1, 2]}, extra_headers={"X-A": "b"}, client_id="me")
    request = emulator.requests_to("/v1/things")[0]
    assert (request.query, request.headers["x-a"], request.headers["x-client-id"]) == ("a=1&a=2", "b", "me")


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ({"ё": [1]}, '{"ё":[1]}'.encode(), "application/json"),
        ([1, {"a": None}], b'[1,{"a":null}]', "application/json"),
        (Thing(id=3), b'{"id":3}', "application/json"),
        (Free(value=date(2024, 1, 2)), b'{"value":"2024-01-02"}', "application/json"),
        ({"a": Free(value=date(2024, 1, 2))}, b'{"a":{"value":"2024-01-02"}}', "application/json"),
        ("ё", "ё".encode(), "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (memoryview(b"ab"), b"ab", "application/octet-stream"),
        (None, b"", None),
    ],
)
async def test_a_body_is_sent_as_its_kind_wants(
    client: AsyncClient, emulator: Emulator, body: Any, sent: bytes, content_type: str | None
) -> None:
    emulator.reply("/v1/things", Reply(json={"id": 4}))
    assert await client.post("/things", cast_to=Thing, body=body) == Thing(id=4)
    request = emulator.requests_to("/v1/things")[0]
    assert (request.body, request.headers.get("content-type")) == (sent, content_type)


async def test_extra_body_adds_to_a_dict_and_to_nothing_else(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(json={}), times=2)
    await client.post("/things", cast_to=dict, body={"a": 1}, extra_body={"b": 2})
    await client.post("/things", cast_to=dict, extra_body={"b": 2})
    assert [request.json() for request in emulator.requests_to("/v1/things")] == [{"a": 1, "b": 2}, {"b": 2}]
    with pytest.raises(InvalidRequestError, match="extra_body: it adds fields to a dict, and body is a str"):
        await client.post("/things", cast_to=dict, body="text", extra_body={"b": 2})


async def test_a_delete_is_a_delete(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things/17", Reply(json={"deleted": True}), method="DELETE")
    assert await client.delete("/things/17", cast_to=dict) == {"deleted": True}


async def test_a_stream_is_read_as_the_chunks_it_is_said_to_have(client: AsyncClient, emulator: Emulator) -> None:
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    stream = await client.post("/chat/completions", stream_cls=AsyncStream[ChatCompletionChunk], body=body)
    async with stream:
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "Вы написали: hi"
    emulator.reply("/v1/words", Reply.sse([{"word": "a"}, {"word": "b"}]))
    assert [chunk.word async for chunk in await client.post("/words", stream_cls=AsyncStream[Word])] == ["a", "b"]


async def test_a_cut_stream_of_unknown_chunks_says_so(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/words", Reply.sse([{"word": "a"}], done=False))
    stream = await client.post("/words", stream_cls=AsyncStream[Word])
    with pytest.raises(StreamInterruptedError) as caught:
        [chunk async for chunk in stream]
    assert (caught.value.text, caught.value.partial) == ("", None)


@respx.mock
async def test_a_read_is_sent_again_and_a_post_whose_answer_was_lost_is_not(
    connect: Connect, delays: list[float]
) -> None:
    client = connect(access_token="t", base_url=BASE)
    things = respx.route(path="/v1/things").mock(side_effect=httpx.ReadError("reset"))
    with pytest.raises(Exception, match="tried 3 times"):
        await client.get("/things", cast_to=dict)
    assert things.call_count == 3
    for number, send in enumerate((client.post, client.delete), 4):
        with pytest.raises(Exception, match="was lost"):
            await send("/things", cast_to=dict)
        assert things.call_count == number


async def test_errors_are_those_of_every_call(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError):
        await client.get("/models/none", cast_to=dict)
    emulator.reply("/v1/things", Reply(json={"id": "one"}), Reply(body="no json"), method="GET")
    with pytest.raises(APIResponseValidationError, match="the answer is no Thing: id: Input should be a valid integer"):
        await client.get("/things", cast_to=Thing)
    with pytest.raises(
        APIResponseValidationError, match=r"the answer is no list \(its content type is missing\)"
    ) as caught:
        await client.get("/things", cast_to=list[Thing])
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://elsewhere.example/v1/x", "is a whole address"),
        ("//elsewhere.example/x", "is a whole address"),
        ("/things?a=1", "parameters go into extra_query"),
        ("/things#a", "parameters go into extra_query"),
        ("/a b", "is no path"),
        ("/a\nb", "is no path"),
        ("/a\\b", "is no path"),
        ("", "is no path"),
        ("/", "is no path"),
        ("/../other", "leads out of base_url"),
        ("things/./x", "leads out of base_url"),
        ("/%2e%2e/x", "leads out of base_url"),
        ("/.%2E/x", "leads out of base_url"),
        ("/a%2F..%2fx", "leads out of base_url"),
        ("/a%5C..", "leads out of base_url"),
        (None, "expected a string, got NoneType"),
    ],
)
async def test_a_path_that_is_none_is_refused(client: AsyncClient, emulator: Emulator, path: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"path: .*{words}"):
        await client.get(path, cast_to=dict)
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, TypeError, "takes one of cast_to= and stream_cls="),
        ({"cast_to": dict, "stream_cls": AsyncStream[Word]}, TypeError, "takes one of cast_to= and stream_cls="),
        ({"stream_cls": AsyncStream}, InvalidRequestError, r"stream_cls: expected AsyncStream\[...\]"),
        ({"stream_cls": list[Word]}, InvalidRequestError, r"stream_cls: expected AsyncStream\[...\]"),
        ({"stream_cls": AsyncStream[Thing]}, InvalidRequestError, "stream_cls: chunks are models on"),
        ({"cast_to": lambda: 1}, InvalidRequestError, "cast_to: no answer can be read as"),
        ({"cast_to": "Nowhere"}, InvalidRequestError, "cast_to: no answer can be read as 'Nowhere'"),
        ({"cast_to": object()}, InvalidRequestError, "cast_to: no answer can be read as .*: give a type"),
        (
            {"cast_to": pydantic.BaseModel},
            InvalidRequestError,
            "cast_to: .*: BaseModel itself has no fields; give a model on it",
        ),
        ({"cast_to": nested(2000)}, InvalidRequestError, "cast_to: no answer .*: it is nested too deeply"),
        ({"cast_to": list[pydantic.BaseModel]}, InvalidRequestError, "cast_to: .*: BaseModel itself has no fields"),
        ({"cast_to": pytest.MonkeyPatch}, InvalidRequestError, "cast_to: .*: Unable to generate pydantic-core schema"),
        ({"cast_to": list["Nowhere"]}, InvalidRequestError, "cast_to: no answer .* is not (fully )?defined"),  # noqa: F821
        ({"cast_to": list["a b"]}, InvalidRequestError, "cast_to: no answer .* Forward reference"),  # noqa: F722
        ({"cast_to": Unfinished}, InvalidRequestError, "cast_to: no answer .* is not fully defined"),
        ({"cast_to": dict[str, Unfinished]}, InvalidRequestError, "cast_to: no answer .* is not (fully )?defined"),
        ({"cast_to": UnfinishedAnswer}, InvalidRequestError, "cast_to: no answer .* is not fully defined"),
        ({"stream_cls": AsyncStream[UnfinishedAnswer]}, InvalidRequestError, "stream_cls: .* is not fully defined"),
        ({"cast_to": dict, "body": Free(value=object())}, InvalidRequestError, "^body.value: object is not JSON"),
        (
            {"cast_to": dict, "body": {"a": Free(value=object())}},
            InvalidRequestError,
            "^body.a.value: object is not JSON",
        ),
        ({"cast_to": dict, "body": Free(value=float("nan"))}, InvalidRequestError, "^body.value: nan is no number"),
        ({"cast_to": dict, "body": 17}, InvalidRequestError, "body: expected a dict, .* got int"),
        ({"cast_to": dict, "body": {"a": {1}}}, InvalidRequestError, "^body.a: set is not JSON"),
        ({"cast_to": dict, "body": "\ud800"}, InvalidRequestError, "body: character 0 is a lone surrogate"),
        ({"cast_to": dict, "max_retry": 1}, TypeError, "did you mean 'max_retries'"),
    ],
)
async def test_what_cannot_be_sent_or_read_is_refused(
    client: AsyncClient, emulator: Emulator, arguments: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        await client.post("/things", **arguments)
    assert caught.value.__context__ is None
    assert emulator.requests == []
