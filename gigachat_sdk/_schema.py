"""From a Python type to the JSON Schema that the service takes, and from its answer back to the type. No I/O.

The service takes a schema as pydantic writes it, as long as everything stands in its place: it resolves no `$ref`, and
reports advise against `anyOf` and `allOf`. So references are written out, which leaves no room for types that hold
themselves, and what may be None becomes a property that may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar, get_origin

import pydantic
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from ._cast import names_base_model
from ._response import one_line
from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_dict, is_sequence
from .types._shown import cut_repr

T = TypeVar("T")

_LONGEST = 1_000_000  # characters, more or less
_DEEPEST = 100  # models within models; pydantic may give up before that
_TOO_DEEP = "the type is nested too deeply for a schema; give it fewer levels"
_NULL = {"type": "null"}
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})  # schemas under names
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames"})


class Structure(Generic[T]):
    """A type that an answer is to be read as.

    Attributes:
        name: Its name.
        schema: Its JSON Schema, as the service takes it.
    """

    def __init__(self, name: str, adapter: pydantic.TypeAdapter[T], schema: Mapping[str, Any]) -> None:
        self.name = name
        self.schema = schema
        self._adapter = adapter

    @property
    def response_format(self) -> dict[str, Any]:
        """What to send as `response_format`; without `strict` the service answers with further keys too."""
        return {"type": "json_schema", "schema": self.schema, "strict": True}

    def read(self, text: str) -> tuple[T | None, str | None]:
        """Read a text as the type; else say in one line why it cannot be."""
        try:
            return self._adapter.validate_json(text), None
        except pydantic.ValidationError as error:
            is_json = error.errors(include_url=False)[0]["type"] != "json_invalid"
            return None, one_line(error) if is_json else "the text is no JSON"


def structure_of(given: type[T]) -> Structure[T]:
    """Make the structure of a type: a pydantic model, a dataclass, a `TypedDict`, or anything else pydantic reads.

    Raises:
        InvalidRequestTypeError: It is no type, or none that pydantic reads.
        InvalidRequestError: It holds itself, refers to what is not there, or its schema is too deep or too long.
    """
    kind: Any = given
    if not isinstance(kind, type) and get_origin(kind) is None and kind is not Any:  # a class since 3.11 only
        raise InvalidRequestTypeError(
            f"response_format: expected a type, such as a pydantic model, got {type(kind).__name__}; a format as a "
            "dict goes into create(...)",
            param="response_format",
        )
    reason = refusal = ""
    if names_base_model(kind):
        raise InvalidRequestTypeError(
            f"response_format: no answer can be read as {cut_repr(kind)}: BaseModel itself has no fields; give a model "
            "on it",
            param="response_format",
        )
    try:
        return _structure(kind)
    except KeyError as error:  # pydantic looks for references in defaults and extras too
        refusal = f"the schema of {cut_repr(kind)} refers to {error.args[0]!r}, which is not in it"
    except RecursionError:
        refusal = _TOO_DEEP
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, NameError, SyntaxError) as error:
        reason = str(error).partition("\n")[0]
    if refusal:
        raise InvalidRequestError(f"response_format: {refusal}", param="response_format")
    raise InvalidRequestTypeError(
        f"response_format: no answer can be read as {cut_repr(kind)}: {reason}", param="response_format"
    )


@lru_cache(maxsize=128)
def _structure(given: Any) -> Structure[Any]:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(given)
    name: str = getattr(given, "__name__", None) or repr(given)
    schema = adapter.json_schema(schema_generator=_Generator)
    return Structure(name, adapter, sendable_schema(schema))


class _Generator(GenerateJsonSchema):
    """pydantic's own, without its warnings: they speak of defaults, which are for us and not for the model."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Keep a warning to itself."""


