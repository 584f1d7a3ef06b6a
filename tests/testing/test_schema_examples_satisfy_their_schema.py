"""`_schema.example` against pydantic as the judge."""

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import pytest
from annotated_types import Gt, Lt, MultipleOf
from pydantic import BaseModel, Field, TypeAdapter

from gigachat_sdk.testing._schema import UnsatisfiableError, example


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    name: str
    colour: Colour


class Tree(BaseModel):
    """A tree that may end."""

    value: int
    left: Optional["Tree"] = None
    children: list["Tree"] = []
    leaf: Leaf


class Everything(BaseModel):
    text: Annotated[str, Field(min_length=8, max_length=9)]
    short: Annotated[str, Field(max_length=2)]
    whole: Annotated[int, Gt(3), Lt(6)]
    real: Annotated[float, Gt(0), Lt(1)]
    flag: bool
    nothing: None
    day: date
    two: Annotated[list[Leaf], Field(min_length=2)]
    some: set[int]
    distinct: Annotated[set[str], Field(min_length=3)]
    pair: tuple[int, str]
    kind: Literal["only"]
    either: Leaf | int
    maybe: int | None
    table: dict[str, int]


@pytest.mark.parametrize("model", [Leaf, Tree, Everything, list[Tree], dict[str, Leaf], Leaf | None])
def test_pydantic_accepts_the_example_of_its_own_schema(model: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    made = example(adapter.json_schema())
    adapter.validate_python(made, strict=False)
    assert example(adapter.json_schema()) == made, "always the same"


@pytest.mark.parametrize(
    ("constraints", "whole"),
    [
        ([Gt(0)], True),
        ([Lt(0)], True),
        ([Lt(0)], False),
        ([Gt(100)], False),
        ([Gt(7), MultipleOf(5)], True),
        ([Lt(-7), MultipleOf(5)], True),
        ([MultipleOf(5)], True),
        ([Gt(0.25), Lt(0.5)], False),
        ([Gt(0), MultipleOf(0.5)], False),
    ],
)
def test_numbers_keep_to_their_bounds(constraints: list[Any], whole: bool) -> None:
    number: Any = int if whole else float
    for constraint in constraints:
        number = Annotated[number, constraint]
    adapter: TypeAdapter[Any] = TypeAdapter(number)
    adapter.validate_python(example(adapter.json_schema()), strict=True)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (True, "текст"),
        ({}, "текст"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": "integer", "minimum": 3, "maximum": 3}, 3),
        ({"type": "number", "minimum": 0.5, "maximum": 0.5}, 0.5),
        ({"type": ["null", "integer"]}, 1),
        ({"type": ["null"]}, None),
        ({"type": "string", "nullable": True}, "текст"),
        ({"type": "string", "format": "ipv4"}, "127.0.0.1"),
        ({"properties": {"a": {"type": "boolean"}}}, {"a": True}),
        ({"items": {"type": "integer"}}, [1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "items": False}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        ({"type": "array", "items": {"type": "integer", "maximum": 2}, "minItems": 3}, [1, 2, 0]),
        ({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 2}, "minItems": 3}, [1, 2, 1]),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 3}, ["a", "b", "a"]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["текст", "текст 2"]),
        ({"prefixItems": [{"type": "integer"}, {"type": "boolean"}]}, [1, False]),
        ({"type": "object", "required": ["free"]}, {"free": "текст"}),
        ({"type": "object", "required": ["n"], "additionalProperties": {"type": "integer"}}, {"n": 1}),
        ({"type": "object", "properties": {"never": False, "a": True}}, {"a": "текст"}),
        ({"oneOf": [{"type": "null"}, False, {"type": "integer"}]}, 1),
        ({"anyOf": [{"$ref": "#/nowhere"}, {"type": "integer"}]}, 1),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, 1),
        ({"$ref": "#/definitions/n", "minimum": 9, "definitions": {"n": {"type": "integer"}}}, 9),
        (
            {
                "allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"const": 2}}, "required": ["b"]}],
                "$defs": {"a": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}},
            },
            {"a": 1, "b": 2},
        ),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, 5),
    ],
)
def test_a_schema_gives_this_value(schema: object, value: object) -> None:
    assert example(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "#"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "other.json#/a"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "minItems": 2, "items": {"$ref": "#"}},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
    ],
)
def test_a_schema_without_a_finite_value_is_an_error(schema: object) -> None:
    with pytest.raises(UnsatisfiableError):
        example(schema)
