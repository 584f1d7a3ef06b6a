"""Answers of `POST /v2/chat/completions`: whole, parsed, and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import Field
from typing_extensions import Self

from .._base import slot_of
from .answers import Answer, ToolExecution

T = TypeVar("T")

DONE_EVENT = "response.message.done"
_TOOL_EVENTS = "response.tool."
_MESSAGE_EVENTS = "response.message."


class ChatCompletion(Answer):
    """The whole answer of `client.v2.chat.completions.create(...)`.

    `.text` is what the assistant says, `.function_calls` what it asks to be called, `.images()` what it drew;
    `messages` holds everything.

    Example:
        >>> from gigachat_sdk.types.v2 import ChatCompletion
        >>> completion = ChatCompletion.model_validate({"messages": [{"content": [{"text": "Привет!"}]}]})
        >>> completion.text
        'Привет!'
    """


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """The answer of `client.v2.chat.completions.parse(...)`.

    Attributes:
        parsed: The answer as the type that was asked for; None where the model asks for a function instead.
    """

    parsed: T | None = Field(default=None, exclude=True)


class ChatCompletionChunk(Answer):
    """One event of `client.v2.chat.completions.create(..., stream=True)`; its fields are those of `ChatCompletion`.

    Texts in `messages` are pieces, and `.text` is what the event adds to the assistant's text: put together, the texts
    of all events are the text of the answer, also where the last event repeats what has arrived. `.event` says what
    kind of event it is; it does not stand in `to_dict()`.
    """

    # Slots for the reason that `ResponseModel` has: a private attribute costs as much as reading a chunk.
    __slots__ = ("_added", "_event")
    if TYPE_CHECKING:
        _added: Mapping[str, str] | None
        _event: str

    @property
    def event(self) -> str:
        """The event's name; empty where it had none.

        `"response.message.delta"` and `"response.message.done"` bring the answer, `"response.tool.in_progress"` and
        `"response.tool.completed"` say in `tool_progress` how far a built-in tool is; others may come.
        """
        name: str = slot_of(self, "_event", "")
        return name

    @property
    def tool_progress(self) -> ToolExecution | None:
        """How far a built-in tool is, wherever in the event it stands; None where the event says nothing of it."""
        found = [self.tool_execution]
        for message in self.messages:
            found += [message.tool_execution, *(part.tool_execution for part in message.content or ())]
        return next((execution for execution in found if execution is not None), None)

    def _text_of(self, role: str) -> str:
        added = added_texts(self)
        return super()._text_of(role) if added is None else added.get(role, "")

    def __copy__(self) -> Self:
        return _like(super().__copy__(), self)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return _like(super().__deepcopy__(memo), self)

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "_event": self.event, "_added": added_texts(self)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        state = dict(state)
        name_event(self, state.pop("_event", ""))
        set_added_texts(self, state.pop("_added", None))
        super().__setstate__(state)


ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


def is_of_message(event: str) -> bool:
    """Say whether events of this name bring the answer (internal)."""
    return not event or event.startswith(_MESSAGE_EVENTS)


def is_of_tool(event: str) -> bool:
    """Say whether events of this name tell how far a tool is (internal)."""
    return event.startswith(_TOOL_EVENTS)


def is_last(chunk: ChatCompletionChunk) -> bool:
    """Say whether the answer is complete with this event (internal)."""
    event = chunk.event
    return event == DONE_EVENT or (not event and chunk.finish_reason is not None)


def name_event(chunk: ChatCompletionChunk, event: str) -> None:
    """Tell a chunk the name of its event (internal)."""
    object.__setattr__(chunk, "_event", event)


def set_added_texts(chunk: ChatCompletionChunk, texts: Mapping[str, str] | None) -> None:
    """Tell a chunk what it adds to the text of each role, where its messages say something else (internal)."""
    object.__setattr__(chunk, "_added", texts)


def added_texts(chunk: ChatCompletionChunk) -> Mapping[str, str] | None:
    """Return what the chunk was told; None where its messages say it (internal)."""
    texts: Mapping[str, str] | None = slot_of(chunk, "_added", None)
    return texts


def _like(copied: ChunkT, chunk: ChatCompletionChunk) -> ChunkT:
    name_event(copied, chunk.event)
    set_added_texts(copied, added_texts(chunk))
    return copied
