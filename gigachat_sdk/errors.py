"""Every error of the SDK, and the one function that turns an answer into one.

    GigaChatError
    ├── ConfigurationError (also ValueError)       the client cannot be built from what it was given
    │   └── MissingCredentialsError                nothing says who you are
    ├── InvalidRequestError (also ValueError)      an argument of a call; nothing was sent
    ├── LengthFinishReasonError                    an answer was cut by max_tokens, where a whole one was needed
    ├── ContentFilterError                         an answer was withheld by the service's filter
    ├── LimiterTimeoutError (also TimeoutError)    no slot of a limiter became free in time
    ├── SharedStateError                           what workers share (Redis) cannot be reached
    ├── BatchTimeoutError (also TimeoutError)      a batch was not over when the wait for it was
    └── APIError                                   from talking to the service
        ├── APIConnectionError                     no answer came: not reached, or lost on the way
        │   └── APITimeoutError                    ... because time ran out
        ├── APIStatusError                         an answer with a status that is no success
        │   ├── BadRequestError                    400
        │   ├── AuthenticationError                401
        │   ├── PaymentRequiredError               402
        │   ├── PermissionDeniedError              403
        │   ├── NotFoundError                      404
        │   ├── RequestTooLargeError               413
        │   ├── UnprocessableEntityError           422
        │   ├── RateLimitError                     429, with .retry_after
        │   └── InternalServerError                5xx
        ├── APIResponseValidationError             a success that cannot be read
        └── StreamError                            an error inside a stream, or an event that cannot be read
            └── StreamInterruptedError             a stream cut before its end, with .text and .partial

What an error says of having sent nothing is true of the whole call: where an earlier attempt was sent and its answer
lost, `sent` is True, and that attempt's error is raised in place of a `LimiterTimeoutError` or a `SharedStateError`.

An argument of the wrong kind raises a subclass that is a `TypeError` as well. Each error can be pickled, and none shows
a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import Self, TypeVar

from ._constants import KNOWN_SCOPES
from .types._base import ResponseModel
from .types._narrow import is_mapping, is_sequence
from .types.chat_completion import ChatCompletion
from .types.http import RequestInfo, ResponseInfo, scrub_url

if TYPE_CHECKING:
    from .types.batches import Batch

PartialT = TypeVar("PartialT", default=ChatCompletion)
CompletionT = TypeVar("CompletionT", bound=ResponseModel, default=ChatCompletion)
ErrorT = TypeVar("ErrorT", bound="GigaChatError")


class GigaChatError(Exception):
    """Everything that the SDK raises on its own account.

    Attributes:
        message: What went wrong, and what to do about it.
        request: The request the error speaks of (`method`, `url`, scrubbed `headers`); None before there is one.
        response: The answer (`status_code`, scrubbed `headers`, `elapsed`, `retries_taken`); None where none came.
        status_code: The HTTP status; None where no answer came.
        body: The answer's body: parsed JSON, else text; None where there is none.
        request_id: The `x-request-id` of the answer, which Sber's support asks for; where none came, the one that you
            gave.
    """

    def __init__(
        self,
        message: str,
        *,
        request: RequestInfo | None = None,
        response: ResponseInfo | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.response = response
        self.body = body

    @property
    def status_code(self) -> int | None:
        """The HTTP status; None where no answer came."""
        return None if self.response is None else self.response.status_code

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer; None where there is none."""
        if self.response is not None:
            return self.response.request_id
        return None if self.request is None else self.request.headers.get("x-request-id")

    def __str__(self) -> str:
        request_id = self.request_id
        return self.message if request_id is None else f"{self.message} (request id {request_id})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)

    def copy(self) -> Self:
        """Return an equal error without a traceback, to be raised in another thread or task (internal)."""
        return _rebuild(type(self), self.message, self.__dict__)


def _rebuild(kind: type[ErrorT], message: str, state: dict[str, Any]) -> ErrorT:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class ConfigurationError(GigaChatError, ValueError):
    """The client cannot be built: a setting, or a pair of them, makes no sense.

    Example:
        >>> from gigachat_sdk import Client
        >>> Client(access_token="t", base_url="api.giga.chat/v1")
        Traceback (most recent call last):
        gigachat_sdk.errors.ConfigurationError: base_url: 'api.giga.chat/v1' is not an http:// or https:// address
    """


class ConfigurationTypeError(ConfigurationError, TypeError):
    """A setting of the client is of the wrong kind."""


class MissingCredentialsError(ConfigurationError):
    """Nothing says who you are: no argument and no variable of the environment."""


