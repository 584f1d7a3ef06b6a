"""The description of the API (`tests/fixtures/openapi.yaml`): its operations, and what judges by it.

The document is closed before it is used: an object whose members it names may have no others, unless it says
`additionalProperties` itself. Nearly every member is optional there, so that an open document would take anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from openapi_core import Config, OpenAPI
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).resolve().parents[1] / "fixtures" / "openapi.yaml"
_METHODS = ("get", "put", "post", "delete", "patch")
_ADDRESS = "urn:document"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    method: str  # in capitals
    path: str  # as a template
    host: str  # the first of its servers
    spec: Mapping[str, Any]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.path)))

    @property
    def source(self) -> str:
        """How docstrings name it."""
        return f"{self.method} {self.path}"

    @property
    def scheme(self) -> str:
        """The scheme of its Authorization header."""
        ((name, _),) = self.spec.get("security", document()["security"])[0].items()
        found: str = document()["components"]["securitySchemes"][name]["scheme"]
        return found

    def __str__(self) -> str:
        return self.id

    def body_types(self) -> Mapping[str, Any]:
        """The media types of its request; none where it takes no body."""
        found: Mapping[str, Any] = self.spec.get("requestBody", {}).get("content", {})
        return found

    def parameters(self, place: str) -> frozenset[str]:
        """Give the names of its parameters in `"header"`, `"path"` or `"query"`."""
        given = [_target(one["$ref"], document()) if "$ref" in one else one for one in self.spec.get("parameters", ())]
        return frozenset(one["name"] for one in given if one["in"] == place)


@cache
def document() -> dict[str, Any]:
    """Read the document as it stands."""
    with FILE.open(encoding="utf-8") as file:
        found: dict[str, Any] = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


@cache
def operations() -> dict[str, Operation]:
    """Give every operation by its id."""
    found: dict[str, Operation] = {}
    for path, item in document()["paths"].items():
        servers = item.get("servers") or document()["servers"]
        for method in _METHODS:
            if method in item:
                spec = item[method]
                found[spec["operationId"]] = Operation(
                    spec["operationId"], method.upper(), path, servers[0]["url"], spec
                )
    return found


@lru_cache(maxsize=4096)
def find_operation(method: str, path: str) -> Operation | None:
    """Find what a request asks for; a fixed path goes before a template."""
    found = [one for one in operations().values() if one.method == method and one.pattern.fullmatch(path)]
    return min(found, key=lambda one: "{" in one.path, default=None)


@cache
def closed_document() -> dict[str, Any]:
    """Give the document with objects that take no members but their own."""
    whole = deepcopy(document())
    schemas = whole["components"]["schemas"]
    for name in schemas:
        schemas[name] = _closed(schemas[name], document())
    for part in (whole["paths"], whole["components"]["responses"]):
        for holder in _holders_of_schemas(part):
            holder["schema"] = _closed(holder["schema"], document())
    return whole


def _holders_of_schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Walk what is no schema, and give each dict that has one."""
    if isinstance(node, dict):
        if isinstance(node.get("schema"), dict):
            yield node
        for name, part in node.items():
            if name not in ("schema", "example", "examples"):
                yield from _holders_of_schemas(part)
    elif isinstance(node, list):
        for part in node:
            yield from _holders_of_schemas(part)


def _closed(schema: Any, whole: Mapping[str, Any], *, is_part: bool = False) -> Any:
    """Close a schema and all below it; a part of an `allOf` stays open, since its siblings have members too."""
    if not isinstance(schema, dict):
        return schema
    if is_part and "$ref" in schema:
        return _closed(_target(schema["$ref"], whole), whole, is_part=True)
    made = dict(schema)
    for name in ("properties", "$defs"):
        if name in made:
            made[name] = {key: _closed(part, whole) for key, part in made[name].items()}
    for name in ("items", "additionalProperties", "not"):
        if name in made:
            made[name] = _closed(made[name], whole)
    for name in ("anyOf", "oneOf"):
        if name in made:
            made[name] = [_closed(part, whole) for part in made[name]]
    if "allOf" in made:
        made["allOf"] = [_closed(part, whole, is_part=True) for part in made["allOf"]]
    if not is_part:
        if "allOf" in made:
            made["unevaluatedProperties"] = False
        elif "properties" in made:
            made.setdefault("additionalProperties", False)
    return made


def _target(reference: str, whole: Mapping[str, Any]) -> Any:
    node: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def request_fields(operation: Operation) -> frozenset[str]:
    """Give all that a request may say: `messages[].content` for a field of its body, `query limit` for a parameter."""
    found = {f"{place} {name}" for place in ("header", "query") for name in operation.parameters(place)}
    for kind in operation.body_types().values():
        found.update(_fields(kind["schema"], "", ()))
    return frozenset(found)


def _fields(schema: Mapping[str, Any], path: str, above: tuple[str, ...]) -> Iterator[str]:
    reference = schema.get("$ref", "")
    if reference in above:
        return  # it holds itself
    if reference:
        yield from _fields(_target(reference, document()), path, (*above, reference))
    for name in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(name, ()):
            yield from _fields(part, path, above)
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]", above)
    for name, part in schema.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below
        yield from _fields(part, below, above)


def read_json(text: bytes | str, **_: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none, or deeper than Python reads: how deep that is depends on the caller's own depth.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _text(content: bytes, **_: str) -> str:
    return content.decode("utf-8", "surrogateescape")


@cache
def judge() -> OpenAPI:
    """Give the validator of whole requests and answers. Making it checks the document itself."""
    opaque = ("application/octet-stream", "image/jpeg", "text/event-stream", "text/html", "text/plain")
    readers = {"application/json": read_json, **dict.fromkeys(opaque, _text)}
    return OpenAPI.from_dict(closed_document(), config=Config(extra_media_type_deserializers=readers))


@cache
def schema_judge(reference: str) -> OAS31Validator:
    """Give the validator of one schema of the document, named as in `#/components/schemas/File`."""
    registry = Registry().with_resource(_ADDRESS, DRAFT202012.create_resource(closed_document()))
    return OAS31Validator({"$ref": _ADDRESS + reference}, registry=registry, format_checker=oas31_format_checker)
