"""`chat.completions.parse(...)` of both contracts: an answer as a type, or the error that says why there is none."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from gigachat_sdk import (
    APIResponseValidationError,
    AsyncClient,
    ChatCompletion,
    ContentFilterError,
    GigaChatError,
    InvalidRequestError,
    LengthFinishReasonError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import ParsedChatCompletion, v2

pytestmark = pytest.mark.anyio

PATHS = {"v1": "/v1/chat/completions", "v2": "/v2/chat/completions"}
WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
MESSAGES: list[Any] = [{"role": "user", "content": "Столица Франции?"}]


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


class Country(BaseModel):
    capital: City
    others: list[City] = []
    motto: str | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Movie(TypedDict):
    title: str


class Chain(BaseModel):
    next: list[Chain] = []


class Picky(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"{value!r} is no name")


@pytest.fixture(params=["v1", "v2"])
def contract(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def completions(client: AsyncClient, contract: str) -> Any:
    return client.chat.completions if contract == "v1" else client.v2.chat.completions


async def parse(client: AsyncClient, contract: str, kind: Any, **params: Any) -> Any:
    return await completions(client, contract).parse(messages=MESSAGES, response_format=kind, **params)


def parsed(completion: Any) -> Any:
    return completion.parsed if isinstance(completion, v2.ChatCompletion) else completion.choices[0].message.parsed


def answer(contract: str, text: str | None, finish_reason: str | None = "stop", **fields: Any) -> Reply:
    """Make an answer of a text; the fields stand beside it."""
    if contract == "v1":
        message = {"role": "assistant", "content": text, **fields}
        return Reply(json={"choices": [{"message": message, "index": 0, "finish_reason": finish_reason}]})
    parts = [*([] if text is None else [{"text": text}]), *([fields] if fields else [])]
    messages = [{"role": "reasoning", "content": [{"text": "{}"}]}, {"role": "assistant", "content": parts}]
    return Reply(json={"messages": messages, "finish_reason": finish_reason})


async def test_an_answer_is_what_was_asked_for(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    completion = await parse(client, contract, Country, model="GigaChat-2-Max")
    assert isinstance(completion, ParsedChatCompletion if contract == "v1" else v2.ParsedChatCompletion)
    assert isinstance(completion, ChatCompletion if contract == "v1" else v2.ChatCompletion)
    assert isinstance(parsed(completion), Country)
    text = completion.text if contract == "v2" else completion.choices[0].message.content
    assert parsed(completion) == Country.model_validate_json(text)
    assert completion.request_id
    sent = emulator.requests_to(PATHS[contract])[0].json()
    assert sent["model"] == "GigaChat-2-Max"
    form = sent["response_format"] if contract == "v1" else sent["model_options"]["response_format"]
    assert form.keys() == {"type", "schema", "strict"}
    assert (form["type"], form["strict"], form["schema"]["required"]) == ("json_schema", True, ["capital"])
    assert "$ref" not in json.dumps(form)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (City, '{\n    "name": "Париж",\n    "people": 2100000\n}', City(name="Париж", people=2100000)),
        (Country, '{"capital": {"name": "a", "people": 1}}', Country(capital=City(name="a", people=1))),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Movie, '{"title": "a"}', {"title": "a"}),
        (list[int], "[1, 2]", [1, 2]),
        (int | None, "null", None),
    ],
)
async def test_types_of_many_kinds(
    client: AsyncClient, emulator: Emulator, contract: str, kind: Any, text: str, value: Any
) -> None:
    emulator.reply(PATHS[contract], answer(contract, text))
    completion = await parse(client, contract, kind)
    assert parsed(completion) == value
    assert type(parsed(completion)) is type(value)


async def test_what_was_parsed_goes_back_and_is_no_part_of_the_answer(
    client: AsyncClient, emulator: Emulator, contract: str
) -> None:
    reply = answer(contract, '{"name": "a", "people": 1}', inline_data={"sources": {}})
    emulator.reply(PATHS[contract], reply)
    completion = await parse(client, contract, City)
    assert completion.to_dict() == json.loads(completion.to_json()) == reply.json
    back = completion.messages if contract == "v2" else [completion.choices[0].message]
    await completions(client, contract).create(messages=[*MESSAGES, *back, *MESSAGES])
    sent = emulator.requests_to(PATHS[contract])[-1].json()["messages"]
    assert "parsed" not in json.dumps(sent)
    assert len(sent) == (4 if contract == "v2" else 3)
    twin = pickle.loads(pickle.dumps(completion))
    assert (twin, parsed(twin), twin.request_id) == (completion, City(name="a", people=1), completion.request_id)


@pytest.mark.parametrize("finish_reason", ["function_call", "stop"])
async def test_a_call_of_a_function_is_no_answer_yet(
    client: AsyncClient, emulator: Emulator, contract: str, finish_reason: str
) -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    emulator.reply(PATHS[contract], answer(contract, "Сейчас", finish_reason, function_call=call))
    completion = await parse(client, contract, City)
    assert parsed(completion) is None
    calls = completion.function_calls if contract == "v2" else [completion.choices[0].message.function_call]
    assert [one.name for one in calls] == ["f"]


async def test_a_reason_alone_says_that_a_function_is_called(
    client: AsyncClient, emulator: Emulator, contract: str
) -> None:
    emulator.reply(PATHS[contract], answer(contract, None, "function_call"))
    assert parsed(await parse(client, contract, City)) is None


async def test_an_answer_that_was_cut(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    emulator.reply(PATHS[contract], answer(contract, '{"name": "a", "people": 1}', "length"))
    with pytest.raises(LengthFinishReasonError, match="was cut by max_tokens and is no whole City") as caught:
        await parse(client, contract, City)
    check(caught.value, contract)


@pytest.mark.parametrize(
    "finish_reason", ["blacklist", "request_blacklist", "request_whitelist", "request_filter", "response_blacklist"]
)
async def test_an_answer_that_was_withheld(
    client: AsyncClient, emulator: Emulator, contract: str, finish_reason: str
) -> None:
    emulator.reply(PATHS[contract], answer(contract, "Не хочу об этом", finish_reason))
    with pytest.raises(ContentFilterError, match=f"withheld the answer .finish reason '{finish_reason}'") as caught:
        await parse(client, contract, City)
    check(caught.value, contract)


def check(error: Any, contract: str) -> None:
    """See that an error carries the answer, survives pickling, and is one of ours alone."""
    assert isinstance(error, GigaChatError)
    kind = ParsedChatCompletion if contract == "v1" else v2.ParsedChatCompletion
    assert isinstance(error.completion, kind)
    assert parsed(error.completion) is None
    assert error.request_id == error.completion.request_id is not None
    assert error.status_code == 200
    assert (error.__cause__, error.__context__) == (None, None)
    assert pickle.loads(pickle.dumps(error)).completion == error.completion


@pytest.mark.parametrize(
    ("kind", "text", "finish_reason", "words", "body"),
    [
        (City, "Париж", "stop", "the answer is no City: the text is no JSON", "Париж"),
        (City, '{"name": "a"}', "stop", "the answer is no City: people: Field required", {"name": "a"}),
        (City, '{"name": "a", "people": -1}', "error", "people: Input should be greater", {"name": "a", "people": -1}),
        (City, "", "stop", "the answer is no City: it has no text (finish reason 'stop')", None),
        (City, None, None, "it has no text (finish reason None)", None),
        (list[City], "[5]", "stop", "the answer is no list: 0: Input should be", [5]),
        (Picky, '{"name": "a"}', "stop", "name: Value error, 'a' is no name", {"name": "a"}),
        (City, "[" * 100_000, "stop", "the text is no JSON", "[" * 100_000),
    ],
)
async def test_an_answer_that_is_no_such_thing(
    client: AsyncClient,
    emulator: Emulator,
    contract: str,
    kind: Any,
    text: Any,
    finish_reason: Any,
    words: str,
    body: Any,
) -> None:
    emulator.reply(PATHS[contract], answer(contract, text, finish_reason))
    with pytest.raises(APIResponseValidationError) as caught:
        await parse(client, contract, kind)
    error = caught.value
    assert words in str(error)
    assert "\n" not in str(error)
    assert (error.body, error.status_code, error.request_id is not None) == (body, 200, True)
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Chain, "response_format: Chain holds itself"),
        ({"type": "json_schema", "schema": {}}, "response_format: expected a type, such as a pydantic model, got dict"),
        (City(name="a", people=1), "got City"),
        (None, "got NoneType"),
    ],
)
async def test_types_that_cannot_be_asked_for(
    client: AsyncClient, emulator: Emulator, contract: str, kind: Any, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^response_format: ") as caught:
        await parse(client, contract, kind)
    assert words in str(caught.value)
    assert emulator.requests == []


async def test_unknown_keywords(client: AsyncClient, emulator: Emulator, contract: str) -> None:
    with pytest.raises(
        TypeError, match=r"parse\(\) takes no stream: its answer comes as a whole; stream\(\.\.\.\) gives"
    ):
        await parse(client, contract, City, stream=True)
    with pytest.raises(TypeError, match=r"parse\(\) missing 1 required keyword-only argument: 'messages'"):
        await completions(client, contract).parse(response_format=City)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'response_format'"):
        await completions(client, contract).parse(messages=MESSAGES)
    assert emulator.requests == []


async def test_other_options_of_the_model_stay(client: AsyncClient, emulator: Emulator) -> None:
    given = {"temperature": 0.5, "response_format": None}
    await client.v2.chat.completions.parse(messages=MESSAGES, response_format=City, model_options=given)
    sent = emulator.requests_to(PATHS["v2"])[0].json()["model_options"]
    assert (sent["temperature"], sent["response_format"]["type"]) == (0.5, "json_schema")
    assert given == {"temperature": 0.5, "response_format": None}
    with pytest.raises(InvalidRequestError, match=r"^model_options\.response_format: parse\(response_format=\.\.\.\)"):
        await client.v2.chat.completions.parse(
            messages=MESSAGES, response_format=City, model_options={"response_format": {"type": "text"}}
        )
    with pytest.raises(InvalidRequestError, match=r"^model_options: expected"):
        await client.v2.chat.completions.parse(messages=MESSAGES, response_format=City, model_options=5)


async def test_every_choice_is_read(client: AsyncClient, emulator: Emulator) -> None:
    texts = [json.dumps({"name": name, "people": 1}) for name in "ab"]
    choices = [{"message": {"content": text}, "index": index} for index, text in enumerate(texts)]
    emulator.reply(PATHS["v1"], Reply(json={"choices": choices}))
    completion = await client.chat.completions.parse(messages=MESSAGES, response_format=City, n=2)
    assert [choice.message.parsed.name for choice in completion.choices] == ["a", "b"]


async def test_the_recorded_exchange(client: AsyncClient, emulator: Emulator) -> None:
    class StructuredAnswer(BaseModel):
        """Structured answer returned by response_format=json_schema."""

        answer: str
        n: int = Field(ge=0, le=10)

    emulator.reply(PATHS["v2"], Reply(body=(WIRE / "primary_chat_parse_json_schema.json").read_bytes()))
    [case] = [
        case
        for case in json.loads((WIRE / "index.json").read_text(encoding="utf-8"))["cases"]
        if case["file"] == "primary_chat_parse_json_schema.json"
    ]
    completion = await client.v2.chat.completions.parse(
        model="GigaChat-3-Ultra",
        messages=[{"role": "user", "content": 'Return {"answer":"ok","n":3} exactly.'}],
        response_format=StructuredAnswer,
    )
    assert completion.parsed == StructuredAnswer(answer="ok", n=3)
    assert emulator.requests_to(PATHS["v2"])[0].json() == case["request_body"]
