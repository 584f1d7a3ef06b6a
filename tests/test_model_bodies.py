"""`_json.py`: models in bodies are written in JSON, defaults and all, or told by the place that cannot be.

Which fields of a model are written is in `test_types_written.py`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, model_serializer

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._json import json_bytes, model_document

NAN = float("nan")


class Weather(BaseModel):
    city: str = "Москва"
    day: Any = None


class Unwritable(BaseModel):
    a: int = 0

    @model_serializer(mode="plain")
    def _refuse(self) -> Any:
        raise ValueError("no\nnever")


RING = Weather()
RING.day = RING


@pytest.mark.parametrize(
    ("day", "text"),
    [
        (date(2024, 1, 2), '"2024-01-02"'),
        ([None, (1.5, {"b"})], '[null,[1.5,["b"]]]'),
        (Weather(day={"a": None}), '{"city":"Москва","day":{"a":null}}'),
    ],
)
def test_a_model_is_written_as_pydantic_writes_it(day: Any, text: str) -> None:
    written = f'{{"city":"Москва","day":{text}}}'
    assert json_bytes({"a": Weather(day=day)}).decode() == f'{{"a":{written}}}'
    assert json_bytes(model_document(Weather(day=day), "body")).decode() == written


@pytest.mark.parametrize(
    ("model", "place", "words"),
    [
        (Weather(day=object()), "body.day", "object is not JSON"),
        (Weather(day=[date(2024, 1, 1), {"b": object()}]), "body.day[1].b", "object is not JSON"),
        (Weather(day=NAN), "body.day", "nan is no number"),
        (Weather(day=[date(2024, 1, 1), (1.5, {"b": NAN})]), "body.day[1][1].b", "nan is no number"),
        (Weather(day=Weather(day=float("inf"))), "body.day.day", "inf is no number"),
        (Weather(day={NAN}), "body", "it holds a number that JSON cannot hold"),
        (RING, "body", "it is nested too deeply, or holds itself"),
        (Unwritable(), "body", "Error calling function `_refuse`: ValueError: no"),
    ],
)
def test_what_a_model_cannot_say_in_json_is_told_by_its_place(model: BaseModel, place: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        model_document(model, "body")
    assert str(caught.value).startswith(f"{place}: {words}")
    assert "\n" not in str(caught.value)
    assert (caught.value.param, caught.value.__context__) == (place, None)
    with pytest.raises(InvalidRequestError) as inside:
        json_bytes({"a": [model]})
    assert words in str(inside.value)
    assert inside.value.__context__ is None
