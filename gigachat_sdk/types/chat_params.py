"""What `chat.completions.create(...)` takes, written once: `TypedDict`s for editors, type checkers and validation.

pydantic validates requests against these very types; unknown keys of nested dicts pass, known ones are strict.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator, ConfigDict, PlainValidator, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import Required, TypedDict

from ._narrow import is_mapping, is_sequence
from ._written import as_json, as_written, first_line, jsonable
from .chat_completion import ChatCompletionMessage, FunctionCall
from .functions import FewShotExample, FunctionDefinition
from .models import KnownModel
from .request_options import RequestOptions

_PASS_UNKNOWN = ConfigDict(extra="allow", strict=True)


def document(value: object) -> object:
    """Write a model that stands for data of the user's as JSON; anything else stays as it is."""
    if not isinstance(value, pydantic.BaseModel):
        return value
    try:
        return as_json(value)
    except (ValueError, TypeError, RecursionError) as error:
        reason = first_line(error)
    raise PydanticCustomError("json_model", "not JSON: {reason}", {"reason": reason})


if TYPE_CHECKING:
    JSONObject: TypeAlias = Mapping[str, Any] | pydantic.BaseModel
else:
    JSONObject = Annotated[Mapping[str, Any], BeforeValidator(document)]


def json_text(value: object) -> object:
    """A function's result goes over the wire as JSON text; anything else the service refuses."""
    if is_mapping(value) or is_sequence(value) or isinstance(value, pydantic.BaseModel):
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, default=jsonable)
        except (TypeError, ValueError, RecursionError) as error:
            reason = first_line(error)
        raise PydanticCustomError("json_result", "not JSON: {reason}", {"reason": reason})
    if not isinstance(value, str):
        raise PydanticCustomError("json_result_type", "expected a dict, or JSON text")
    if not _is_json(value):
        raise PydanticCustomError(
            "json_result",
            "a function's result must be an object or JSON text, the service refuses anything else; "
            "pass a dict, or json.dumps(...) of the value",
        )
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text_or_empty(value: object) -> object:
    return "" if value is None else value


def _plain(value: object) -> object:
    """Make a dict of a call; a None in it, as `model_dump()` leaves one, is not sent; arguments may be missing."""
    if isinstance(value, pydantic.BaseModel):
        value = as_written(value)
    if not is_mapping(value):
        return value
    return {"arguments": {}, **{name: item for name, item in value.items() if item is not None}}


def _arguments_object(value: object) -> object:
    if isinstance(value, str):
        if not _is_json(value):
            raise PydanticCustomError("json_arguments", "arguments must be a dict, or JSON text of one")
        value = json.loads(value)
    given = document(value)
    if not is_mapping(given):
        raise PydanticCustomError("arguments_type", "expected a dict, or JSON text of one")
    return dict(given)


@with_config(_PASS_UNKNOWN)
class FunctionCallParam(TypedDict, total=False):
    """A function call of an earlier answer, as it is sent back."""

    name: Required[str]
    arguments: Required[Annotated[JSONObject | str, PlainValidator(_arguments_object)]]
    """A dict; JSON text of one is turned into it, since the service takes only objects."""
    id: str


if TYPE_CHECKING:
    FunctionCallInput: TypeAlias = FunctionCallParam | FunctionCall
else:
    FunctionCallInput = FunctionCallParam  # what a call of an answer has become when it is validated


@with_config(_PASS_UNKNOWN)
class SystemMessageParam(TypedDict, total=False):
    """Instructions for the whole dialogue; the service wants it first, and only once."""

    role: Required[Literal["system"]]
    content: Required[str]


@with_config(_PASS_UNKNOWN)
class UserMessageParam(TypedDict, total=False):
    """What the user says."""

    role: Required[Literal["user"]]
    content: Required[str]
    attachments: Sequence[str] | None
    """Ids of uploaded files."""


@with_config(_PASS_UNKNOWN)
class AssistantMessageParam(TypedDict, total=False):
    """An earlier answer of the model."""

    role: Required[Literal["assistant"]]
    content: Annotated[str | None, BeforeValidator(_text_or_empty)]
    function_call: Annotated[FunctionCallInput | None, BeforeValidator(_plain)]
    functions_state_id: str | None
    """The state id of the answer, sent back as it came."""
    attachments: Sequence[str] | None
    reasoning_content: str | None


@with_config(_PASS_UNKNOWN)
class FunctionMessageParam(TypedDict, total=False):
    """The result of a function that the model asked for."""

    role: Required[Literal["function"]]
    content: Required[Annotated[str | JSONObject, PlainValidator(json_text)]]
    """A dict or a pydantic model, which is sent as JSON text, or JSON text itself."""
    name: str | None
    """The function's name."""


