"""What `client.v2.chat.completions.create(...)` takes, written once: `TypedDict`s for editors, checkers, validation.

pydantic validates requests against these very types; unknown keys of nested dicts pass, known ones are strict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, PlainValidator, with_config
from typing_extensions import Required, TypedDict

from ..chat_params import FunctionCallInput, FunctionParam, JSONObject, ResponseFormatParam
from ..chat_request import Functions, ResponseFormat, listed, without_none
from ..functions import FunctionDefinition
from ..models import KnownModel
from ..part_file import File
from ..request_options import RequestOptions
from ._sendable import content, function_call, function_result, part, tool_content
from .answers import ContentPart, ResponseMessage

_PASS_UNKNOWN = ConfigDict(extra="allow", strict=True)


@with_config(_PASS_UNKNOWN)
class FileParam(TypedDict, total=False):
    """A file that was uploaded, or that an answer has named."""

    id: Required[str]
    target: str | None
    mime: str | None


if TYPE_CHECKING:
    Files: TypeAlias = Iterable[FileParam | File]
else:
    Files = Annotated[list[Annotated[FileParam, BeforeValidator(without_none)]], BeforeValidator(listed)]


@with_config(_PASS_UNKNOWN)
class FunctionResultParam(TypedDict, total=False):
    """The result of a function that the model asked for."""

    name: Required[str]
    """The function's name."""
    result: Required[Annotated[JSONObject | Sequence[Any] | str, PlainValidator(function_result)]]
    """A dict, a pydantic model, or JSON text: the service refuses free text. A list is sent as JSON text."""
    id: str | None
    """The id of the call, where it had one: with several calls at once results find theirs by it."""


@with_config(_PASS_UNKNOWN)
class ContentPartParam(TypedDict, total=False):
    """A piece of a message: one of these keys; `inline_data` and `logprobs` may stand beside a text."""

    text: str | None
    files: Files | None
    """`[{"id": ...}]`: one kind of files in a request works best."""
    function_call: Annotated[FunctionCallInput | None, BeforeValidator(function_call)]
    """A function call of an earlier answer."""
    function_result: Annotated[FunctionResultParam | None, BeforeValidator(without_none)]
    """The result of a function, in a message of the role `"tool"`."""
    inline_data: JSONObject | None
    tool_execution: JSONObject | None
    logprobs: Sequence[JSONObject] | None


@with_config(_PASS_UNKNOWN)
class FunctionResultPartParam(TypedDict, total=False):
    """What a message of the role `"tool"` is made of."""

    function_result: Required[FunctionResultParam]


if TYPE_CHECKING:
    Content: TypeAlias = str | Iterable[str | ContentPartParam | ContentPart]
    ToolContent: TypeAlias = Iterable[FunctionResultPartParam | ContentPart]
else:
    _Parts = list[Annotated[ContentPartParam, BeforeValidator(part)]]
    Content = Annotated[_Parts, BeforeValidator(content)]
    ToolContent = Annotated[_Parts, BeforeValidator(tool_content)]


@with_config(_PASS_UNKNOWN)
class SystemMessageParam(TypedDict, total=False):
    """Instructions for the whole dialogue."""

    role: Required[Literal["system"]]
    content: Required[Content]


@with_config(_PASS_UNKNOWN)
class UserMessageParam(TypedDict, total=False):
    """What the user says."""

    role: Required[Literal["user"]]
    content: Required[Content]
    """A text, or a list of texts and parts; it is sent as parts, since the service refuses a bare string."""


@with_config(_PASS_UNKNOWN)
class AssistantMessageParam(TypedDict, total=False):
    """An earlier answer of the model."""

    role: Required[Literal["assistant"]]
    content: Content | None
    tools_state_id: str | None
    """State of the tools; an answer may call it `tool_state_id`, and that name is taken too."""


@with_config(_PASS_UNKNOWN)
class ToolMessageParam(TypedDict, total=False):
    """Results of functions that the model asked for."""

    role: Required[Literal["tool"]]
    content: Required[ToolContent]
    """`[{"function_result": {"name": ..., "result": {...}}}]`."""
    tools_state_id: str | None
    """State of the tools, as in the message that asked."""


@with_config(_PASS_UNKNOWN)
class ReasoningMessageParam(TypedDict, total=False):
    """What the model thought before an earlier answer."""

    role: Required[Literal["reasoning"]]
    content: Required[Content]


MessageParam: TypeAlias = (
    SystemMessageParam | UserMessageParam | AssistantMessageParam | ToolMessageParam | ReasoningMessageParam
)
"""A message as a plain dict, told apart by its `role`."""

# Open sets: any other word will do, and at run time there is nothing to compare.
if TYPE_CHECKING:
    SearchKind: TypeAlias = Literal["web_search", "actual_info_web_search", "safe_search"] | str
    ToolMode: TypeAlias = Literal["auto", "none", "forced", "any"] | str
    Effort: TypeAlias = Literal["low", "medium", "high"] | str
else:
    SearchKind = ToolMode = Effort = str

if TYPE_CHECKING:
    Specifications: TypeAlias = Iterable[FunctionParam | FunctionDefinition]
else:
    Specifications = Functions


@with_config(_PASS_UNKNOWN)
class FunctionsToolParam(TypedDict, total=False):
    """Functions of yours."""

    specifications: Required[Specifications]


@with_config(_PASS_UNKNOWN)
class WebSearchToolParam(TypedDict, total=False):
    """How the service searches the web."""

    type: SearchKind
    indexes: Sequence[str]
    flags: Sequence[str]


