"""Chunks of a stream added up to the answer they are pieces of. No I/O."""

from __future__ import annotations

from io import StringIO
from typing import Any, Protocol

from pydantic import ValidationError
from typing_extensions import TypeVar

from .types.chat_completion import ChatCompletion, ChatCompletionChunk, ChoiceDelta, ChunkChoice

IN_PROGRESS = "function_in_progress"  # the role of a delta that counts seconds while a built-in function works

ChunkT_contra = TypeVar("ChunkT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True, default=Any)


class Accumulator(Protocol[ChunkT_contra, AnswerT_co]):
    """What a stream needs to say what had arrived when it was cut."""

    def add(self, chunk: ChunkT_contra) -> None:
        """Take the next chunk."""
        ...

    @property
    def text(self) -> str:
        """The text so far."""
        ...

    def partial(self) -> AnswerT_co | None:
        """The answer so far, of the type of the whole one; None where nothing has arrived."""
        ...


class TextAccumulator(Accumulator[ChunkT_contra, AnswerT_co], Protocol[ChunkT_contra, AnswerT_co]):
    """What the helper of streams needs beside it."""

    def text_of(self, chunk: ChunkT_contra) -> str:
        """Return what a chunk, which has been taken, has added to the text."""
        ...


class _ChoiceSoFar:
    """One choice: text grows in a buffer, the rest is what came last."""

    def __init__(self) -> None:
        self.content = StringIO()
        self.reasoning = StringIO()
        self.has_content = False
        self.has_reasoning = False
        self.fields: dict[str, Any] = {}
        self.finish_reason: str | None = None

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.content is not None and delta.role != IN_PROGRESS:
            self.content.write(delta.content)
            self.has_content = True
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        self._add_fields(delta)

    def _add_fields(self, delta: ChoiceDelta) -> None:
        if delta.reasoning_content is not None:
            self.reasoning.write(delta.reasoning_content)
            self.has_reasoning = True
        passing = ("role", "name", "created") if delta.role == IN_PROGRESS else ()
        for name, value in delta.model_dump(exclude_unset=True, exclude_none=True, by_alias=True).items():
            if name in ("content", "reasoning_content", *passing):
                continue
            if name == "logprobs":
                self.fields.setdefault(name, []).extend(value)
            else:
                self.fields[name] = value

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        if self.has_content:
            message["content"] = self.content.getvalue()
        if self.has_reasoning:
            message["reasoning_content"] = self.reasoning.getvalue()
        return {**message, **self.fields}


class ChatCompletionAccumulator:
    """Adds up v1 chunks to a `ChatCompletion`.

    Example:
        >>> accumulator = ChatCompletionAccumulator()
        >>> accumulator.partial() is None
        True
    """

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._fields: dict[str, Any] = {}
        self._seen: set[str] = set()

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take the next chunk."""
        for choice in chunk.choices:
            so_far = self._choices.get(choice.index)
            if so_far is None:
                so_far = self._choices[choice.index] = _ChoiceSoFar()
            delta = choice.delta
            # Nearly every chunk brings content alone, and adding up must cost less than reading.
            if delta.content is not None and len(delta.__pydantic_fields_set__) == 1 and choice.finish_reason is None:
                so_far.content.write(delta.content)
                so_far.has_content = True
            else:
                so_far.add(choice)
        if chunk.__pydantic_fields_set__ != self._seen:
            self._seen = chunk.__pydantic_fields_set__
            self._fields.update(
                chunk.model_dump(exclude_unset=True, exclude_none=True, by_alias=True, exclude={"choices"})
            )

    @property
    def text(self) -> str:
        """The text of the first choice so far."""
        first = self._choices.get(0)
        return "" if first is None else first.content.getvalue()

    def text_of(self, chunk: ChatCompletionChunk) -> str:
        """Return what a chunk adds to the text of the first choice."""
        deltas = [choice.delta for choice in chunk.choices if choice.index == 0]
        return "".join([delta.content or "" for delta in deltas if delta.role != IN_PROGRESS])

    def partial(self) -> ChatCompletion | None:
        """The completion so far; None where no chunk has arrived."""
        if not self._choices and not self._fields:
            return None
        choices: list[dict[str, Any]] = []
        for index in sorted(self._choices):
            so_far = self._choices[index]
            choice: dict[str, Any] = {"message": so_far.message(), "index": index}
            if so_far.finish_reason is not None:
                choice["finish_reason"] = so_far.finish_reason
            choices.append(choice)
        try:
            return ChatCompletion.model_validate({**self._fields, "choices": choices})
        except ValidationError:  # a field that chunks do not type has another type in the whole
            plain = [
                {**choice, "message": {name: choice["message"].get(name) for name in ("role", "content")}}
                for choice in choices
            ]
            return ChatCompletion.model_validate({"choices": plain})
