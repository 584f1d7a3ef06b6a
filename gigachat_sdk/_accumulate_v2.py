"""Events of a v2 stream added up to the answer they are pieces of. No I/O.

What is known (recorded streams, live reports): `response.message.delta` brings pieces of text, to be joined per role of
message; `response.message.done` brings the finish reason and the usage, and messages only where tools were in play
(calls, the state of the tools). No stream was recorded whose last event repeats the text, yet "done" events of other
services do, so texts of a last event are read both ways: one that begins with all that has arrived is the whole answer,
any other one is its last piece, and parts that have arrived already are not added again. What this reads wrong is a
last piece that begins with everything before it, which takes an answer of a word or two.

Events of tools tell how far they are, which is no part of an answer.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

from .types._base import BaseModel
from .types._narrow import is_sequence
from .types.v2 import ChatCompletion, ChatCompletionChunk, ResponseMessage
from .types.v2.completion import DONE_EVENT, is_last, is_of_tool, set_added_texts

_USUAL = {"model", "created_at", "messages"}
_PLAIN_MESSAGE = {"role", "content"}
_BESIDE_TEXT = frozenset({"inline_data", "logprobs"})
_PROGRESS = "tool_execution"


def _given(model: BaseModel, *left_out: str) -> dict[str, Any]:
    return model.model_dump(exclude_unset=True, exclude_none=True, by_alias=True, exclude=set(left_out))


def _joined(known: Any, more: Any) -> Any:
    """Add log probabilities to those before them, and sources to sources."""
    if is_sequence(known):
        return [*known, *more]
    both = known.keys() & more.keys() & {"sources"}
    return {**known, **more, **{name: {**known[name], **more[name]} for name in both}}


class _MessageSoFar:
    """One message: the text of its last part grows in a buffer, the rest is what came last."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._text: StringIO | None = None  # of the last part, where that one is a text
        self.fields: dict[str, Any] = {}

    def parts(self) -> list[dict[str, Any]]:
        """Return the parts as they are now."""
        if self._text is not None:
            self._parts[-1]["text"] = self._text.getvalue()
        return self._parts

    @property
    def text(self) -> str:
        """The text of all parts."""
        return "".join([part["text"] for part in self.parts() if "text" in part])

    def write(self, text: str) -> None:
        """Add a piece of text; nothing makes no part."""
        if self._text is None:
            if not text:
                return
            self._parts.append({"text": ""})
            self._text = StringIO()
        self._text.write(text)

    def add_part(self, given: dict[str, Any], *, is_repeated: bool = False) -> None:
        """Take what a part brings beside text; `is_repeated` where it tells of the whole text."""
        if self._text is not None and given.keys() <= _BESIDE_TEXT:
            part = self._parts[-1]
            for name, value in given.items():
                is_first = name not in part or (is_repeated and name == "logprobs")
                part[name] = value if is_first else _joined(part[name], value)
        else:
            self._parts = self.parts()
            self._text = None
            self._parts.append(given)


