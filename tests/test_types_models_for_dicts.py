"""In the place of any dict of a request may stand a model of the user's; what it holds is sent as JSON."""

from __future__ import annotations

import json
from collections import UserDict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._json import json_bytes
from gigachat_sdk._request import validated
from gigachat_sdk.types import ChatCompletionRequest, v2
from gigachat_sdk.types.functions import FewShotExample
from gigachat_sdk.types.threads_params import ThreadRunRequest

NAN = float("nan")
USER = [{"role": "user", "content": "Привет"}]


class Weather(BaseModel):
    city: str = Field(default="Москва", serialization_alias="cityName")
    degrees: float = 5.0
    wind: str | None = None
    sun: str | None = None
    day: date = date(2024, 1, 2)
    price: Decimal = Decimal("1.5")


WEATHER = Weather(sun=None)
WRITTEN = {"cityName": "Москва", "degrees": 5.0, "sun": None, "day": "2024-01-02", "price": "1.5"}


class Example(BaseModel):
    request: str = "Погода?"
    params: Weather


class Schema(BaseModel):
    type: str = "object"
    properties: dict[str, Any] = {"day": {"enum": ["today", None]}}


SCHEMA = {"type": "object", "properties": {"day": {"enum": ["today", None]}}}


class Hidden(BaseModel):
    numbers: Any = {NAN}  # pydantic writes it as [null]


class Listed(RootModel[list[Weather]]):
    pass


def function(**fields: Any) -> dict[str, Any]:
    return {"functions": [{"name": "f", **fields}]}


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": [fields]}]}


def tool(**fields: Any) -> dict[str, Any]:
    return {"tools": [fields]}


def result(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "function", "content": value}]}