@with_config(_PASS_UNKNOWN)
class ToolParam(TypedDict, total=False):
    """A tool that the model may use: a dict with one of these keys, and mostly `{}` as its value."""

    functions: Annotated[FunctionsToolParam, BeforeValidator(without_none)]
    web_search: Annotated[WebSearchToolParam, BeforeValidator(without_none)]
    image_generate: JSONObject
    model_3d_generate: JSONObject
    url_content_extraction: JSONObject
    code_interpreter: JSONObject
    get_datetime: JSONObject
    memory: JSONObject


BuiltInTool: TypeAlias = Literal[
    "web_search",
    "image_generate",
    "model_3d_generate",
    "url_content_extraction",
    "code_interpreter",
    "get_datetime",
    "memory",
]
"""Tools of the service known when this version was made. `"web_search"` is short for `{"web_search": {}}`."""


@with_config(_PASS_UNKNOWN)
class ToolConfigParam(TypedDict, total=False):
    """Whether the model may or must use tools."""

    mode: Required[ToolMode]
    """`"forced"` makes it use the one that is named, `"any"` at least one of `functions_names_any`."""
    function_name: str
    """The function to force."""
    tool_name: str
    """The built-in tool to force."""
    functions_names_any: Sequence[str]


@with_config(_PASS_UNKNOWN)
class ReasoningParam(TypedDict, total=False):
    """How much the model thinks before it answers; its thoughts are a message of the role `"reasoning"`."""

    effort: Effort | None
    max_tokens: int | None


if TYPE_CHECKING:
    ResponseFormatInput: TypeAlias = ResponseFormatParam
else:
    ResponseFormatInput = ResponseFormat


@with_config(_PASS_UNKNOWN)
class ModelOptionsParam(TypedDict, total=False):
    """How the model answers; an option that is None is not sent."""

    temperature: float | None
    """Over 0; below 0.001 the answer is greedy, above 2 it is noise. The default depends on the model."""
    top_p: float | None
    """0 to 1: the share of probability that candidates are drawn from."""
    max_tokens: int | None
    """The most tokens to answer."""
    repetition_penalty: float | None
    """Over 0; 1.0 is neutral."""
    update_interval: float | None
    """The least seconds between events of a stream; 0 by default."""
    response_format: ResponseFormatInput | None
    """The form of the answer; `parse(...)` makes one of a pydantic model."""
    reasoning: Annotated[ReasoningParam | None, BeforeValidator(without_none)]
    parallel_tool_calls: bool | None
    """Whether the model may ask for several functions at once."""
    unnormalized_history: bool | None
    """Keeps the service from merging neighbouring messages of the same role."""
    top_logprobs: int | None
    """1 to 5, by agreement: how many likely tokens to show beside each of the answer."""
    preset: str | None


@with_config(_PASS_UNKNOWN)
class StorageParam(TypedDict, total=False):
    """A dialogue kept by the service: `{}` (or `True`) opens one, its `thread_id` goes on with it."""

    thread_id: str | None
    """The thread of an earlier answer; send only new messages with it. None opens one."""
    limit: int
    metadata: JSONObject


@with_config(_PASS_UNKNOWN)
class RankerOptionsParam(TypedDict, total=False):
    """Lets the service choose the fitting functions out of many."""

    enabled: bool
    top_n: int
    embeddings_model: str


@with_config(_PASS_UNKNOWN)
class RequestFilterParam(TypedDict, total=False):
    """Filters of what is sent."""

    neuro: bool
    blacklist: bool
    whitelist: bool


@with_config(_PASS_UNKNOWN)
class ResponseFilterParam(TypedDict, total=False):
    """Filters of what is answered."""

    blacklist: bool


@with_config(_PASS_UNKNOWN)
class FilterConfigParam(TypedDict, total=False):
    """Which filters work, for accounts that may choose."""

    request_content: Annotated[RequestFilterParam, BeforeValidator(without_none)]
    response_content: Annotated[ResponseFilterParam, BeforeValidator(without_none)]


@with_config(_PASS_UNKNOWN)
class UserInfoParam(TypedDict, total=False):
    """What the model may know of the user."""

    timezone: str
    """IANA name, for example `"Europe/Moscow"`."""


class ChatCompletionParams(TypedDict, total=False):
    """Parameters of `POST /v2/chat/completions`; one that is None is not sent."""

    messages: Required[Iterable[MessageParam | ResponseMessage]]
    """The dialogue: dicts, messages of earlier answers, or a mix."""
    model: KnownModel | str | None
    """The model's name; without it the client's `model`, and none with `assistant_id` or an existing thread."""
    model_options: ModelOptionsParam | None
    """Temperature, length, form, reasoning."""
    tools: Iterable[ToolParam | FunctionParam | FunctionDefinition | BuiltInTool | str] | None
    """`"web_search"`, `{"web_search": {...}}`, or a function as a dict with its `name`; send them on every turn."""
    tool_config: ToolConfigParam | None
    """Whether the model may or must use tools."""
    storage: StorageParam | bool | None
    """Keeps the dialogue on the server; True opens a thread."""
    user_info: UserInfoParam | None
    """What the model may know of the user."""
    ranker_options: RankerOptionsParam | None
    """Lets the service choose the fitting functions out of many."""
    disable_filter: bool | None
    """True turns the filter off, for accounts that may."""
    filter_config: FilterConfigParam | None
    """Which filters work, for accounts that may choose."""
    flags: Sequence[str] | None
    """Switches of the service, by agreement."""
    tools_state_id: str | None
    """State of the tools, where it is not sent with a message."""
    assistant_id: str | None
    """The assistant that answers, instead of a model."""
    memory_id: str | None
    """What the model remembers of the user."""


class ChatCompletionCreateParams(ChatCompletionParams, RequestOptions, total=False):
    """Everything `client.v2.chat.completions.create(...)` takes but `stream`."""
