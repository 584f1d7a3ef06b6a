"""Answers of `POST /v1/chat/completions`, whole and streamed.

Lenient on purpose: unknown fields are kept, roles and finish reasons are open sets, and what the service may leave out
has a default.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from ._base import BaseModel, ResponseModel
from .generated import GeneratedFile, generated_files


def _arguments(value: object) -> object:
    """Function arguments come as an object, sometimes as JSON text, and for a function without any as nothing."""
    if isinstance(value, str | bytes) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("function arguments are neither an object nor JSON text of one") from None
    return value or {} if value is None or isinstance(value, str) else value


Arguments: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_arguments)]


class FunctionCall(BaseModel):
    """A function that the model asks to be called.

    Attributes:
        name: The function's name.
        arguments: Its arguments as a dict, whether the service sent an object or JSON text of one.
        id: The call's id, where the service gave one.
    """

    name: str = ""
    arguments: Arguments = Field(default_factory=dict)
    id: str | None = None


class Usage(BaseModel):
    """Tokens of one exchange, as the service counted them.

    Attributes:
        prompt_tokens: Tokens of what was sent.
        completion_tokens: Tokens of what was answered.
        total_tokens: As the service gives it; do not compute one from the others.
        precached_prompt_tokens: Prompt tokens served from the cache; None where the service does not say. Sending the
            same `X-Session-ID` over a dialogue raises it.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    precached_prompt_tokens: int | None = None


class ChatCompletionMessage(BaseModel):
    """A message of the model. It can be passed back in `messages=[...]` as it is.

    Attributes:
        role: `"assistant"`; others may come.
        content: The text; empty beside a function call.
        function_call: The function the model asks to be called.
        functions_state_id: State of built-in functions, sent back with the message in a dialogue.
        reasoning_content: The model's reasoning, with `reasoning_effort`.
        attachments: Ids of files.
        name: A function's name, for messages that speak of one.
        created: Unix seconds, where the service says it.
        inline_data: Data that belongs to the text, for example sources.
        logprobs: Log probabilities, by agreement with the vendor.
    """

    role: str = "assistant"
    content: str | None = None
    function_call: FunctionCall | None = None
    functions_state_id: str | None = None
    reasoning_content: str | None = None
    attachments: list[str] | None = None
    name: str | None = None
    created: int | None = None
    inline_data: dict[str, Any] | None = None
    logprobs: list[dict[str, Any]] | None = None


class Choice(BaseModel):
    """One answer of a completion.

    Attributes:
        message: What the model said.
        index: Position of the choice.
        finish_reason: Why it ended: `"stop"`, `"length"`, `"function_call"`, `"blacklist"` or `"error"`; others may
            come.
    """

    message: ChatCompletionMessage
    index: int = 0
    finish_reason: str | None = None


class ChatCompletion(ResponseModel):
    """The whole answer of `client.chat.completions.create(...)`.

    Attributes:
        choices: The answers; GigaChat gives one.
        created: Unix seconds.
        model: Name and version, for example `"GigaChat:2.0.28.2"`; split at the first colon before comparing.
        object: What the service calls it; gateways differ, so do not compare it.
        usage: The tokens of the exchange.
        thread_id: The thread, with `storage`.
        message_id: The message's id, with `storage`.
    """

    choices: list[Choice]
    created: int = 0
    model: str = ""
    object: str = ""
    usage: Usage | None = None
    thread_id: str | None = None
    message_id: str | None = None
    additional_data: dict[str, Any] | None = None
    error_details: dict[str, Any] | None = None

    def files(self) -> list[GeneratedFile]:
        """Return the files that the built-in functions have made: pictures and 3D models.

        The text of the answer names them in tags, `<img src="...">` and `<div data-model-id="...">`.

        Returns:
            What `client.files.content(...)` takes, each file once, in the order of the text; `target` is `"image"` or
            `"model3d"`.
        """
        texts = [choice.message.content or "" for choice in self.choices]
        return [file for text in texts for file in generated_files(text, self.client_id)]

    def images(self) -> list[GeneratedFile]:
        """Return the pictures that `text2image` has made; none is an empty list.

        Example:
            >>> completion = client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "Нарисуй кота"}], function_call="auto"
            ... )
            >>> for picture in completion.images():
            ...     client.files.content(picture).write_to_file(f"{picture.id}.jpg")
        """
        return [file for file in self.files() if file.target == "image"]


class ChoiceDelta(BaseModel):
    """What a chunk adds to a message; the fields are those of `ChatCompletionMessage`.

    Attributes:
        role: In the first chunk of an answer; `"function_in_progress"` while a built-in function works.
        content: The next piece of text, or the seconds that are left while a built-in function works; None where the
            chunk brings none.
        function_call: A whole function call.
    """

    content: str | None = None
    role: str | None = None
    function_call: FunctionCall | None = None
    functions_state_id: str | None = None
    reasoning_content: str | None = None
    attachments: list[str] | None = None
    name: str | None = None
    created: int | None = None
    inline_data: dict[str, Any] | None = None
    logprobs: list[dict[str, Any]] | None = None


class ChunkChoice(BaseModel):
    """What a chunk adds to one choice.

    Attributes:
        delta: The addition.
        index: Position of the choice.
        finish_reason: In the last chunk, why the answer ended; the values of `Choice.finish_reason`.
    """

    delta: ChoiceDelta
    index: int = 0
    finish_reason: str | None = None


class ChatCompletionChunk(ResponseModel):
    """One event of `client.chat.completions.create(..., stream=True)`.

    Attributes:
        choices: What the event adds.
        created: Unix seconds.
        model: Name and version.
        object: What the service calls it; gateways differ, so do not compare it.
        usage: The tokens of the exchange, in the last chunk.
    """

    choices: list[ChunkChoice]
    created: int = 0
    model: str = ""
    object: str = ""
    usage: Usage | None = None
    thread_id: str | None = None
    message_id: str | None = None
    additional_data: dict[str, Any] | None = None
    error_details: dict[str, Any] | None = None