class ChatCompletionV2Accumulator:
    """Adds up v2 events to a `ChatCompletion` of the v2 contract.

    Example:
        >>> accumulator = ChatCompletionV2Accumulator()
        >>> accumulator.add(ChatCompletionChunk.model_validate({"messages": [{"content": [{"text": "При"}]}]}))
        >>> accumulator.text
        'При'
    """

    def __init__(self) -> None:
        self._messages: dict[str, _MessageSoFar] = {}  # by role
        self._fields: dict[str, Any] = {}

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take the next event."""
        messages, is_usual = chunk.messages, chunk.__pydantic_fields_set__ == _USUAL
        # Nearly every event brings one piece of text alone, and adding up must cost less than reading.
        if is_usual and len(messages) == 1 and self._fields:
            message = messages[0]
            content = message.content
            if len(content) == 1 and message.__pydantic_fields_set__ == _PLAIN_MESSAGE and chunk.event != DONE_EVENT:
                part = content[0]
                if part.text is not None and len(part.__pydantic_fields_set__) == 1:
                    self._of(message.role).write(part.text)
                    return
        self._add(chunk)
        if not (is_usual and self._fields):
            self._add_fields(chunk, is_progress=is_of_tool(chunk.event))

    def _add(self, chunk: ChatCompletionChunk) -> None:
        if is_last(chunk):
            self._add_last(chunk)
            return
        is_progress = is_of_tool(chunk.event)
        for message in chunk.messages:
            self._add_message(message, is_progress=is_progress)

    def _of(self, role: str) -> _MessageSoFar:
        so_far = self._messages.get(role)
        if so_far is None:
            so_far = self._messages[role] = _MessageSoFar()
        return so_far

    def _add_message(self, message: ResponseMessage, *, is_progress: bool) -> None:
        given = _given(message)
        content: list[dict[str, Any]] = given.pop("content", None) or []  # null is written as it came
        parts = [part for part in content if not _tells_progress(part, is_progress)]
        if _tells_progress(given, is_progress):
            del given[_PROGRESS]
        if not parts and given.keys() <= {"role"}:
            return
        so_far = self._of(message.role)
        so_far.fields.update(given)
        for part in parts:
            text = part.pop("text", None)
            if text is not None:
                so_far.write(text)
            if part:
                so_far.add_part(part)

    def _add_last(self, chunk: ChatCompletionChunk) -> None:
        told: dict[str, str] = {}
        earlier = {role: list(so_far.parts()) for role, so_far in self._messages.items()}
        for message in chunk.messages:
            told[message.role] = told.get(message.role, "") + message.text
        added = {role: _news(self._text_of(role), text) for role, text in told.items()}
        is_repeated = {role: added[role] != told[role] for role in told}
        unwritten = dict(added)
        for message in chunk.messages:
            role = message.role
            so_far = self._of(role)
            so_far.fields.update(_given(message, "content"))
            for part in (_given(part) for part in message.content):
                if part.pop("text", None) is not None and role in unwritten:
                    so_far.write(unwritten.pop(role))
                if part in earlier.get(role, ()):
                    earlier[role].remove(part)
                elif part:
                    so_far.add_part(part, is_repeated=is_repeated[role])
        if added != told:
            set_added_texts(chunk, added)

    def _add_fields(self, chunk: ChatCompletionChunk, *, is_progress: bool) -> None:
        given = _given(chunk, "messages")
        if _tells_progress(given, is_progress):
            del given[_PROGRESS]
        if "logprobs" in given:
            given["logprobs"] = [*self._fields.get("logprobs", ()), *given["logprobs"]]
        self._fields.update(given)

    def _text_of(self, role: str) -> str:
        so_far = self._messages.get(role)
        return "" if so_far is None else so_far.text

    @property
    def text(self) -> str:
        """The assistant's text so far."""
        return self._text_of("assistant")

    def text_of(self, chunk: ChatCompletionChunk) -> str:
        """Return what an event, which has been taken, has added to the text."""
        return chunk.text

    def partial(self) -> ChatCompletion | None:
        """The answer so far; None where nothing has arrived."""
        if not self._messages and not self._fields:
            return None
        messages = [
            {"role": role, **so_far.fields, "content": so_far.parts()} for role, so_far in self._messages.items()
        ]
        return ChatCompletion.model_validate({**self._fields, "messages": messages})


def _news(known: str, told: str) -> str:
    """Return what a text of a last event adds to what has arrived."""
    if told.startswith(known):
        return told[len(known) :]
    return "" if told.strip() == known.strip() else told


def _tells_progress(given: dict[str, Any], is_tool_event: bool) -> bool:
    """Say whether a part, a message or an event tells how far a tool is; one that works has no status yet."""
    return _PROGRESS in given and (is_tool_event or given[_PROGRESS].get("status") is None)
