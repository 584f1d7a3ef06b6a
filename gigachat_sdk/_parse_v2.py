"""From a v2 completion to the type that was asked for, or to the error that says why there is none. No I/O."""

from __future__ import annotations

from typing import Any, TypeVar

from ._parse import read_as
from ._schema import Structure
from .errors import GigaChatError
from .types.v2 import ParsedChatCompletion

T = TypeVar("T")

# Read as it is: a class made for every type could not be pickled.
PARSED_V2: type[ParsedChatCompletion[Any]] = ParsedChatCompletion


def parsed_v2(
    completion: ParsedChatCompletion[Any], structure: Structure[T]
) -> ParsedChatCompletion[T] | GigaChatError:
    """Fill in what a v2 completion says; else return the error."""
    has_call = bool(completion.function_calls) or completion.finish_reason == "function_call"
    value, error = read_as(completion, structure, completion.text, completion.finish_reason, has_call=has_call)
    if error is not None:
        return error
    completion.parsed = value
    return completion
