"""What answers of the v2 contract are made of: messages of content parts.

Lenient on purpose: unknown fields are kept, roles, finish reasons and statuses are open sets, and what the service may
leave out has a default.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .._base import BaseModel, ResponseModel
from ..chat_completion import FunctionCall
from ..generated import GeneratedFile
from ..part_file import File
from ._lenient import Items


class Source(BaseModel):
    """A page that a search has found.

    Attributes:
        url: Its address.
        title: Its title.
    """

    url: str | None = None
    title: str | None = None


class InlineData(BaseModel):
    """Data that belongs to a text.

    Attributes:
        sources: Pages, by the number that markers in the text name: `[sources=[2]]` speaks of `sources["2"]`.
        images: Pictures found.
        widgets: Widgets of the service.
    """

    sources: dict[str, Source] | None = None
    images: list[dict[str, Any]] | None = None
    widgets: list[dict[str, Any]] | None = None


class ToolExecution(BaseModel):
    """How far a built-in tool is.

    Attributes:
        name: The tool's name, for example `"image_generate"`.
        status: `"success"` or `"fail"`; None while it works.
        seconds_left: The seconds it will still take, as the service guesses.
        censored: Whether the result was withheld.
    """

    name: str | None = None
    status: str | None = None
    seconds_left: int | float | None = None
    censored: bool | None = None


class FunctionResult(BaseModel):
    """The result of a function.

    Attributes:
        name: The function's name.
        result: An object, or JSON text.
        id: The id of the call it answers.
    """

    name: str = ""
    result: Any = None
    id: str | None = None


class LogprobToken(BaseModel):
    """A token and how likely it was.

    Attributes:
        token: Its text.
        token_id: Its number.
        logprob: The logarithm of its probability.
    """

    token: str | None = None
    token_id: int | None = None
    logprob: float | None = None


class Logprob(BaseModel):
    """A token of the answer, and those it was chosen from.

    Attributes:
        chosen: The token of the answer.
        top: The likeliest ones; as many as `top_logprobs` asked for.
    """

    chosen: LogprobToken | None = None
    top: Items[LogprobToken] = Field(default_factory=list[LogprobToken])


class ContentPart(BaseModel):
    """A piece of a message; which field is set says what it is.

    Attributes:
        text: Text.
        files: Files that the model made, or that were given to it.
        function_call: A function that the model asks to be called.
        function_result: The result of one.
        tool_execution: How far a built-in tool is.
        inline_data: Data that belongs to the text, for example the pages of a search.
        logprobs: Log probabilities of the text's tokens, by agreement with the vendor.
    """

    text: str | None = None
    files: list[File] | None = None
    function_call: FunctionCall | None = None
    function_result: FunctionResult | None = None
    tool_execution: ToolExecution | None = None
    inline_data: InlineData | None = None
    logprobs: list[Logprob] | None = None


class ResponseMessage(BaseModel):
    """A message of an answer. It can be passed back in `messages=[...]` as it is.

    Attributes:
        role: `"assistant"`, `"reasoning"` for what the model thought before it answered, `"tool"`; others may come.
        content: Its parts, in order.
        message_id: Its id, with `storage`.
        tool_state_id: State of the tools, which goes back with the message; the service writes it in the singular.
        tools_state_id: The same, as the service's documents write it.
        function_call: A function call, where it stands beside the content.
        tool_execution: How far a built-in tool is.
        inline_data: Data that belongs to the message.
        logprobs: Log probabilities of its tokens.
        finish_reason: Why it ended, where messages say it themselves.
    """

    role: str = "assistant"
    content: Items[ContentPart] = Field(default_factory=list[ContentPart])
    message_id: str | None = None
    tool_state_id: str | None = None
    tools_state_id: str | None = None
    function_call: FunctionCall | None = None
    tool_execution: ToolExecution | None = None
    inline_data: InlineData | None = None
    logprobs: list[Logprob] | None = None
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The text of its parts, put together; empty where it has none."""
        return "".join([part.text for part in self.content if part.text])

    @property
    def function_calls(self) -> list[FunctionCall]:
        """The functions that it asks to be called, in order."""
        calls = [part.function_call for part in self.content if part.function_call is not None]
        # Beside the content a call stands alone, or once more: then it is the same one.
        return calls if calls or self.function_call is None else [self.function_call]

    @property
    def files(self) -> list[File]:
        """The files of its parts, in order."""
        return [file for part in self.content for file in part.files or ()]

    @property
    def state_id(self) -> str | None:
        """The state of the tools, whichever of its two names it came by."""
        return self.tools_state_id or self.tool_state_id