def sendable_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema as the service takes it; the given one is not changed.

    Raises:
        InvalidRequestError: It refers to itself, or to what is not in it, or is too deep or too long written out.

    Example:
        >>> sendable_schema({"$defs": {"A": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/A"}}})
        {'properties': {'a': {'type': 'integer'}}}
    """
    root = {name: part for name, part in schema.items() if name != "$defs"}
    written: dict[str, Any] = _Writer(schema.get("$defs") or {}).written_out(root, ())
    return written


class _Writer:
    """Writes references out, and gives up where that makes too much of a schema: every level can double it."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._length = 0

    def written_out(self, node: Any, trail: tuple[str, ...]) -> Any:
        """Return a schema with what it refers to in the place of the reference."""
        if not is_dict(node):
            return node  # true and false are schemas too
        if "$ref" in node:
            name = _referred(str(node["$ref"]), self._definitions, trail)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return self.written_out({**self._definitions[name], **beside}, (*trail, name))
        written: dict[str, Any] = {}
        for key, value in node.items():
            self._count(key)
            if key in _NAMED and is_dict(value):
                written[key] = {name: self.written_out(part, trail) for name, part in value.items()}
            elif key in _LISTED and is_sequence(value):
                written[key] = [self.written_out(part, trail) for part in value]
            elif key in _SINGLE:
                written[key] = self.written_out(value, trail)
            elif key != "discriminator":  # it speaks in references, and what it tells apart is told by the constants
                self._count(value)
                written[key] = value
        return _filled(_flattened(written))

    def _count(self, value: Any) -> None:
        self._length += len(repr(value)) + 2
        if self._length > _LONGEST:
            raise InvalidRequestError(
                "response_format: written out, the schema has more than a million characters, for a type that is used "
                "in several places is written in each; give it fewer levels, or fewer fields of the same type",
                param="response_format",
            )


def _referred(reference: str, definitions: Mapping[str, Any], trail: tuple[str, ...]) -> str:
    name = reference.removeprefix("#/$defs/")
    if name in trail:
        raise InvalidRequestError(
            f"response_format: {name} holds itself, and the service takes no schema that refers to itself; give the "
            "levels types of their own",
            param="response_format",
        )
    if len(trail) >= _DEEPEST:
        raise InvalidRequestError(f"response_format: {_TOO_DEEP}", param="response_format")
    if name not in definitions:
        raise InvalidRequestError(
            f"response_format: the schema refers to {reference!r}, which is not in it", param="response_format"
        )
    return name


def _flattened(node: dict[str, Any]) -> dict[str, Any]:
    """Say plainly what needs no union, and once what older versions of pydantic say twice."""
    if "const" in node and node.get("enum") == [node["const"]]:
        del node["enum"]
    alike = node.get("allOf")
    if alike is not None and len(alike) == 1 and is_dict(alike[0]):
        node = {**alike[0], **{key: value for key, value in node.items() if key != "allOf"}}
    choices: list[Any] | None = node.get("anyOf")
    if choices is None:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if all(is_dict(choice) and choice.keys() == {"type"} for choice in choices):
        return {"type": [choice["type"] for choice in choices], **rest}
    others = [choice for choice in choices if choice != _NULL]
    if len(others) == 1 and is_dict(others[0]) and isinstance(others[0].get("type"), str):
        merged = {**others[0], **rest, "type": [others[0]["type"], "null"]}
        if "const" in merged:
            merged["enum"] = [merged.pop("const")]
        if "enum" in merged:
            merged["enum"] = [*merged["enum"], None]
        return merged
    return node


def _filled(node: dict[str, Any]) -> dict[str, Any]:
    """Give objects and arrays what the service wants of them, and let what may be null be missing instead."""
    if node.get("type") == "array" and not node.keys() & {"items", "prefixItems"}:
        node["items"] = {}
    if node.get("type") != "object":
        return node
    properties: dict[str, Any] = node.setdefault("properties", {})
    required: list[str] = node.get("required") or []
    given: list[str] = []  # what has a default, and is never null
    for name in properties.keys() - set(required):
        part = properties[name]
        properties[name] = _without_null(part)
        if properties[name] is part:
            given.append(name)
    if given and not required:  # where nothing is required the model may answer with any object
        node["required"] = [name for name in properties if name in given]
    return node


def _without_null(part: Any) -> Any:
    """Return the schema of a property that may be missing, and so need not be null; the same one where it never is."""
    if not is_dict(part):
        return part
    types: Any = part.get("type")
    if is_sequence(types) and "null" in types:
        kept = [kind for kind in types if kind != "null"]
        plain = {**part, "type": kept[0] if len(kept) == 1 else kept}
        if "enum" in plain:
            plain["enum"] = [value for value in plain["enum"] if value is not None]
    elif _NULL in part.get("anyOf", ()):
        choices = [choice for choice in part["anyOf"] if choice != _NULL]
        plain = {**part, "anyOf": choices}
        if len(choices) == 1 and is_dict(choices[0]):
            plain = {**choices[0], **{key: value for key, value in part.items() if key != "anyOf"}}
    else:
        return part
    if plain.get("default", 0) is None:
        del plain["default"]
    return plain
