"""Events of a thread's run added up to the answer they are pieces of. No I/O."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ._accumulate import ChatCompletionAccumulator
from .types.threads import ThreadCompletion, ThreadCompletionChunk


class ThreadCompletionAccumulator:
    """Adds up the events of a run to a `ThreadCompletion`; the tokens of all events are summed.

    Example:
        >>> accumulator = ThreadCompletionAccumulator()
        >>> accumulator.partial() is None
        True
    """

    def __init__(self) -> None:
        self._chat = ChatCompletionAccumulator()
        self._usage: dict[str, Any] = {}

    def add(self, chunk: ThreadCompletionChunk) -> None:
        """Take the next event."""
        self._chat.add(chunk)
        if chunk.usage is not None:
            for name, value in chunk.usage.to_dict().items():
                so_far = self._usage.get(name, 0)
                if isinstance(value, int) and isinstance(so_far, int):
                    self._usage[name] = so_far + value
                elif value is not None:
                    self._usage[name] = value

    @property
    def text(self) -> str:
        """The text so far."""
        return self._chat.text

    def partial(self) -> ThreadCompletion | None:
        """The answer so far; None where no event has arrived."""
        whole = self._chat.partial()
        if whole is None:
            return None
        fields = whole.to_dict()
        choices = fields.pop("choices")
        first: dict[str, Any] = choices[0] if choices else {"message": {"role": "assistant"}}
        fields.update({name: value for name, value in first.items() if name in ("message", "finish_reason")})
        if self._usage:
            fields["usage"] = self._usage
        try:
            return ThreadCompletion.model_validate(fields)
        except ValidationError:  # a field that events do not type has another type in the whole
            return ThreadCompletion.model_validate({"message": fields["message"]})