class InputTokensDetails(BaseModel):
    """How the tokens of what was sent are counted.

    Attributes:
        prompt_tokens: Those of the dialogue.
        cached_tokens: Those served from the cache; the same `session_id` over a dialogue raises them.
    """

    prompt_tokens: int | None = None
    cached_tokens: int | None = None


class Usage(BaseModel):
    """Tokens of one exchange, as the service counted them.

    Attributes:
        input_tokens: Tokens of what was sent.
        output_tokens: Tokens of what was answered, reasoning among them.
        total_tokens: As the service gives it; do not compute one from the others.
        input_tokens_details: How the first are counted.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: InputTokensDetails | None = None


class ExecutionStep(BaseModel):
    """A step that the service took on its own: a call of a built-in tool.

    Attributes:
        event_type: What happened.
        ts_start: When it began; the unit is undocumented.
        ts_end: When it ended.
        step: The functions offered, called and answered, as the service gives them.
    """

    event_type: str | None = None
    ts_start: int | float | str | None = None
    ts_end: int | float | str | None = None
    step: dict[str, Any] | None = None


class AdditionalData(BaseModel):
    """What else the service tells of an answer.

    Attributes:
        execution_steps: The steps it took on its own.
    """

    execution_steps: Items[ExecutionStep] = Field(default_factory=list[ExecutionStep])


class Answer(ResponseModel):
    """What whole answers and events of a stream have in common.

    Attributes:
        messages: What the model said; pick by role, the first may be its reasoning.
        model: Name and version, for example `"GigaChat-3-Ultra:32.3.18.5"`; split at the first colon before comparing.
        created_at: Unix seconds; some answers write them as a string.
        finish_reason: Why it ended: `"stop"`, `"length"`, `"function_call"`, `"function_call_error"`, `"blacklist"`,
            `"request_blacklist"`, `"request_whitelist"`, `"request_filter"`, `"response_blacklist"`, `"error"`; others
            may come.
        usage: The tokens of the exchange.
        thread_id: The thread, with `storage`; pass it on as `storage={"thread_id": ...}`.
        message_id: The message's id, with `storage`.
        tools_state_id: State of the tools.
        tool_execution: How far a built-in tool is.
        logprobs: Log probabilities of the tokens.
        additional_data: What else the service tells.
        error_details: What went wrong, where the service says it.
    """

    messages: Items[ResponseMessage] = Field(default_factory=list[ResponseMessage])
    model: str = ""
    created_at: int | str = 0
    finish_reason: str | None = None
    usage: Usage | None = None
    thread_id: str | None = None
    message_id: str | None = None
    tools_state_id: str | None = None
    tool_execution: ToolExecution | None = None
    logprobs: list[Logprob] | None = None
    additional_data: AdditionalData | list[dict[str, Any]] | None = None
    error_details: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text of the assistant's messages, put together, without reasoning; empty where there is none."""
        return self._text_of("assistant")

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered; empty where it does not say."""
        return self._text_of("reasoning")

    @property
    def function_calls(self) -> list[FunctionCall]:
        """The functions that the model asks to be called, in order."""
        return [call for message in self.messages for call in message.function_calls]

    @property
    def files(self) -> list[GeneratedFile]:
        """The files that stand in the messages, in order; `client.files.content(file)` downloads one.

        Each knows the `X-Client-ID` of the request, without which the service does not give it out.
        """
        files = [file for message in self.messages for file in message.files]
        return [GeneratedFile(file.id, self.client_id, file.mime, file.target) for file in files]

    def images(self) -> list[GeneratedFile]:
        """Return those of its `files` that are pictures which the model made.

        Example:
            >>> from gigachat_sdk.types.v2 import ChatCompletion
            >>> part = {"files": [{"id": "c757a9c5", "mime": "image/jpeg", "target": "image"}]}
            >>> ChatCompletion.model_validate({"messages": [{"role": "assistant", "content": [part]}]}).images()
            [GeneratedFile(id='c757a9c5', client_id=None, mime='image/jpeg', target='image')]
        """
        return [file for file in self.files if _is_image(file)]

    def _text_of(self, role: str) -> str:
        return "".join([message.text for message in self.messages if message.role == role])


def _is_image(file: GeneratedFile) -> bool:
    return file.target == "image" if file.target is not None else (file.mime or "").startswith("image/")
