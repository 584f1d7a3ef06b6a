"""`POST /v1/ai/check` and `POST /v1/filter/check`: who wrote a text, and whether the filter would stop a dialogue."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from ._base import BaseModel, RequestModel, ResponseModel
from ._request_fields import NamedFunctions, Text
from .chat_request import Messages, without_none

KnownAICheckModel: TypeAlias = Literal["GigaCheckClassification", "GigaCheckDetection"]
"""Models of the check known when this version was made. Every place that takes one takes any other `str` too."""


class AICheckRequest(RequestModel):
    """A request of `client.ai.check(...)`, validated before anything is sent."""

    input: Text
    model: Text


class AICheckResult(ResponseModel):
    """The answer of `client.ai.check(...)`.

    Attributes:
        category: `"ai"`, `"human"` or `"mixed"`; others may come.
        characters: Characters of the text.
        tokens: Tokens of the text.
        ai_intervals: Where a model wrote: pairs of first and last character; empty or None for `"ai"` and `"human"`.
    """

    category: str
    characters: int = 0
    tokens: int = 0
    ai_intervals: list[list[int]] | None = None


@with_config(ConfigDict(extra="allow", strict=True))
class FilterSettingsParam(TypedDict, total=False):
    """Which filters look at a dialogue, and how."""

    neuro: bool
    """The neural one."""
    blacklist: bool
    """The list of what is not answered."""
    whitelist: bool
    """The list of what is answered with a given text."""
    unnormalized_history: bool
    """Whether the dialogue is looked at as it was sent, without merging messages of one role that follow each other."""


class FilterCheckRequest(RequestModel):
    """A request of `client.filter.check(...)`, validated before anything is sent."""

    messages: Messages
    model: Text
    settings: Annotated[FilterSettingsParam | None, BeforeValidator(without_none)] = None
    functions: NamedFunctions = None


class FilterUsage(BaseModel):
    """Tokens of a check, as the service counted them.

    Attributes:
        filter_tokens: Tokens that the filter looked at.
    """

    filter_tokens: int = 0


class FilterCheckResult(ResponseModel):
    """The answer of `client.filter.check(...)`.

    Attributes:
        is_profane: Whether the filter would stop the dialogue; None where the service does not say.
        usage: The tokens of the check.
    """

    is_profane: bool | None = None
    usage: FilterUsage | None = None
