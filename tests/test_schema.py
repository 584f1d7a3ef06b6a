"""`_schema.py`: the JSON Schema of a Python type as the service takes it, and the way back."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel
from typing_extensions import NotRequired, TypedDict

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._schema import sendable_schema, structure_of

T = TypeVar("T")
WIRE = Path(__file__).with_name("fixtures") / "wire"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class City(BaseModel):
    name: str
    people: int


SENT_CITY: dict[str, Any] = {
    "properties": {"name": {"title": "Name", "type": "string"}, "people": {"title": "People", "type": "integer"}},
    "required": ["name", "people"],
    "title": "City",
    "type": "object",
}
SENT_COLOR: dict[str, Any] = {"enum": ["red", "blue"], "title": "Color", "type": "string"}


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


SENT_CAT, SENT_DOG = (
    {
        "properties": {"kind": {"const": kind, "title": "Kind", "type": "string"}},
        "required": ["kind"],
        "title": title,
        "type": "object",
    }
    for kind, title in (("cat", "Cat"), ("dog", "Dog"))
)


class Node(BaseModel):
    children: list[Node] = []


class Left(BaseModel):
    right: Right | None = None


class Right(BaseModel):
    left: Left | None = None


class Box(BaseModel, Generic[T]):
    item: T


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


def schema_of(annotation: Any, default: Any = ...) -> tuple[dict[str, Any], bool]:
    """Return the schema of one property, and whether it is required; another one always is."""
    model = type("Model", (BaseModel,), {"__annotations__": {"first": int, "field": annotation}, "field": default})
    if default is ...:
        model = type("Model", (BaseModel,), {"__annotations__": {"first": int, "field": annotation}})
    schema = structure_of(model).schema
    return schema["properties"]["field"], "field" in schema["required"]


PROPERTIES: dict[str, tuple[Any, Any, dict[str, Any], bool]] = {
    "a plain one": (str, ..., {"title": "Field", "type": "string"}, True),
    "one with a default": (str, "a", {"title": "Field", "type": "string", "default": "a"}, False),
    "a bound one": (
        Annotated[int, Field(ge=0, le=9)],
        ...,
        {"minimum": 0, "maximum": 9, "title": "Field", "type": "integer"},
        True,
    ),
    "a model": (City, ..., SENT_CITY, True),
    "a described model": (Annotated[City, Field(description="d")], ..., {**SENT_CITY, "description": "d"}, True),
    "models in a list": (list[City], ..., {"title": "Field", "type": "array", "items": SENT_CITY}, True),
    "models in a dict": (
        dict[str, City],
        ...,
        {"title": "Field", "type": "object", "additionalProperties": SENT_CITY, "properties": {}},
        True,
    ),
    "a bare list": (list, ..., {"title": "Field", "type": "array", "items": {}}, True),
    "a tuple": (
        tuple[int, City],
        ...,
        {
            "title": "Field",
            "type": "array",
            "prefixItems": [{"type": "integer"}, SENT_CITY],
            "minItems": 2,
            "maxItems": 2,
        },
        True,
    ),
    "anything": (Any, ..., {"title": "Field"}, True),
    "anything or nothing": (Any, None, {"title": "Field", "default": None}, False),
    "an enumeration": (Color, ..., SENT_COLOR, True),
    "a date": (date, ..., {"title": "Field", "type": "string", "format": "date"}, True),
    # None
    "None by default": (Optional[str], None, {"title": "Field", "type": "string"}, False),  # noqa: UP045
    "None allowed": (str | None, ..., {"title": "Field", "type": ["string", "null"]}, True),
    "None allowed, with a default": (str | None, "a", {"title": "Field", "type": "string", "default": "a"}, False),
    "a bound one or None": (
        Annotated[int, Field(ge=0)] | None,
        None,
        {"title": "Field", "type": "integer", "minimum": 0},
        False,
    ),
    "a model or None by default": (City | None, None, SENT_CITY, False),
    "a model or None": (City | None, ..., {**SENT_CITY, "type": ["object", "null"]}, True),
    "an enumeration or None by default": (Color | None, None, SENT_COLOR, False),
    "an enumeration or None": (
        Color | None,
        ...,
        {**SENT_COLOR, "type": ["string", "null"], "enum": ["red", "blue", None]},
        True,
    ),
    "a constant or None": (
        Literal["a"] | None,
        ...,
        {"title": "Field", "type": ["string", "null"], "enum": ["a", None]},
        True,
    ),
    "constants or None by default": (
        Literal["a", None],
        None,
        {"title": "Field", "enum": ["a", None], "default": None},
        False,
    ),
    "constants of two types or None by default": (
        Annotated[Literal["a", 1], Field(description="d")] | None,
        None,
        {"title": "Field", "enum": ["a", 1], "description": "d"},
        False,
    ),
    "a list of what may be None": (
        list[int | None],
        ...,
        {"title": "Field", "type": "array", "items": {"type": ["integer", "null"]}},
        True,
    ),
    # unions
    "a union of plain types": (int | str, ..., {"title": "Field", "type": ["integer", "string"]}, True),
    "plain types or None by default": (
        int | str | None,
        None,
        {"title": "Field", "type": ["integer", "string"]},
        False,
    ),
    "plain types or None": (int | str | None, ..., {"title": "Field", "type": ["integer", "string", "null"]}, True),
    "a union of models": (City | Cat, ..., {"title": "Field", "anyOf": [SENT_CITY, SENT_CAT]}, True),
    "models or None by default": (City | Cat | None, None, {"title": "Field", "anyOf": [SENT_CITY, SENT_CAT]}, False),
    "models or None": (
        City | Cat | None,
        ...,
        {"title": "Field", "anyOf": [SENT_CITY, SENT_CAT, {"type": "null"}]},
        True,
    ),
    "models told apart": (
        Annotated[Union[Cat, Dog], Field(discriminator="kind")],  # noqa: UP007
        ...,
        {"title": "Field", "oneOf": [SENT_CAT, SENT_DOG]},
        True,
    ),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_are_written_as_the_service_takes_them(name: str) -> None:
    annotation, default, schema, is_required = PROPERTIES[name]
    assert schema_of(annotation, default) == (schema, is_required)


def test_an_object_of_anything_has_properties_too() -> None:
    schema, is_required = schema_of(dict[str, Any])
    assert (schema["type"], schema["properties"], is_required) == ("object", {}, True)


def test_the_recorded_schema_is_what_we_send() -> None:
    class StructuredAnswer(BaseModel):
        """Structured answer returned by response_format=json_schema."""

        answer: str
        n: Annotated[int, Field(ge=0, le=10)]

    cases = json.loads((WIRE / "index.json").read_text(encoding="utf-8"))["cases"]
    [body] = [case["request_body"] for case in cases if case["file"] == "primary_chat_parse_json_schema.json"]
    assert structure_of(StructuredAnswer).response_format == body["model_options"]["response_format"]


def test_where_nothing_is_required_what_is_never_null_becomes_so() -> None:
    class Settings(BaseModel):
        size: int = 5
        name: str = "a"
        note: str | None = None
        tags: list[str] = Field(default_factory=list)

    class Notes(BaseModel):
        note: str | None = None

    assert structure_of(Settings).schema["required"] == ["size", "name", "tags"]
    assert "required" not in structure_of(Notes).schema


def test_types_beside_models() -> None:
    assert structure_of(Point).schema["required"] == ["x"]
    assert structure_of(Movie).schema["required"] == ["title"]
    assert structure_of(Box[City]).schema["properties"]["item"] == SENT_CITY
    assert structure_of(list[City]).schema == {"type": "array", "items": SENT_CITY}
    assert structure_of(RootModel[int]).schema["type"] == "integer"
    assert [structure_of(one).name for one in (City, Point, Box[int])] == ["City", "Point", "Box[int]"]


def test_a_name_that_is_a_keyword_is_a_property_like_any_other() -> None:
    class Odd(BaseModel):
        ref: int = Field(alias="$ref")
        properties: City
        items: list[City]
        any_of: str | None = Field(alias="anyOf")

    properties = structure_of(Odd).schema["properties"]
    assert properties["$ref"] == {"title": "$Ref", "type": "integer"}
    assert properties["properties"] == SENT_CITY
    assert properties["anyOf"]["type"] == ["string", "null"]


def test_values_in_a_schema_are_left_alone() -> None:
    value = {"$ref": "x", "anyOf": [{"type": "null"}]}
    schema = {"properties": {"a": {"examples": [value], "const": value, "default": value, "enum": [value, 5]}}}
    assert sendable_schema(schema) == schema


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"const": "a", "enum": ["a"], "type": "string"}, {"const": "a", "type": "string"}),
        ({"const": "a", "enum": ["a", "b"]}, {"const": "a", "enum": ["a", "b"]}),
        ({"allOf": [{"type": "string"}], "title": "t"}, {"type": "string", "title": "t"}),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, {"allOf": [{"minimum": 1}, {"maximum": 2}]}),
        ({"allOf": [True]}, {"allOf": [True]}),
        ({"anyOf": [True, {"type": "null"}]}, {"anyOf": [True, {"type": "null"}]}),
        ({"properties": {"a": True}}, {"properties": {"a": True}}),
        (
            {"type": "object", "properties": {"a": True}},
            {"type": "object", "properties": {"a": True}, "required": ["a"]},
        ),
        (
            {"type": "object", "properties": {"a": {"anyOf": [True, {"type": "null"}]}}},
            {"type": "object", "properties": {"a": {"anyOf": [True]}}},
        ),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"not": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "array"}}}, {"not": {"type": "array", "items": {}}}),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B", "title": "a"}, "B": {"type": "string"}}},
            {"type": "string", "title": "a"},
        ),
    ],
)
def test_schemas_are_written_out(schema: dict[str, Any], written: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    assert sendable_schema(schema) == written
    assert schema == before


@pytest.mark.parametrize(("kind", "name"), [(Node, "Node"), (Left, "Left"), (list[Node], "Node"), (Box[Node], "Node")])
def test_types_that_hold_themselves_are_refused(kind: Any, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^response_format: {name} holds itself, and the service") as caught:
        structure_of(kind)
    assert caught.value.param == "response_format"
    assert not isinstance(caught.value, TypeError)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="refers to '#/definitions/A', which is not in it"):
        sendable_schema({"$ref": "#/definitions/A"})


class Unreadable:
    pass


class Unknown(BaseModel):
    field: Nowhere  # noqa: F821


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "json_schema"}, "expected a type, such as a pydantic model, got dict; a format as a dict goes into"),
        ("City", "expected a type, such as a pydantic model, got str"),
        (City(name="a", people=1), "expected a type, such as a pydantic model, got City"),
        (None, "got NoneType"),
        (Unreadable, "no answer can be read as <class 'test_schema.Unreadable'>: Unable to generate"),
        (Unknown, "no answer can be read as"),
        (Annotated[int, {}], "unhashable"),
        (list["a b"], "no answer can be read as list['a b']: Forward reference must be an expression"),  # noqa: F722
        (BaseModel, "no answer can be read as <class 'pydantic.main.BaseModel'>: BaseModel itself has no fields"),
        (list[BaseModel], "no answer can be read as list[pydantic.main.BaseModel]: BaseModel itself has no fields"),
        (Callable[[], int], "no answer can be read as collections.abc.Callable[[], int]: "),
    ],
)
def test_what_is_no_type_of_an_answer_is_refused(given: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        structure_of(given)
    error = caught.value
    assert words in str(error)
    assert str(error).startswith("response_format: ")
    assert "\n" not in str(error)
    assert isinstance(error, TypeError)
    assert error.param == "response_format"
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_default_that_json_cannot_hold_needs_no_warning() -> None:
    class Odd(BaseModel):
        field: Any = object()

    assert structure_of(Odd).schema["properties"] == {"field": {"title": "Field"}}


def test_answers_are_read_as_the_type() -> None:
    assert structure_of(City).read('{"name": "Москва", "people": 13}') == (City(name="Москва", people=13), None)
    assert structure_of(Point).read('{\n  "x": 1\n}') == (Point(1), None)
    assert structure_of(Movie).read('{"title": "a"}') == ({"title": "a"}, None)
    assert structure_of(list[City]).read("[]") == ([], None)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is no JSON"), ("Москва", "is no JSON"), ("{}", "name: Field required"), ("[" * 100_000, "is no JSON")],
)
def test_what_is_no_such_answer_is_told_in_one_line(text: str, words: str) -> None:
    value, reason = structure_of(City).read(text)
    assert value is None
    assert reason is not None
    assert words in reason
    assert "\n" not in reason


@given(
    st.recursive(
        st.sampled_from([int, str, bool, float, City, Color, Cat, Any]),
        lambda inner: st.one_of(
            inner.map(lambda one: list[one]),
            inner.map(lambda one: dict[str, one]),
            inner.map(lambda one: Optional[one]),  # noqa: UP045
            st.tuples(inner, inner).map(lambda two: Union[two]),  # noqa: UP007
        ),
        max_leaves=4,
    )
)
def test_no_reference_is_left(kind: Any) -> None:
    text = json.dumps(structure_of(kind).response_format)
    assert '"$ref"' not in text
    assert '"$defs"' not in text
