"""The call of `POST /v2/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._calls import check_stream
from ._json import json_bytes
from ._request import OPTION_NAMES, Call, model_of, take_options, validated
from ._retry import CallKind
from ._schema import Structure
from .errors import InvalidRequestError
from .types._narrow import is_mapping
from .types.chat_request import plain
from .types.v2 import ChatCompletionCreateParams, ChatCompletionRequest, ModelOptionsParam

_NAMES = frozenset(ChatCompletionCreateParams.__annotations__)
# Names of the v1 contract, and of other packages, for what has another name here.
_HABITS = {
    "functions": "tools=[...]",
    "function_call": "tool_config={...}",
    "tool_choice": "tool_config={...}",
    "profanity_check": "disable_filter, which is its opposite",
    "function_ranker": "ranker_options={...}",
    "max_completion_tokens": "model_options={'max_tokens': ...}",
    "reasoning_effort": "model_options={'reasoning': {'effort': ...}}",
    "reasoning_max_tokens": "model_options={'reasoning': {'max_tokens': ...}}",
    **{name: f"model_options={{{name!r}: ...}}" for name in ModelOptionsParam.__annotations__},
}


def chat_completion_v2_call(
    params: Mapping[str, Any],
    *,
    stream: object,
    default_model: str,
    method: str = "create",
    structure: Structure[Any] | None = None,
) -> Call:
    """Build the call of `POST /v2/chat/completions`.

    Args:
        params: The keywords of `chat.completions.create(...)` without `stream`.
        stream: Its `stream` keyword.
        default_model: The model where the call names none.
        method: Name of the user's method, for messages.
        structure: What the answer has to be, for `parse(...)`.
    """
    check_stream(stream)
    _check_names(params, method)
    options = take_options(params, _NAMES | {"stream"} if method == "create" else _NAMES, method)
    if "messages" not in params:
        raise TypeError(f"{method}() missing 1 required keyword-only argument: 'messages'")
    fields = {name: value for name, value in params.items() if name not in OPTION_NAMES}
    if structure is not None:
        fields["model_options"] = _with_format(fields.get("model_options"), structure)
    if stream:
        fields["stream"] = True
    payload = validated(ChatCompletionRequest, fields).to_payload()
    # An assistant and a thread bring a model of their own.
    if not (payload.keys() & {"model", "assistant_id"} or payload.get("storage", {}).get("thread_id")):
        payload = {"model": default_model, **payload}
    return Call(
        "POST",
        "/chat/completions",
        # With a storage the service keeps the messages, and would keep them twice.
        CallKind.CREATING if "storage" in payload else CallKind.REPEATABLE,
        body=json_bytes(payload, options.get("extra_body")),
        content_type="application/json",
        base="v2",
        stream=bool(stream),
        prefers_http2=bool(stream),  # over HTTP/1.1 the service has been seen to send a v2 stream whole, at its end
        options=options,
        model=model_of(payload, options),
    )


def _check_names(params: Mapping[str, Any], method: str) -> None:
    """Tell those who come from elsewhere what a keyword is called here."""
    for name in params:
        if name in _HABITS:
            raise TypeError(
                f"{method}() got an unexpected keyword argument {name!r}; the v2 contract has {_HABITS[name]}"
            )


def _with_format(options: Any, structure: Structure[Any]) -> Any:
    """Put the form of the answer into the options of the model; what is no dict is told by validation."""
    given: Any = {} if options is None else plain(options)
    if not is_mapping(given):
        return given
    if given.get("response_format") is not None:
        raise InvalidRequestError(
            "model_options.response_format: parse(response_format=...) gives the form of the answer already",
            param="model_options.response_format",
        )
    return {**given, "response_format": structure.response_format}
