"""From a JSON Schema to one value that satisfies it, always the same one.

Covers what pydantic and hand-written tool definitions make of types, bounds, references, alternatives and simple
patterns. `not` and conditional keywords are not looked at.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from gigachat_sdk.testing._calls import as_list, as_object
from gigachat_sdk.testing._regex import NoExampleError, matching

_FORMATS = {
    "date": "2026-01-21",
    "date-time": "2026-01-21T12:00:00+03:00",
    "time": "12:00:00+03:00",
    "duration": "PT1H",
    "email": "user@example.com",
    "uuid": "0953e8ab-fae7-4f36-93b9-52a2ec2382e6",
    "uri": "https://example.com/",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}
_ALTERNATIVES = ("anyOf", "oneOf")


class UnsatisfiableError(ValueError):
    """The schema allows no finite value, or points to a part that is not there."""


def example(schema: object) -> Any:
    """Make a value that satisfies a schema.

    Args:
        schema: A JSON Schema.

    Raises:
        UnsatisfiableError: There is no such value, as far as this module can see.

    Example:
        >>> example({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}})
        {'n': 3}
    """
    return _Maker(schema).make(schema, 0, ())


class _Maker:
    def __init__(self, root: object) -> None:
        self._root = root

    def make(self, schema: object, variant: int, seen: tuple[str, ...]) -> Any:
        """Make a value; different variants give different values where the schema lets them."""
        node = as_object(schema)
        if node is None:
            if schema is False:
                raise UnsatisfiableError("the schema allows nothing")
            return _string({}, variant)
        if "$ref" in node:
            reference = str(node["$ref"])
            if reference in seen:
                raise UnsatisfiableError(f"{reference} contains itself without an end")
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return self.make({**self._resolve(reference), **rest}, variant, (*seen, reference))
        if "const" in node:
            return node["const"]
        if values := as_list(node.get("enum")):
            return values[variant % len(values)]
        if "allOf" in node:
            return self._merged(node, variant, seen)
        for key in _ALTERNATIVES:
            if options := as_list(node.get(key)):
                return self._choose(node, key, options, variant, seen)
        return self._of_type(node, variant, seen)

    def _of_type(self, node: dict[str, Any], variant: int, seen: tuple[str, ...]) -> Any:
        match _type(node):
            case "object":
                return dict(self._members(node, variant, seen))
            case "array":
                return self._items(node, seen)
            case "integer" | "number" as kind:
                return _number(node, variant, whole=kind == "integer")
            case "boolean":
                return variant % 2 == 0
            case "null":
                return None
            case _:
                return _string(node, variant)

    def _resolve(self, reference: str) -> dict[str, Any]:
        found: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = (as_object(found) or {}).get(step.replace("~1", "/").replace("~0", "~"))
        node = as_object(found)
        if node is None or not reference.startswith("#"):
            raise UnsatisfiableError(f"{reference} is not in the schema")
        return node

    def _merged(self, node: dict[str, Any], variant: int, seen: tuple[str, ...]) -> Any:
        merged = {key: value for key, value in node.items() if key != "allOf"}
        for part in as_list(node["allOf"]) or []:
            other = dict(as_object(part) or {})
            if "$ref" in other:
                reference = str(other.pop("$ref"))
                if reference in seen:
                    raise UnsatisfiableError(f"{reference} contains itself without an end")
                other = {**self._resolve(reference), **other}
                seen = (*seen, reference)
            properties = {**(as_object(merged.get("properties")) or {}), **(as_object(other.get("properties")) or {})}
            required = [*(as_list(merged.get("required")) or []), *(as_list(other.get("required")) or [])]
            merged = {**merged, **other}
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return self.make(merged, variant, seen)

    def _choose(
        self, node: dict[str, Any], key: str, options: Sequence[Any], variant: int, seen: tuple[str, ...]
    ) -> Any:
        rest = {name: value for name, value in node.items() if name != key}
        nodes = [as_object(option) or {} for option in options if option is not False]
        for option in sorted(nodes, key=lambda one: one.get("type") == "null"):
            for value in self._possible({**rest, **option}, variant, seen):
                return value
        raise UnsatisfiableError(f"no alternative of {key} has a finite value")

    def _members(self, node: dict[str, Any], variant: int, seen: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        properties = as_object(node.get("properties")) or {}
        required = [str(name) for name in as_list(node.get("required")) or []]
        for name in [*properties, *(name for name in required if name not in properties)]:
            found = self._possible(properties.get(name, node.get("additionalProperties", True)), variant, seen)
            if found:
                yield name, found[0]
            elif name in required:
                raise UnsatisfiableError(f"{name} has no finite value")

    def _possible(self, schema: object, variant: int, seen: tuple[str, ...]) -> list[Any]:
        """Make a value if there is one: a list of one, or of none."""
        try:
            return [self.make(schema, variant, seen)]
        except UnsatisfiableError:
            return []

    def _items(self, node: dict[str, Any], seen: tuple[str, ...]) -> list[Any]:
        least = int(node.get("minItems", 0))
        fixed = as_list(node.get("prefixItems")) or []
        count = min(max(least, len(fixed), 1), int(node.get("maxItems", max(least, len(fixed), 1))))
        schemas = [*fixed, *([node.get("items", True)] * count)][:count]
        try:
            return [self.make(item, number, seen) for number, item in enumerate(schemas)]
        except UnsatisfiableError:
            if least:
                raise
            return []


def _type(node: dict[str, Any]) -> object:
    kind = node.get("type")
    if kinds := as_list(kind):
        return next((one for one in kinds if one != "null"), "null")
    if kind is None and "properties" in node:
        return "object"
    if kind is None and ("items" in node or "prefixItems" in node):
        return "array"
    return kind


def _string(node: dict[str, Any], variant: int) -> str:
    if (text := _FORMATS.get(str(node.get("format")))) is not None:
        return text
    if "pattern" in node:
        return _patterned(node)
    text = f"текст {variant + 1}" if variant else "текст"
    text = text.ljust(int(node.get("minLength", 0)), ".")
    return text[: int(node["maxLength"])] if "maxLength" in node else text


def _patterned(node: dict[str, Any]) -> str:
    bounds = {
        name: int(node[key]) for name, key in (("shortest", "minLength"), ("longest", "maxLength")) if key in node
    }
    try:
        return matching(str(node["pattern"]), **bounds)
    except NoExampleError as error:
        raise UnsatisfiableError(str(error)) from None


def _number(node: dict[str, Any], variant: int, *, whole: bool) -> float:
    above, low = node.get("exclusiveMinimum", -math.inf), node.get("minimum", -math.inf)
    below, high = node.get("exclusiveMaximum", math.inf), node.get("maximum", math.inf)
    step = node.get("multipleOf", 1)
    bottom, top = max(above, low), min(below, high)
    if math.isfinite(bottom):
        first, way = math.ceil(bottom / step), 1
    else:
        first, way = (math.floor(top / step), -1) if math.isfinite(top) else (1, 1)
    candidates = [(first + way * (variant + shift)) * step for shift in (0, 1)]
    if "multipleOf" not in node:
        candidates.insert(0, 1 + variant)
        if not whole:
            candidates += [bottom, top, (bottom + top) / 2]
    for value in candidates:
        if math.isfinite(value) and low <= value <= high and above < value < below:
            return int(value) if whole else value
    if variant:
        return _number(node, 0, whole=whole)
    raise UnsatisfiableError("no number is within the bounds")
