"""What functions, assistants and threads need beyond a JSON body: other bodies, other answers, runs. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import pydantic

from ._calls import check_stream
from ._json import text_bytes
from ._request import BODYLESS_NAMES, OPTION_NAMES, Call, json_call, take_options
from ._retry import CallKind
from .errors import InvalidRequestError, InvalidRequestTypeError, NotFoundError
from .types._base import BasePage, RequestModel, ResponseModel, attach
from .types.http import ResponseInfo
from .types.threads import ThreadDeleted

ModelT = TypeVar("ModelT", bound=ResponseModel)


def convert_call(openapi: Any, options: Mapping[str, Any]) -> Call:
    """Build the call of `POST /functions/convert`, whose body is no JSON.

    Args:
        openapi: The document, which must be text.
        options: The other keywords that the user gave.
    """
    taken = take_options(options, BODYLESS_NAMES, "convert")
    if not isinstance(openapi, str):
        raise InvalidRequestTypeError(
            f"openapi: expected the document as text (YAML or JSON), got {type(openapi).__name__}", param="openapi"
        )
    if not openapi.strip():
        raise InvalidRequestError("openapi: the document is empty", param="openapi")
    body = text_bytes(openapi, "openapi")
    return Call(
        "POST",
        "/functions/convert",
        CallKind.REPEATABLE,
        body=body,
        content_type="text/plain; charset=utf-8",
        options=taken,
    )


def run_call(
    method: str,
    path: str,
    model: type[RequestModel],
    params: Mapping[str, Any],
    names: Iterable[str],
    *,
    stream: object,
) -> Call:
    """Build a call that lets a model answer in a thread.

    Args:
        method: Name of the user's method, for messages.
        path: Below the address of the API.
        model: Validates the fields.
        params: The keywords of the method without `stream`; None among its fields is not sent.
        names: The keywords that the method takes, without the options.
        stream: Its `stream` keyword.
    """
    check_stream(stream)
    options = take_options(params, {*names, *OPTION_NAMES, "stream"}, method)
    fields = {name: value for name, value in params.items() if name not in OPTION_NAMES}
    if stream:
        fields["stream"] = True
    call = json_call(method, path, model, fields, options, CallKind.CREATING)
    call.stream = bool(stream)
    return call


def name_model(fields: dict[str, Any], model: str) -> None:
    """Name a model where a call names neither a thread nor an assistant, which have their own."""
    if all(fields.get(name) is None for name in ("thread_id", "assistant_id", "model")):
        fields["model"] = model


def deleted_thread(content: bytes, response: ResponseInfo) -> ThreadDeleted:
    """Read the answer to a deletion, which is empty today."""
    try:
        answer: ThreadDeleted = ThreadDeleted.__pydantic_validator__.validate_json(content)
    except pydantic.ValidationError:
        answer = ThreadDeleted.model_validate({})
    return attach(answer, response)


def the_one(page: BasePage[ModelT], name: str, wanted: str) -> ModelT:
    """Return the item of a page that has an id, with the facts of the page's exchange.

    Args:
        page: What the service answered.
        name: The item's field that has the id.
        wanted: The id.

    Raises:
        NotFoundError: There is none.
    """
    for item in page:
        if getattr(item, name) == wanted:
            return attach(item, page.response)
    raise NotFoundError(f"the service knows of no {name.removesuffix('_id')} {wanted!r}", response=page.response)