class InvalidRequestError(GigaChatError, ValueError):
    """An argument of a call cannot be sent; nothing was.

    Attributes:
        param: Path of the argument, for example `"messages[0].content"`; None where it is no single one.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequestTypeError(InvalidRequestError, TypeError):
    """An argument of a call is of the wrong kind; nothing was sent."""


class APIError(GigaChatError):
    """Something went wrong between the SDK and the service."""


class APIConnectionError(APIError):
    """No answer came: the service was not reached, or the answer was lost on the way.

    Attributes:
        sent: Whether the request may have reached the service, in this attempt or in an earlier one of the call that
            was not answered: sent again, it may be carried out twice.
    """

    def __init__(self, message: str, *, sent: bool = False, request: RequestInfo | None = None) -> None:
        super().__init__(message, request=request)
        self.sent = sent


class APITimeoutError(APIConnectionError):
    """No answer came in time."""


class APIStatusError(APIError):
    """The service answered with a status that is no success.

    Attributes:
        retry_after: Seconds the service asks to wait (`Retry-After`); None where it does not say.
    """

    retry_after: float | None = None

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return 0 if self.response is None else self.response.status_code


class BadRequestError(APIStatusError):
    """400: the request is malformed."""


class AuthenticationError(APIStatusError):
    """401: the token or the authorization key is missing, wrong or expired."""


class PaymentRequiredError(APIStatusError):
    """402: the package of tokens is used up."""


class PermissionDeniedError(APIStatusError):
    """403: not in the account's plan, or not a path of the service."""


class NotFoundError(APIStatusError):
    """404: no such model, file, tool or batch."""


class RequestTooLargeError(APIStatusError):
    """413: more than the service takes in one request."""


class UnprocessableEntityError(APIStatusError):
    """422: well-formed, but not acceptable: a parameter's range, the order of messages, a function's name."""


class RateLimitError(APIStatusError):
    """429: too many requests at once.

    An individual may have one request in flight, a company ten. `.retry_after` has the seconds the service asks to
    wait; None where it does not say.
    """


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class APIResponseValidationError(APIError):
    """The service answered with a success whose body is not what was expected; `.body` holds it."""


