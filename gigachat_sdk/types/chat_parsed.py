"""Answers of `client.chat.completions.parse(...)`: the usual ones, with the type that was asked for."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import Field

from .chat_completion import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """A message of the model, read as the type that was asked for; it can be passed back like any other.

    Attributes:
        parsed: `content` as that type; None where the model asks for a function instead. It does not stand in
            `to_dict()`.
    """

    parsed: T | None = Field(default=None, exclude=True)


class ParsedChoice(Choice, Generic[T]):
    """One answer of a parsed completion.

    Attributes:
        message: What the model said, and `.parsed`.
    """

    # Narrower than in the base class: safe as long as nobody puts a message of another kind there, or below a choice.
    message: ParsedChatCompletionMessage[T]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """The whole answer of `client.chat.completions.parse(...)`.

    Attributes:
        choices: The answers; `choices[0].message.parsed` is what was asked for.
    """

    choices: list[ParsedChoice[T]]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
