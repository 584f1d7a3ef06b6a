"""How many requests may be in flight: which limit counts for a model, and how a limit gives way to 429. No I/O."""

from __future__ import annotations

from typing import Any

from .errors import ConfigurationError, ConfigurationTypeError
from .types._narrow import is_mapping
from .types._shown import cut_repr, shown_number

EVERY_MODEL = "*"
WIDENING = 0.1  # of a slot, for each round of successes: slow, as every step too far costs a refused request


def check_limits(name: str, given: Any) -> dict[str, int]:
    """Return limits by model, `"*"` standing for every model that is not named; a number is the limit of all.

    Raises:
        ConfigurationError: A limit under 1, or none at all.
    """
    limits: dict[str, int] = {}
    for model, limit in given.items() if is_mapping(given) else [(EVERY_MODEL, given)]:
        place = name if model == EVERY_MODEL and not is_mapping(given) else f"{name}[{cut_repr(model)}]"
        if not isinstance(model, str):
            raise ConfigurationTypeError(f"{name}: expected names of models, got {type(model).__name__}")
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise ConfigurationTypeError(f"{place}: expected a number of requests, got {type(limit).__name__}")
        if limit < 1:
            raise ConfigurationError(f"{place}: give a number over 0, not {shown_number(limit)}")
        plain = plain_model(model)
        if plain in limits:
            raise ConfigurationError(
                f"{name}: {cut_repr(plain)} has two limits; a version after a colon is the same model"
            )
        limits[plain] = limit
    if not limits:
        raise ConfigurationError(f"{name}: there is no limit in it; give a number, or models with numbers")
    return limits


def plain_model(model: str) -> str:
    """Return a model's name without its version: hosts say `GigaChat-2-Max:2.0.28` or plain `GigaChat-2-Max`."""
    return model.partition(":")[0]


def limit_name(limits: dict[str, int], model: str | None) -> str | None:
    """Return whose limit counts for a request to `model`; None where nothing limits it."""
    plain = EVERY_MODEL if model is None else plain_model(model)
    if plain in limits:
        return plain
    return EVERY_MODEL if EVERY_MODEL in limits else None


class Window:
    """How much of a limit is used: halved when the service refuses, widened slowly by success (AIMD).

    Slots are numbered in the order in which they are given out. What was in flight when the window was narrowed tells
    nothing of its new width, so refusals of slots given out before that are ignored.

    Args:
        limit: The widest it gets.
    """

    __slots__ = ("_narrowed_at", "limit", "width")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.width: float = limit
        self._narrowed_at = -1

    @property
    def places(self) -> int:
        """How many slots it has now; 1 at least."""
        return int(self.width)

    def refused(self, number: int, newest: int) -> bool:
        """Narrow after a 429 to the request in slot `number`, `newest` being the last one given out; say if it did."""
        if number <= self._narrowed_at:
            return False
        self._narrowed_at = newest
        self.width = max(1.0, self.width / 2)
        return True

    def succeeded(self) -> None:
        """Widen a little after a success."""
        self.width = min(float(self.limit), self.width + WIDENING / self.width)