def call(arguments: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": arguments}}]}


V1: list[tuple[str, Any, Any]] = [
    ("arguments", call(WEATHER), call(WRITTEN)),
    ("arguments inside", call({"a": [WEATHER]}), call({"a": [WRITTEN]})),
    (
        "partial arguments",
        {"function_call": {"name": "f", "partial_arguments": WEATHER}},
        {"function_call": {"name": "f", "partial_arguments": WRITTEN}},
    ),
    ("parameters", function(parameters=Schema()), function(parameters=SCHEMA)),
    ("return parameters", function(return_parameters=Schema()), function(return_parameters=SCHEMA)),
    (
        "an example",
        function(few_shot_examples=[Example(params=WEATHER)]),
        function(few_shot_examples=[{"request": "Погода?", "params": WRITTEN}]),
    ),
    (
        "an example of an answer",
        function(few_shot_examples=[FewShotExample(request="?", params={"a": None})]),
        function(few_shot_examples=[{"request": "?", "params": {"a": None}}]),
    ),
    (
        "an example's arguments",
        function(few_shot_examples=[{"request": "?", "params": WEATHER}]),
        function(few_shot_examples=[{"request": "?", "params": WRITTEN}]),
    ),
    (
        "a schema",
        {"response_format": {"type": "json_schema", "schema": Schema()}},
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
    ),
    ("additional data", {"additional_data": WEATHER}, {"additional_data": WRITTEN}),
    ("additional data inside", {"additional_data": {"a": WEATHER}}, {"additional_data": {"a": WRITTEN}}),
    (
        "metadata",
        {"storage": {"is_stateful": True, "metadata": WEATHER}},
        {"storage": {"is_stateful": True, "metadata": WRITTEN}},
    ),
]
V2: list[tuple[str, Any, Any]] = [
    (
        "arguments",
        part(function_call={"name": "f", "arguments": WEATHER}),
        part(function_call={"name": "f", "arguments": WRITTEN}),
    ),
    ("inline data", part(text="x", inline_data=WEATHER), part(text="x", inline_data=WRITTEN)),
    ("an execution", part(tool_execution=WEATHER), part(tool_execution=WRITTEN)),
    ("probabilities", part(text="x", logprobs=[WEATHER]), part(text="x", logprobs=[WRITTEN])),
    ("settings", tool(image_generate=WEATHER), tool(image_generate=WRITTEN)),
    (
        "parameters",
        tool(name="f", parameters=Schema()),
        tool(functions={"specifications": [{"name": "f", "parameters": SCHEMA}]}),
    ),
    ("metadata", {"storage": {"metadata": WEATHER}}, {"storage": {"metadata": WRITTEN}}),
    (
        "a schema",
        {"model_options": {"response_format": {"type": "json_schema", "schema": Schema()}}},
        {"model_options": {"response_format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
]


def sent(request: Any, fields: dict[str, Any]) -> Any:
    return json.loads(json_bytes(validated(request, {"messages": USER, **fields}).to_payload()))


@pytest.mark.parametrize(("fields", "wire"), [pytest.param(*row[1:], id=row[0]) for row in V1])
def test_a_model_stands_for_a_dict(fields: dict[str, Any], wire: dict[str, Any]) -> None:
    assert sent(ChatCompletionRequest, fields) == {"messages": USER, **wire}


@pytest.mark.parametrize(("fields", "wire"), [pytest.param(*row[1:], id=row[0]) for row in V2])
def test_a_model_stands_for_a_dict_of_the_second_contract(fields: dict[str, Any], wire: dict[str, Any]) -> None:
    said = [{"role": "user", "content": [{"text": "Привет"}]}]
    assert sent(v2.ChatCompletionRequest, fields) == {"messages": said, **wire}


def test_a_run_of_a_thread_takes_models_too() -> None:
    run = validated(ThreadRunRequest, {"thread_id": "t", **function(parameters=Schema())}).to_payload()
    assert run["functions"] == [{"name": "f", "parameters": SCHEMA}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (WEATHER, WRITTEN),
        (Listed([WEATHER]), [WRITTEN]),
        (RootModel[str]("солнечно"), "солнечно"),
        ({"a": WEATHER}, {"a": WRITTEN}),
        ([WEATHER, UserDict(a=1)], [WRITTEN, {"a": 1}]),
    ],
)
def test_a_model_is_a_result_in_both_contracts(value: Any, text: Any) -> None:
    assert json.loads(sent(ChatCompletionRequest, result(value))["messages"][0]["content"]) == text
    told = {"messages": [{"role": "tool", "content": [{"function_result": {"name": "f", "result": value}}]}]}
    found = sent(v2.ChatCompletionRequest, told)["messages"][0]["content"][0]["function_result"]["result"]
    assert (found if isinstance(found, dict) else json.loads(found)) == text


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        (result(Hidden()), "messages[0].content", "not JSON: it holds a number that JSON cannot hold"),
        (result({"a": object()}), "messages[0].content", "not JSON: object is not JSON"),
        (result(Weather(degrees=NAN)), "messages[0].content", "not JSON: Out of range float values"),
        (call(Hidden()), "messages[0].function_call.arguments", "not JSON: it holds a number"),
        (call(Weather(degrees=NAN)), "messages[0].function_call.arguments.degrees", "nan is no number that JSON"),
        (call(Listed([])), "messages[0].function_call.arguments", "expected a dict, or JSON text of one, got Listed"),
        ({"additional_data": Hidden()}, "additional_data", "not JSON: it holds a number"),
        ({"additional_data": Listed([])}, "additional_data", "expected a dictionary, got list"),
        (function(parameters=Weather), "functions[0].parameters", "expected a dictionary, got ModelMetaclass"),
    ],
)
def test_a_model_that_is_no_dict_in_json_is_refused(fields: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent(ChatCompletionRequest, fields)
    assert str(caught.value).startswith(f"{place}: {words}")
    assert caught.value.param == place
    assert caught.value.__context__ is None


def test_a_number_that_json_cannot_hold_is_no_result_of_the_second_contract() -> None:
    told = [{"function_result": {"name": "f", "result": Hidden()}}]
    with pytest.raises(InvalidRequestError, match="result: not JSON: it holds a number"):
        sent(v2.ChatCompletionRequest, {"messages": [{"role": "tool", "content": told}]})
