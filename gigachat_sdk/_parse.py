"""From a completion to the type that was asked for, or to the error that says why there is none. No I/O."""

from __future__ import annotations

from typing import Any, TypeVar

from ._schema import Structure
from .errors import (
    APIResponseValidationError,
    ContentFilterError,
    GigaChatError,
    LengthFinishReasonError,
    parse_body,
)
from .types._base import ResponseModel
from .types.chat_parsed import ParsedChatCompletion

T = TypeVar("T")

# Read as they are: a class made for every type could not be pickled.
PARSED: type[ParsedChatCompletion[Any]] = ParsedChatCompletion

_WITHHELD = frozenset({"blacklist", "request_blacklist", "request_whitelist", "request_filter", "response_blacklist"})


def parsed(completion: ParsedChatCompletion[Any], structure: Structure[T]) -> ParsedChatCompletion[T] | GigaChatError:
    """Fill in what the messages of a v1 completion say; else return the error."""
    for choice in completion.choices:
        message = choice.message
        has_call = message.function_call is not None or choice.finish_reason == "function_call"
        value, error = read_as(completion, structure, message.content or "", choice.finish_reason, has_call=has_call)
        if error is not None:
            return error
        message.parsed = value
    return completion


def read_as(
    completion: ResponseModel, structure: Structure[Any], text: str, finish_reason: str | None, *, has_call: bool
) -> tuple[Any, GigaChatError | None]:
    """Read the text of a completion as a type; else return the error that says why it is none."""
    if finish_reason == "length":
        return None, LengthFinishReasonError[Any](
            f"the answer was cut by max_tokens and is no whole {structure.name}; raise it", completion=completion
        )
    if finish_reason in _WITHHELD:
        return None, ContentFilterError[Any](
            f"the service withheld the answer (finish reason {finish_reason!r}): there is no {structure.name}",
            completion=completion,
        )
    if has_call:
        return None, None
    value, reason = structure.read(text)
    if reason is None:
        return value, None
    return None, APIResponseValidationError(
        f"the answer is no {structure.name}: {reason if text else 'it has no text'} (finish reason {finish_reason!r})",
        response=completion.response,
        body=parse_body(text.encode("utf-8", "replace"), "application/json"),
    )
