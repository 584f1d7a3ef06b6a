"""`types/_written.py`: a model of the user's is sent as he wrote it, an answer of the service as it came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Literal

import pytest
from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.alias_generators import to_camel

from gigachat_sdk._batches import BatchLines
from gigachat_sdk._calls import chat_completion_call
from gigachat_sdk._calls_v2 import chat_completion_v2_call
from gigachat_sdk._cast import any_call
from gigachat_sdk._request import validated
from gigachat_sdk.bulk._items import digest_of
from gigachat_sdk.types import ChatCompletionMessage, File, FunctionDefinition, ResponseModel
from gigachat_sdk.types._written import as_written
from gigachat_sdk.types.assistants import AssistantCreateRequest
from gigachat_sdk.types.functions_request import FunctionValidateRequest


class Inner(BaseModel):
    a: int | None = None
    b: int = 1


class Plain(BaseModel):
    first: str | None = None
    inner: Inner = Inner()
    last: str = "default"


class Holder(BaseModel):
    one: Any = None
    many: list[Inner] = [Inner(b=2)]
    data: dict[str, Any] = {"default": None, "enum": [None, 1]}


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    top: int = Field(default=3, alias="topN")
    none: int | None = Field(default=None, serialization_alias="noNe")
    inner: Inner = Field(default=Inner(), serialization_alias="inSide")
    answer: Any = Field(default=None, alias="theAnswer")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel), extra="allow")

    max_tokens: int = 5
    the_answer: ChatCompletionMessage | None = None


class Serialized(BaseModel):
    day: date = date(2024, 1, 2)
    loud: str | None = "x"
    hidden: int = Field(default=1, exclude=True)

    @field_serializer("loud")
    def _louder(self, value: str | None) -> str | None:
        return value and value.upper()

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's docs say: mypy knows no decorated property
    @property
    def sum(self) -> int:
        return 2


class Short(BaseModel):
    name: str = "n"
    size: int | None = None

    @model_serializer
    def _write(self) -> Any:
        return [self.name, self.size]


class Wrapped(BaseModel):
    name: str = "n"
    size: int | None = None

    @model_serializer(mode="wrap")
    def _write(self, handler: Any) -> Any:
        return {"kind": "wrapped", "value": handler(self)}


class Items(RootModel[list[Inner]]):
    pass


class Streamed(BaseModel):
    items: Iterable[int] = ()


class Answers(BaseModel):
    messages: list[Any] = []
    by_name: dict[str, Any] = {}
    temperature: float = 0.3


def numbers() -> Iterator[int]:
    yield from (1, 2)


CAME = {"content": "да", "functions_state_id": None}
ANSWER = ChatCompletionMessage.model_validate(CAME)


@pytest.mark.parametrize(
    ("model", "written"),
    [
        (Plain(), {"inner": {"b": 1}, "last": "default"}),
        (Plain(first=None), {"first": None, "inner": {"b": 1}, "last": "default"}),
        (Plain(last="x", first="y"), {"first": "y", "inner": {"b": 1}, "last": "x"}),
        (Plain(inner=Inner(a=None)), {"inner": {"a": None, "b": 1}, "last": "default"}),
        (Holder(), {"many": [{"b": 2}], "data": {"default": None, "enum": [None, 1]}}),
        (
            Holder(one=(Inner(a=None), None), many=[Inner(), Inner(b=3)], data={"x": None}),
            {"one": [{"a": None, "b": 1}, None], "many": [{"b": 1}, {"b": 3}], "data": {"x": None}},
        ),
        (
            Holder(one={"m": Inner(a=None)}, many=[], data={}),
            {"one": {"m": {"a": None, "b": 1}}, "many": [], "data": {}},
        ),
        (Aliased(), {"topN": 3, "inSide": {"b": 1}}),
        (Aliased(none=None, theAnswer=ANSWER), {"topN": 3, "noNe": None, "inSide": {"b": 1}, "theAnswer": CAME}),
        (
            Camel.model_validate({"the_answer": CAME, "new": Inner(a=None), "none": None}),
            {"maxTokens": 5, "theAnswer": CAME, "new": {"a": None, "b": 1}, "none": None},
        ),
        (Serialized(), {"day": date(2024, 1, 2), "loud": "X", "sum": 2}),
        (Serialized(loud=None), {"day": date(2024, 1, 2), "loud": None, "sum": 2}),
        (Short(), ["n", None]),
        (Wrapped(), {"kind": "wrapped", "value": {"name": "n"}}),
        (Wrapped(size=None), {"kind": "wrapped", "value": {"name": "n", "size": None}}),
        (Items([Inner(), Inner(a=None)]), [{"b": 1}, {"a": None, "b": 1}]),
        (
            Answers(messages=[ANSWER, {"role": "user"}], by_name={"a": ANSWER}),
            {"messages": [CAME, {"role": "user"}], "by_name": {"a": CAME}, "temperature": 0.3},
        ),
        (ANSWER, CAME),
        (ResponseModel.model_validate({"user": Plain(first=None)}), {"user": {"first": None}}),
    ],
)
def test_what_was_set_and_what_is_a_default_is_written_and_no_none_by_default(model: BaseModel, written: Any) -> None:
    found = as_written(model)
    assert found == written
    assert json.dumps(found, default=str) == json.dumps(written, default=str)  # the order too
    in_json = as_written(model, "json")
    assert json.dumps(in_json) == json.dumps(written, default=str)


def test_a_field_that_can_be_read_once_is_written_whole() -> None:
    assert as_written(Streamed(items=numbers()), "json") == {"items": [1, 2]}


def test_what_does_not_fit_its_field_is_warned_of_once() -> None:
    odd = Inner.model_construct(b="x")
    with pytest.warns(UserWarning, match="serializ") as caught:
        as_written(odd)
    assert len(caught) == 1


# ---- everywhere that a model may stand ----


class Message(BaseModel):
    role: Literal["user"] = "user"
    content: str
    attachments: list[str] | None = ["file-1"]
    name: str | None = None


class Function(BaseModel):
    name: str
    description: str = "Погода"
    parameters: dict[str, Any] = {"type": "object", "properties": {"city": {"default": None}}}
    return_parameters: dict[str, Any] | None = None


class Options(BaseModel):
    temperature: float = 0.3
    max_tokens: int | None = None


class Request(BaseModel):
    messages: list[Message] = [Message(content="a")]
    temperature: float = 0.3
    top_p: float | None = None


WRITTEN_MESSAGE = {"role": "user", "content": "a", "attachments": ["file-1"]}
WRITTEN_FUNCTION = {
    "name": "f",
    "description": "Погода",
    "parameters": {"type": "object", "properties": {"city": {"default": None}}},
}
USER = {"role": "user", "content": "a"}


def sent(call: Any) -> Any:
    assert isinstance(call.body, bytes)
    return json.loads(call.body)


def test_messages_and_functions_bring_their_defaults() -> None:
    params = {"messages": [Message(content="a")], "functions": [Function(name="f", return_parameters=None)]}
    body = sent(chat_completion_call(params, stream=None, default_model="m"))
    assert body == {"messages": [WRITTEN_MESSAGE], "functions": [WRITTEN_FUNCTION], "model": "m"}


def test_options_and_tools_of_v2_bring_their_defaults() -> None:
    params = {"messages": [USER], "model_options": Options(max_tokens=None), "tools": [Function(name="f")]}
    body = sent(chat_completion_v2_call(params, stream=None, default_model="m"))
    assert body["model_options"] == {"temperature": 0.3}
    assert body["tools"] == [{"functions": {"specifications": [WRITTEN_FUNCTION]}}]


def test_requests_of_a_batch_bring_their_defaults() -> None:
    line = json.loads(BatchLines("chat_completions", "m").of_requests([Request()]))
    assert line["request"] == {"messages": [WRITTEN_MESSAGE], "temperature": 0.3, "model": "m"}


def test_metadata_and_a_function_to_judge_are_the_users_own_and_keep_their_nulls() -> None:
    fields: dict[str, Any] = {"model": "m", "name": "n", "metadata": Options(max_tokens=None)}
    request = validated(AssistantCreateRequest, fields)
    assert request.to_payload()["metadata"] == {"temperature": 0.3, "max_tokens": None}
    judged = validated(FunctionValidateRequest, {"function": Function(name="f", return_parameters=None)})
    assert judged.to_payload() == {**WRITTEN_FUNCTION, "return_parameters": None}


def test_the_body_of_an_unknown_endpoint_brings_its_defaults() -> None:
    assert sent(any_call("POST", "/x", {}, body=Request())) == {"messages": [WRITTEN_MESSAGE], "temperature": 0.3}
    assert sent(any_call("POST", "/x", {}, body=Options(max_tokens=None))) == {"temperature": 0.3, "max_tokens": None}
    assert sent(any_call("POST", "/x", {}, body={"a": [Inner(a=None)]})) == {"a": [{"a": None, "b": 1}]}


def test_answers_go_back_as_they_came() -> None:
    file = File(id="i", bytes=1, created_at=1, filename="f", purpose="general")
    assert sent(any_call("POST", "/x", {}, body=file)) == {
        "id": "i",
        "bytes": 1,
        "created_at": 1,
        "filename": "f",
        "purpose": "general",
    }
    function = FunctionDefinition(name="f", description=None)
    body = sent(chat_completion_call({"messages": [ANSWER], "functions": [function]}, stream=None, default_model="m"))
    assert body["functions"] == [{"name": "f"}]
    assert body["messages"] == [{"content": "да", "role": "assistant"}]


def test_the_digest_of_a_request_is_of_what_is_sent() -> None:
    class Other(BaseModel):
        role: Literal["user"] = "user"
        content: str
        attachments: list[str] = ["file-2"]

    one, other = ({"messages": [kind(content="a")]} for kind in (Message, Other))
    endpoint = "chat.completions.create"
    assert digest_of(one, endpoint) != digest_of(other, endpoint)
    assert digest_of(one, endpoint) == digest_of({"messages": [WRITTEN_MESSAGE]}, endpoint)
