"""Looking at the shape of a request: small checks by the kind of a value, and tables of them for objects.

They know nothing of the SDK's own models: the emulator judges independently of the client it tests.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gigachat_sdk.testing._calls import Refusal, as_list, as_object, invalid, malformed

Check = Callable[[object], bool]
Ranges = Mapping[str, tuple[Callable[[float], bool], str]]


def is_text(value: object) -> bool:
    """Say whether a value is a JSON string."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """Say whether a value is true or false."""
    return isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Say whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Say whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """Say whether a value is a JSON object."""
    return isinstance(value, dict)


def list_of(check: Check) -> Check:
    """Make the check of a list whose items pass another one."""

    def matches(value: object) -> bool:
        items = as_list(value)
        return items is not None and all(check(item) for item in items)

    return matches


def either(*checks: Check) -> Check:
    """Make a check that one of several passes."""
    return lambda value: any(check(value) for check in checks)


def shaped(value: object, fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Check an object's known members.

    Returns:
        A new object without members that are null.

    Raises:
        Refusal: 400, for anything else than an object, a member of a wrong kind, or a missing one.
    """
    given = {name: item for name, item in (as_object(value) or {}).items() if item is not None}
    fits = is_object(value) and all(check(given[name]) for name, check in fields.items() if name in given)
    if not fits or not all(name in given for name in required):
        raise malformed()
    return given


GENERATION: Ranges = {
    "temperature": (lambda value: value > 0, "(0, +inf)"),
    "top_p": (lambda value: 0 <= value <= 1, "[0, 1]"),
    "max_tokens": (lambda value: value > 0, "(0, +inf)"),
    "repetition_penalty": (lambda value: value > 0, "(0, +inf)"),
    "update_interval": (lambda value: value >= 0, "[0, +inf)"),
    "reasoning_max_tokens": (lambda value: value > 0, "(0, +inf)"),
}
LIMIT: Ranges = {"limit": (lambda value: value > 0, "(0, +inf)")}


def check_ranges(given: Mapping[str, Any], ranges: Ranges = GENERATION) -> None:
    """Check numbers against their ranges.

    Raises:
        Refusal: 422, naming the range.
    """
    for name, (fits, text) in ranges.items():
        if name in given and not fits(given[name]):
            raise invalid(f"{name} must be in range {text}")


def check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    """Check that a value is one of a few words, if there is one.

    Raises:
        Refusal: 422, naming the words.
    """
    if value is not None and value not in words:
        raise invalid(f"{name} must be one of {', '.join(words)}")


def check_response_format(value: dict[str, Any]) -> None:
    """Check a `response_format`, of either version.

    Raises:
        Refusal: 400, as the service words it.
    """
    kind = value.get("type")
    if not isinstance(kind, str):
        raise malformed()
    if kind not in {"text", "json_schema", "regex"}:
        raise Refusal(400, f'Unknown type "{kind}" in response_format')
    if kind == "json_schema":
        schema = value.get("schema")
        if schema and as_object(schema) is None:
            raise malformed()
        if not schema:
            raise Refusal(400, "Empty schema with json format type is not supported")
    if kind == "regex" and not isinstance(value.get("regex"), str):
        raise malformed()


def check_metadata(value: Mapping[str, Any]) -> None:
    """Check the number of pairs in an object's metadata.

    Raises:
        Refusal: 422, for more than 16.
    """
    if len(value) > _MOST_PAIRS:
        raise invalid(f"metadata can have at most {_MOST_PAIRS} pairs")


_MOST_PAIRS = 16
