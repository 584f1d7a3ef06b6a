"""`_schema.py`: types whose schema would be too deep, too long, or not whole are refused before anything is sent."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._schema import sendable_schema, structure_of


class Valued(BaseModel):
    a: dict[str, Any] = {"$ref": "#/nope"}


class Extra(BaseModel):
    model_config = ConfigDict(json_schema_extra={"$ref": "#/nope"})


def chain(levels: int, fields: int = 1) -> type[BaseModel]:
    kind: Any = int
    for level in range(levels):
        parts: dict[str, Any] = {f"part{number}": (kind, ...) for number in range(fields)}
        kind = create_model(f"Level{level}", **parts)
    model: type[BaseModel] = kind
    return model


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Valued, "the schema of <class 'test_schema_bounds.Valued'> refers to '#/nope', which is not in it"),
        (Extra, "the schema of <class 'test_schema_bounds.Extra'> refers to '#/nope', which is not in it"),
        (chain(60), "the type is nested too deeply for a schema"),
        (chain(80), "the type is nested too deeply for a schema"),
        (chain(18, 2), "written out, the schema has more than a million characters"),
        (Annotated[str, Field(description="a" * 1_000_001)], "written out, the schema has more than a million char"),
    ],
)
def test_schemas_that_cannot_be_written_out_are_refused(kind: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        structure_of(kind)
    assert str(caught.value).startswith(f"response_format: {words}")
    assert caught.value.param == "response_format"
    assert not isinstance(caught.value, TypeError)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_type_too_deep_for_python_is_refused() -> None:
    kind: Any = int
    for _ in range(2000):
        kind = list[kind]
    with pytest.raises(InvalidRequestError, match=r"^response_format: the type is nested too deeply") as caught:
        structure_of(kind)
    assert caught.value.__context__ is None


def test_thirty_levels_and_a_quarter_of_the_longest_are_sent() -> None:
    schema: Any = structure_of(chain(30)).schema
    for _ in range(30):
        schema = schema["properties"]["part0"]
    assert schema == {"title": "Part0", "type": "integer"}
    assert 200_000 < len(json.dumps(structure_of(chain(11, 2)).schema)) < 500_000


@pytest.mark.parametrize(("levels", "is_sent"), [(100, True), (101, False)])
def test_references_lead_a_hundred_levels_down(levels: int, is_sent: bool) -> None:
    definitions: dict[str, Any] = {f"L{level}": {"items": {"$ref": f"#/$defs/L{level + 1}"}} for level in range(levels)}
    definitions[f"L{levels - 1}"] = {"type": "integer"}
    schema = {"$ref": "#/$defs/L0", "$defs": definitions}
    if is_sent:
        assert json.dumps(sendable_schema(schema)).count("items") == levels - 1
    else:
        with pytest.raises(InvalidRequestError, match=r"^response_format: the type is nested too deeply"):
            sendable_schema(schema)