class StreamError(APIError, Generic[PartialT]):
    """The service sent an error inside a stream, or an event that cannot be read.

    Attributes:
        text: The text that had arrived.
        partial: The accumulated answer, of the type of the whole one; None where nothing had arrived.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        partial: PartialT | None = None,
        request: RequestInfo | None = None,
        response: ResponseInfo | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message, request=request, response=response, body=body)
        self.text = text
        self.partial: PartialT | None = partial


class StreamInterruptedError(StreamError[PartialT]):
    """A stream ended before the service said so. What had arrived is kept; nothing is asked again."""


class _CompletionError(GigaChatError, Generic[CompletionT]):
    """An answer came, and its content is not what was needed."""

    def __init__(
        self,
        message: str,
        *,
        completion: CompletionT,
        request: RequestInfo | None = None,
        response: ResponseInfo | None = None,
    ) -> None:
        super().__init__(message, request=request, response=response or completion.response)
        self.completion: CompletionT = completion


class LengthFinishReasonError(_CompletionError[CompletionT]):
    """The answer was cut by `max_tokens`, where a whole one was needed (a structured answer is no JSON then).

    Attributes:
        completion: The answer as it came.
    """


class ContentFilterError(_CompletionError[CompletionT]):
    """The service withheld the answer (`finish_reason` is `"blacklist"`), where one was needed.

    Attributes:
        completion: The answer as it came.
    """


class LimiterTimeoutError(GigaChatError, TimeoutError):
    """No slot of a concurrency limiter became free in time; nothing was sent.

    Where an earlier attempt of the call was sent and its answer lost, the error of that attempt is raised instead.
    """


class SharedStateError(GigaChatError):
    """The place where workers share tokens or slots (Redis) cannot be used; nothing was sent.

    Where an earlier attempt of the call was sent and its answer lost, the error of that attempt is raised instead.
    """


class BatchTimeoutError(GigaChatError, TimeoutError):
    """A batch was not over when the wait for it was; it goes on at the service, and can be waited for again.

    Attributes:
        batch: The batch as it was last seen.
    """

    def __init__(self, message: str, *, batch: Batch) -> None:
        super().__init__(message, response=batch.response)
        self.batch = batch


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

# What the documents of the service and the reports of its users say about an answer: (status, words of it) -> advice.
_HINTS: tuple[tuple[int, str, str], ...] = (
    (400, "scope from db", "The key belongs to another scope: set scope to {scopes}."),
    (401, "scope from db", "The key belongs to another scope: set scope to {scopes}."),
    (400, "scope data format", "The service does not know this scope: use one of {scopes}."),
    (
        401,
        "credentials doesn't match",
        "The authorization key is wrong or was revoked: make a new one in your account.",
    ),
    (404, "no such model", "client.models.list() names the models of your account."),
    (401, "can't decode", "The authorization key is sent as it was issued: do not encode it again."),
    (402, "", "The package of tokens is used up: buy more, or use another model."),
    (403, "", "Your plan may not include this method or model."),
    (429, "", "An individual may have 1 request in flight, a company 10."),
)


def parse_body(body: bytes, content_type: str) -> Any:
    """Return an error body as JSON where it is, else as text; None where it is empty (internal)."""
    if not body.strip():
        return None
    text = body.decode("utf-8", "replace")
    if "html" not in content_type:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return text if _is_deep(document, _DEEPEST) else document
    return text


_DEEPEST = 100  # what nests deeper cannot be pickled


def _is_deep(value: Any, levels: int) -> bool:
    if not (is_mapping(value) or is_sequence(value)):
        return False
    items: list[Any] = list(value.values()) if is_mapping(value) else list(value)
    return levels == 0 or any(_is_deep(item, levels - 1) for item in items)


def _what_it_says(body: Any) -> str:
    """The words of an error body: the service's `message`, OpenAI's `error.message`, or a short piece of the text."""
    if is_mapping(body):
        for name in ("message", "error", "detail", "error_description"):
            value: Any = body.get(name)
            if is_mapping(value):
                value = value.get("message")
            if isinstance(value, str) and value:
                return value.encode("utf-8", "replace").decode()  # half a character could not be printed
    if isinstance(body, str) and "<html" not in body.lower():
        return " ".join(body.split())[:200]
    return ""


def status_error(
    request: RequestInfo, response: ResponseInfo, content: bytes, *, retry_after: float | None = None
) -> APIStatusError:
    """Turn an answer that is no success into its error (internal)."""
    status = response.status_code
    body = parse_body(content, response.headers.get("content-type", ""))
    said = _what_it_says(body)
    place = f"{request.method} {request.url}"
    if 300 <= status < 400:
        target = scrub_url(response.headers.get("location", "an address that it does not name"))
        return APIStatusError(
            f"{status} for {place}: the service redirects to {target}, and redirects are not followed; "
            "set base_url (or auth_url) to the address it names",
            request=request,
            response=response,
            body=body,
        )
    kind = _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
    message = f"{status} for {place}: {said}" if said else f"{status} for {place}"
    lowered = said.lower()
    for hint_status, words, hint in _HINTS:
        if status == 429 and request.url.endswith(("/oauth", "/token")):
            break  # these have a limit of their own
        if status == hint_status and words in lowered:
            message = f"{message.rstrip('.')}. {hint.format(scopes=' or '.join(KNOWN_SCOPES))}"
            break
    error = kind(message, request=request, response=response, body=body)
    error.retry_after = retry_after
    return error


def stream_error(
    document: Mapping[str, Any] | str, *, request: RequestInfo | None, response: ResponseInfo | None
) -> StreamError[Any]:
    """Turn an error that came inside a stream into its exception (internal)."""
    said = _what_it_says(document)
    status = document.get("status", document.get("code")) if is_mapping(document) else None
    number = f" {status}" if isinstance(status, int) else ""
    return StreamError(
        f"the service sent an error{number} inside the stream" + (f": {said}" if said else ""),
        request=request,
        response=response,
        body=document,
    )


def no_stream_error(request: RequestInfo, response: ResponseInfo, content: bytes) -> APIError:
    """Turn a success that should have been a stream, and is none, into its error (internal)."""
    kind = response.headers.get("content-type", "")
    body = parse_body(content, kind)
    if is_mapping(body) and _what_it_says(body):
        return stream_error(body, request=request, response=response)
    return APIResponseValidationError(
        f"{response.status_code} for {request.method} {request.url}: a stream was asked for, and {kind} came",
        request=request,
        response=response,
        body=body,
    )


__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BatchTimeoutError",
    "ConfigurationError",
    "ConfigurationTypeError",
    "ContentFilterError",
    "GigaChatError",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidRequestTypeError",
    "LengthFinishReasonError",
    "LimiterTimeoutError",
    "MissingCredentialsError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "SharedStateError",
    "StreamError",
    "StreamInterruptedError",
    "UnprocessableEntityError",
]
