"""The validated request of `POST /v1/chat/completions`: strict twin of the `ChatCompletionParams` dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeAlias

import pydantic
from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from ._base import BasePage, RequestModel
from ._narrow import is_dict, is_iterable, is_mapping, is_sequence, surrogate, word
from ._shown import cut_repr
from ._written import as_written
from .chat_params import (
    AssistantMessageParam,
    FunctionCallChoiceParam,
    FunctionMessageParam,
    FunctionParam,
    FunctionRankerParam,
    JSONObject,
    JSONSchemaResponseFormatParam,
    RegexResponseFormatParam,
    StorageParam,
    SystemMessageParam,
    UserMessageParam,
)
from .request_options import RequestOptions

SENDABLE_ROLES = ("system", "user", "assistant", "function")
_ROLE_HINTS = {
    "developer": "use 'system'",
    "tool": "use 'function' for a function's result",
    "model": "use 'assistant'",
}


def listed(value: object) -> object:
    """Take any iterable of items once, a page of an answer too; a string or a single dict is a mistake, not a list."""
    return list(value) if is_iterable(value) and not _is_one(value) else value


def _whole(value: object) -> object:
    """Refuse half a character, which pydantic would tell of in its own words."""
    at = surrogate(value) if isinstance(value, str) else None
    if at is not None:
        raise PydanticCustomError(
            "lone_surrogate", "character {at} is a lone surrogate, which is no text and cannot be sent", {"at": at}
        )
    return value


Text: TypeAlias = Annotated[str, Field(min_length=1), BeforeValidator(_whole)]
"""An id, or a name: a string that is not empty."""


def _is_one(value: object) -> bool:
    """Say whether a value is a single item, though it can be iterated over."""
    if isinstance(value, pydantic.BaseModel):
        return not isinstance(value, BasePage)
    return is_mapping(value) or isinstance(value, str | bytes)


def plain(value: object) -> object:
    """Turn models and other mappings into dicts; what the caller holds is never changed."""
    if isinstance(value, pydantic.BaseModel):
        document: Any = as_written(value)
        if is_dict(document) and "role" in type(value).model_fields:
            document.setdefault("role", getattr(value, "role", None))
        return document
    return dict(value) if is_mapping(value) and not isinstance(value, dict) else value


def without_none(value: object) -> object:
    """Make a dict of a model or a mapping, without what is None in it; anything else stays as it is.

    What stands deeper is left alone: a None in arguments or in a JSON Schema is the user's own.
    """
    value = plain(value)
    return {name: item for name, item in value.items() if item is not None} if is_dict(value) else value


def _message(value: object) -> object:
    """Make a dict of a message, and refuse a role that the service does not take."""
    value = plain(value)
    if is_dict(value):  # a text that is None is a mistake of some roles, and empty for others
        value = {name: item for name, item in value.items() if item is not None or name == "content"}
    else:
        raise PydanticCustomError(
            "message_type", "expected {form} or a message of an answer", {"form": "{'role': 'user', 'content': ...}"}
        )
    if value.get("tool_calls") is not None:
        advice = "{'function_call': {'name': ..., 'arguments': {...}}}"
        raise PydanticCustomError("foreign_key", "there are no 'tool_calls'; a message has {form}", {"form": advice})
    attachments = value.get("attachments")
    if is_sequence(attachments):  # files that the service has told of may stand for their ids
        value = {**value, "attachments": [getattr(item, "id", item) for item in attachments]}
    role = word(value.get("role"))
    if isinstance(role, str) and role in SENDABLE_ROLES:
        value["role"] = role
        return value
    roles = ", ".join(SENDABLE_ROLES)
    if role is None and ("choices" in value or "message" in value):
        raise PydanticCustomError("role_missing", "this is a whole answer; pass its message, choices[0].message")
    if role is None:
        raise PydanticCustomError("role_missing", "a message needs a 'role': one of {roles}", {"roles": roles})
    advice = (isinstance(role, str) and _ROLE_HINTS.get(role)) or f"use one of {roles}"
    raise PydanticCustomError(
        "role_unknown", "role {role} cannot be sent; {advice}", {"role": cut_repr(role), "advice": advice}
    )


# Tags in angle brackets are left out of the places that error messages name.
def _role_tag(value: Any) -> str:
    return f"<{value['role']}>"


_Message: TypeAlias = Annotated[
    Annotated[SystemMessageParam, Tag("<system>")]
    | Annotated[UserMessageParam, Tag("<user>")]
    | Annotated[AssistantMessageParam, Tag("<assistant>")]
    | Annotated[FunctionMessageParam, Tag("<function>")],
    Discriminator(_role_tag),
]


def _function_call(value: object) -> object:
    value = without_none(value)
    if is_dict(value) and "name" in value:
        return value
    if value is None or (isinstance(value, str) and value in ("auto", "none")):
        return value
    raise PydanticCustomError(
        "function_call" if is_dict(value) or isinstance(value, str) else "function_call_type",
        "expected 'auto', 'none' or {'name': ...}",
    )


def _function_call_tag(value: Any) -> str:
    return "<function>" if isinstance(value, dict) else "<word>"


FunctionCallChoice: TypeAlias = Annotated[
    Annotated[FunctionCallChoiceParam, Tag("<function>")] | Annotated[str | None, Tag("<word>")],
    Discriminator(_function_call_tag),
    BeforeValidator(_function_call),
]


_PARSE_ADVICE = "; a class goes into parse(response_format=...)"


def _response_format(value: object) -> object:
    value = without_none(value)
    if value is None:
        return value
    kind = word(value.get("type")) if is_dict(value) else None
    if not is_dict(value) or not isinstance(kind, str):
        raise PydanticCustomError(
            "response_format" if is_dict(value) else "response_format_type",
            "expected a dict with a 'type': text, json_schema or regex" + _PARSE_ADVICE * isinstance(value, type),
        )
    if kind in ("json", "json_object"):
        raise PydanticCustomError(
            "response_format",
            "the service has no type {kind}; use {'type': 'json_schema', 'schema': ...}",
            {"kind": repr(kind)},
        )
    if kind == "json_schema" and not isinstance(value.get("schema"), Mapping | pydantic.BaseModel):
        raise PydanticCustomError(
            "response_format", "type 'json_schema' needs the JSON Schema directly under 'schema', as a dict"
        )
    if kind == "regex" and not isinstance(value.get("regex"), str):
        raise PydanticCustomError("response_format", "type 'regex' needs the expression under 'regex', as a string")
    return {**value, "type": kind}


def _response_format_tag(value: Any) -> str:
    kind: Any = value["type"] if is_dict(value) else ""
    return f"<{kind}>" if kind in ("json_schema", "regex") else "<other>"


ResponseFormat: TypeAlias = Annotated[
    Annotated[JSONSchemaResponseFormatParam, Tag("<json_schema>")]
    | Annotated[RegexResponseFormatParam, Tag("<regex>")]
    | Annotated[Any, Tag("<other>")],
    Discriminator(_response_format_tag),
    BeforeValidator(_response_format),
]


def function_dict(value: object) -> object:
    """Make a dict of a function, without what is None in it; a None in a schema stays."""
    document = without_none(value)
    if is_dict(document) and "function" in document and "name" not in document:
        advice = "{'name': ..., 'parameters': ...}"
        raise PydanticCustomError(
            "function_wrapper", "a function stands here without a wrapper: {form}", {"form": advice}
        )
    return document


Messages: TypeAlias = Annotated[
    list[Annotated[_Message, BeforeValidator(_message)]], BeforeValidator(listed), Field(min_length=1)
]
"""The messages of a request, from any iterable of dicts and models."""

Functions: TypeAlias = Annotated[
    list[Annotated[FunctionParam, BeforeValidator(function_dict)]] | None, BeforeValidator(listed)
]
"""The functions of a request, from any iterable of dicts and models."""


class CompletionRequest(RequestModel):
    """A request of the chat; what else its method takes may stand in it, as `extra_body`, and nothing more."""

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> Self:
        unknown = (self.__pydantic_extra__ or {}).keys() - RequestOptions.__annotations__.keys()
        if unknown:
            name = min(unknown)
            close = get_close_matches(name, type(self).model_fields, n=1)
            advice = f"; did you mean {close[0]!r}?" if close else "; what the SDK does not know goes into extra_body"
            raise PydanticCustomError(
                "unknown_field", "there is no field {name}{advice}", {"name": cut_repr(name), "advice": advice}
            )
        return self


class ChatCompletionRequest(CompletionRequest):
    """A request of `client.chat.completions.create(...)`, validated before anything is sent.

    The fields are those of `ChatCompletionParams`; there is no need to build one, but it checks a request early:
    `ChatCompletionRequest(messages=[...])`. Messages and functions are plain dicts afterwards.
    """

    messages: Messages
    model: Text | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    repetition_penalty: float | None = None
    update_interval: float | None = None
    profanity_check: bool | None = None
    functions: Functions = None
    function_call: FunctionCallChoice = None
    response_format: ResponseFormat = None
    reasoning_effort: str | None = None
    reasoning_max_tokens: int | None = None
    storage: Annotated[StorageParam | None, BeforeValidator(without_none)] = None
    flags: Sequence[str] | None = None
    n: int | None = None
    function_ranker: Annotated[FunctionRankerParam | None, BeforeValidator(without_none)] = None
    additional_data: JSONObject | None = None
    assistant_id: str | None = None
    stream: bool | None = None