MessageParam: TypeAlias = SystemMessageParam | UserMessageParam | AssistantMessageParam | FunctionMessageParam
"""A message as a plain dict, told apart by its `role`."""


@with_config(_PASS_UNKNOWN)
class FewShotExampleParam(TypedDict, total=False):
    """An example of how a request becomes arguments."""

    request: Required[str]
    params: Required[JSONObject]


if TYPE_CHECKING:
    FewShotExampleInput: TypeAlias = FewShotExampleParam | FewShotExample
else:
    FewShotExampleInput = Annotated[FewShotExampleParam, BeforeValidator(document)]


@with_config(_PASS_UNKNOWN)
class FunctionParam(TypedDict, total=False):
    """A function the model may ask for; a built-in one (`text2image`, `text2model3d`) is given by its name alone."""

    name: Required[str]
    description: str
    parameters: JSONObject
    """JSON Schema of the arguments: an object whose nested objects have `properties` and whose arrays have `items`."""
    few_shot_examples: Sequence[FewShotExampleInput]
    return_parameters: JSONObject


@with_config(_PASS_UNKNOWN)
class FunctionCallChoiceParam(TypedDict, total=False):
    """Forces the call of one function."""

    name: Required[str]
    partial_arguments: JSONObject


@with_config(_PASS_UNKNOWN)
class TextResponseFormatParam(TypedDict, total=False):
    """Plain text, the default."""

    type: Required[Literal["text"]]


@with_config(_PASS_UNKNOWN)
class JSONSchemaResponseFormatParam(TypedDict, total=False):
    """JSON that follows a schema; the schema stands directly under `schema`."""

    type: Required[Literal["json_schema"]]
    schema: Required[JSONObject]
    strict: bool


@with_config(_PASS_UNKNOWN)
class RegexResponseFormatParam(TypedDict, total=False):
    """Text that matches a regular expression."""

    type: Required[Literal["regex"]]
    regex: Required[str]


ResponseFormatParam: TypeAlias = TextResponseFormatParam | JSONSchemaResponseFormatParam | RegexResponseFormatParam


@with_config(_PASS_UNKNOWN)
class StorageParam(TypedDict, total=False):
    """Keeps the dialogue on the server."""

    is_stateful: Required[bool]
    limit: int
    assistant_id: str | None
    thread_id: str | None
    metadata: JSONObject


@with_config(_PASS_UNKNOWN)
class FunctionRankerParam(TypedDict, total=False):
    """Lets the service choose the fitting functions out of many."""

    enabled: bool
    top_n: int


class ChatCompletionCommonParams(TypedDict, total=False):
    """Parameters of `POST /v1/chat/completions` but the form of the answer; one that is None is not sent."""

    messages: Required[Iterable[MessageParam | ChatCompletionMessage]]
    """The dialogue: dicts, answers of earlier calls, or a mix."""
    model: KnownModel | str | None
    """The model's name; without it the client's `model`, else `"GigaChat"`."""
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
    profanity_check: bool | None
    """False turns the filter off, for accounts that may."""
    functions: Iterable[FunctionParam | FunctionDefinition] | None
    """Functions the model may ask for; send them again on every turn."""
    function_call: Literal["auto", "none"] | FunctionCallChoiceParam | None
    """Whether the model may or must ask for a function."""
    reasoning_effort: Literal["low", "medium", "high"] | str | None
    """How much the model reasons before it answers."""
    reasoning_max_tokens: int | None
    """The most tokens to reason."""
    storage: StorageParam | None
    """Keeps the dialogue on the server."""
    flags: Sequence[str] | None
    """Switches of the service, by agreement."""
    n: int | None
    """How many answers; the current service documents one."""
    function_ranker: FunctionRankerParam | None
    """Lets the service choose the fitting functions out of many."""
    additional_data: JSONObject | None
    """Further data for the service."""
    assistant_id: str | None
    """The assistant that answers, instead of a model."""


class ChatCompletionParams(ChatCompletionCommonParams, total=False):
    """Parameters of `POST /v1/chat/completions`; one that is None is not sent."""

    response_format: ResponseFormatParam | None
    """The form of the answer."""


class ChatCompletionParseParams(ChatCompletionCommonParams, RequestOptions, total=False):
    """Everything `chat.completions.parse(...)` takes but `response_format`."""


class ChatCompletionCreateParams(ChatCompletionParams, RequestOptions, total=False):
    """Everything `chat.completions.create(...)` takes but `stream`."""
