"""What becomes of a request: an answer, or an error that stands beside the others, or one that ends the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeGuard

from typing_extensions import TypeVar

from .. import errors
from .._constants import RETRY_STATUSES
from ..errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    GigaChatError,
    InvalidRequestError,
    PaymentRequiredError,
    PermissionDeniedError,
    SharedStateError,
)
from ..types._base import ResponseModel
from ..types.chat_completion import ChatCompletion
from ..types.http import Headers, ResponseInfo
from ._items import NO_QUESTION

ResponseT = TypeVar("ResponseT", bound=ResponseModel, default=ChatCompletion)

# Every other request of the run would fail the same way.
_OF_THE_ACCOUNT = (
    AuthenticationError,
    PaymentRequiredError,
    PermissionDeniedError,
    ConfigurationError,
    SharedStateError,
)


_NAME = re.compile(r"\w*")


class JournalError(GigaChatError):
    """The journal cannot be used: it is another kind of file, another run writes it, or it belongs to other requests.

    Nothing of what stands in it was changed.
    """


@dataclass(frozen=True)
class BulkResult(Generic[ResponseT]):
    """What has become of one request of a run.

    Attributes:
        index: The place of the request among all, from 0.
        request: The request as it was given: the keywords of the endpoint's method.
        response: The answer; None where there is an error.
        error: Why there is no answer, a `GigaChatError` or a `TypeError`; None where there is one. One that comes from
            the journal has its class, message, `status_code` and `request_id`.
        id: The id of the request; None where it was given none.
        from_journal: Whether an earlier run has asked, and this one has read it from the journal.

    Example:
        >>> BulkResult(0, {}, None, NotFoundError("404 for ..."), id="a")
        BulkResult(index=0, id='a', response=None, error=NotFoundError('404 for ...'), from_journal=False)
    """

    index: int
    request: Mapping[str, Any] = field(repr=False)
    response: ResponseT | None
    error: Exception | None
    id: str | int | None = None
    from_journal: bool = False

    def __repr__(self) -> str:
        return (
            f"BulkResult(index={self.index}, id={self.id!r}, response={self.response!r}, error={self.error!r}, "
            f"from_journal={self.from_journal})"
        )

    def unwrap(self) -> ResponseT:
        """Return the answer.

        Raises:
            GigaChatError: There is none, and this is why.
            TypeError: The request has an unknown keyword, or lacks one.
        """
        if self.response is None:
            raise self.error or GigaChatError(f"request {self.index} has neither an answer nor an error")
        return self.response


def is_of_tokens(error: object, token_urls: Collection[str]) -> TypeGuard[APIError]:
    """Say whether an error is one of the endpoint that tokens come from, and says nothing of the request itself.

    Args:
        error: What a call has raised.
        token_urls: Where tokens come from.
    """
    return isinstance(error, APIError) and error.request is not None and error.request.url in token_urls


def stands_beside(error: BaseException, token_urls: Collection[str], *, has_answers: bool) -> TypeGuard[Exception]:
    """Say whether an error is a matter of its request alone, and stands beside the others' results.

    Args:
        error: What a call has raised.
        token_urls: Where tokens come from: no error there is one of a request.
        has_answers: Whether this account was given an answer in this run: then a 403 means that one request's model or
            function is not in its plan.
    """
    if is_of_tokens(error, token_urls):
        return False
    if not isinstance(error, GigaChatError):
        return isinstance(error, TypeError) and _is_of_this_package(error)
    if has_answers and isinstance(error, PermissionDeniedError):
        return True
    return not isinstance(error, _OF_THE_ACCOUNT)


def _is_of_this_package(error: TypeError) -> bool:
    """Say whether an argument was refused: else it is a mistake in a function of the user's, such as a middleware."""
    traceback, module = error.__traceback__, __name__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        traceback = traceback.tb_next
    return module.partition(".")[0] == __name__.partition(".")[0]


def is_final(error: Exception) -> bool:
    """Say whether asking again would fail the same way; trouble of the network and of a loaded service passes.

    So does a refused option, such as a `deadline`: the question says nothing of it, so it may be mended the next time.

    Args:
        error: An error of a request.
    """
    if isinstance(error, APIStatusError):
        return 400 <= error.status_code < 500 and error.status_code not in RETRY_STATUSES
    if isinstance(error, InvalidRequestError):
        name = _NAME.match(error.param or error.message)
        return name is None or name[0] not in NO_QUESTION
    return isinstance(error, TypeError)


def error_document(error: Exception) -> dict[str, Any]:
    """Return what a journal keeps of an error."""
    if not isinstance(error, GigaChatError):
        return {"type": type(error).__name__, "message": str(error)}
    return {
        "type": type(error).__name__,
        "message": error.message,
        "status_code": error.status_code,
        "request_id": error.request_id,
    }


def error_of(document: Mapping[str, Any]) -> Exception:
    """Make the error again that a journal has kept."""
    name, message, status = document["type"], document["message"], document.get("status_code")
    if name == "TypeError":
        return TypeError(message)
    kind: Any = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, APIStatusError | InvalidRequestError)):
        kind = GigaChatError
    error: GigaChatError = kind(message)
    if isinstance(status, int):
        request_id = document.get("request_id")
        headers = {"x-request-id": request_id} if isinstance(request_id, str) else {}
        error.response = ResponseInfo(status, Headers(headers))
    return error
