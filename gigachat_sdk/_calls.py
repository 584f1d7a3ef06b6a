"""The calls of endpoints whose arguments take more than a line: chat, and buying tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pydantic

from ._json import json_bytes
from ._request import OPTION_NAMES, Call, model_of, take_options, validated
from ._retry import CallKind
from ._token import basic_credentials
from .errors import InvalidRequestTypeError
from .types._narrow import is_mapping
from .types._shown import shown
from .types.chat_params import ChatCompletionCreateParams
from .types.chat_request import ChatCompletionRequest, plain

_CHAT_NAMES = frozenset(ChatCompletionCreateParams.__annotations__)


def chat_completion_call(
    params: Mapping[str, Any], *, stream: object, default_model: str, method: str = "create"
) -> Call:
    """Build the call of `POST /chat/completions`.

    Args:
        params: The keywords of `chat.completions.create(...)` without `stream`.
        stream: Its `stream` keyword.
        default_model: The model where the call names none.
        method: Name of the user's method, for messages.
    """
    check_stream(stream)
    options = take_options(params, _CHAT_NAMES | {"stream"} if method == "create" else _CHAT_NAMES, method)
    if "messages" not in params:
        raise TypeError(f"{method}() missing 1 required keyword-only argument: 'messages'")
    fields = {name: value for name, value in params.items() if name not in OPTION_NAMES}
    if fields.get("model") is None and fields.get("assistant_id") is None and not _names_a_thread(fields):
        fields["model"] = default_model
    if stream:
        fields["stream"] = True
    payload = validated(ChatCompletionRequest, fields).to_payload()
    return Call(
        "POST",
        "/chat/completions",
        # With a storage the service keeps the messages, and would keep them twice.
        CallKind.CREATING if "storage" in payload else CallKind.REPEATABLE,
        body=json_bytes(payload, options.get("extra_body")),
        content_type="application/json",
        stream=bool(stream),
        options=options,
        model=model_of(payload, options),
    )


def check_stream(stream: object) -> None:
    """Refuse what is no switch."""
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestTypeError(f"stream: expected True or False, got {shown(stream)}", param="stream")


def _names_a_thread(fields: Mapping[str, Any]) -> bool:
    """A stored dialogue brings its own model; naming another beside it is refused by the service."""
    storage = plain(fields.get("storage"))
    return is_mapping(storage) and any(storage.get(name) is not None for name in ("thread_id", "assistant_id"))


def oauth_call(key: pydantic.SecretStr, scope: str, auth_url: str) -> Call:
    """Build the call of `POST /api/v2/oauth`; the key goes as it was issued."""
    return Call(
        "POST",
        auth_url,
        CallKind.REPEATABLE,
        body=urlencode({"scope": str.__str__(scope)}).encode(),
        content_type="application/x-www-form-urlencoded",
        authorization=pydantic.SecretStr(f"Basic {key.get_secret_value()}"),
        fresh_id_header="RqUID",
        has_secret_answer=True,
    )


def password_call(user: str, password: pydantic.SecretStr, base_url: str) -> Call:
    """Build the call of `POST /v1/token`."""
    return Call(
        "POST",
        f"{base_url}/token",
        CallKind.REPEATABLE,
        authorization=pydantic.SecretStr(f"Basic {basic_credentials(user, password.get_secret_value())}"),
        has_secret_answer=True,
    )
