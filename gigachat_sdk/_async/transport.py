"""The one request loop: token, send, renew the token once, retry or raise. Every call of the SDK goes through it."""

from __future__ import annotations

import logging
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .._concurrency import async_sleep
from .._config import ClientConfig, Timeout, check_timeout, short_timeout
from .._constants import AUTH_READ_TIMEOUT
from .._logging import logger
from .._request import USER_AGENT, Call, SentHeaders, UserHeaders, hide_authorization, query_string
from .._response import parse
from .._retry import Outcome, RetryPolicy, decide, parse_retry_after
from .._token import check_header_value
from ..errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    AuthenticationError,
    ConfigurationError,
    ConfigurationTypeError,
    InvalidRequestError,
    InvalidRequestTypeError,
    no_stream_error,
    status_error,
)
from ..types._base import ResponseModel
from ..types.http import Headers, RequestInfo, ResponseInfo, scrub_url
from ..types.tokens import AccessToken
from .http import AsyncFailure, AsyncHTTP, AsyncHTTPResponse

ModelT = TypeVar("ModelT", bound=ResponseModel)


class AsyncTokenSource(Protocol):
    """What the loop needs of a token manager."""

    async def get_token(self) -> AccessToken | None:
        """Return a token that is valid now; None to send none."""
        ...

    async def invalidate(self, token: AccessToken) -> None:
        """Forget `token`, which the service has refused."""
        ...


@dataclass
class AsyncAnswer:
    """A success, its head read, and its body too where it is no stream."""

    http: AsyncHTTPResponse
    request: RequestInfo
    response: ResponseInfo
    sent: SentHeaders
    content: bytes = field(default=b"", repr=False)


@dataclass
class _Refusal:
    """An attempt that brought no success: what to raise, and what may be done instead."""

    error: APIError
    outcome: Outcome
    status: int | None = None
    retry_after: float | None = None


@dataclass
class _Plan:
    """What every attempt of one call has in common."""

    call: Call
    url: str = field(repr=False)
    headers: SentHeaders
    timeout: Timeout
    policy: RetryPolicy
    is_http2: bool
    is_authorized_by_user: bool  # an Authorization header of the user's own, or its removal, wins over any token


def _is_event_stream(headers: Headers) -> bool:
    """A missing content type is forgiven; any other one means that no stream follows."""
    return headers.get("content-type", "text/event-stream").partition(";")[0].strip().lower() == "text/event-stream"


class AsyncTransport:
    """Sends calls, for as many threads or tasks as there are."""

    def __init__(self, config: ClientConfig, http: AsyncHTTP) -> None:
        self.config: ClientConfig = config
        self.http: AsyncHTTP = http
        self.is_closed: bool = False  # a copy of a client is closed by itself, its connections are its parent's
        self._checked: AccessToken | None = None
        self._headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        # A compressed stream may be held back until a block is full.
        self._stream_headers = {
            "User-Agent": USER_AGENT,
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Cache-Control": "no-store",
        }

    async def request(self, call: Call, model: type[ModelT], tokens: AsyncTokenSource | None) -> ModelT:
        """Send a call and return its answer as `model`."""
        answer = await self.exchange(call, tokens)
        result = parse(model, answer.content, answer.request, answer.response, is_secret=call.has_secret_answer)
        if isinstance(result, APIResponseValidationError):
            content = hide_authorization(answer.content, answer.sent)
            result = parse(model, content, answer.request, answer.response, is_secret=call.has_secret_answer)
            del content
        answer.content = b""
        if isinstance(result, APIResponseValidationError):
            raise result
        return result

    async def exchange(self, call: Call, tokens: AsyncTokenSource | None) -> AsyncAnswer:
        """Send a call until it succeeds, or its error is to be raised."""
        if self.is_closed:
            raise ConfigurationError("this client is closed; make a new one, or use it inside its 'with' block")
        plan = self._plan(call)
        if plan.is_authorized_by_user:
            tokens = None
        retries_taken = 0
        token: AccessToken | None = None
        renewed: AccessToken | None = None
        has_renewed = False
        while True:
            if tokens is not None:
                token, renewed = renewed or await tokens.get_token(), None
                self._check(token)
            result = await self._attempt(plan, token, retries_taken)
            if isinstance(result, AsyncAnswer):
                return result
            if tokens is not None and token is not None and isinstance(result.error, AuthenticationError):
                if not has_renewed:
                    has_renewed = True
                    await tokens.invalidate(token)
                    renewed = await tokens.get_token()
                    self._check(renewed)
                    if renewed is not None and renewed.value != token.value:
                        logger.info("the token was refused; sending %s %s again with a new one", call.method, call.path)
                        continue
                raise result.error
            if self.http.is_closed:
                raise result.error
            delay = decide(
                plan.policy,
                retries_taken=retries_taken,
                kind=call.kind,
                outcome=result.outcome,
                status=result.status,
                retry_after=result.retry_after,
                jitter=random.random(),  # noqa: S311  # spreads retries out, guards nothing
            )
            if delay is None:
                if retries_taken and isinstance(result.error, APIConnectionError):
                    result.error.message += f" (tried {retries_taken + 1} times)"
                raise result.error
            retries_taken += 1
            logger.info("retry %d of %s %s in %.2f s: %s", retries_taken, call.method, call.path, delay, result.error)
            await async_sleep(delay)

    def _check(self, token: AccessToken | None) -> None:
        """Refuse what a manager of the user's gives that is no token; each one is looked at once."""
        given: Any = token
        del token  # a traceback with locals must not show what is no token
        if given is None or given is self._checked:
            return
        if not isinstance(given, AccessToken):
            kind = type(given).__name__
            del given
            raise ConfigurationTypeError(f"token_manager: get_token() gave a {kind}, and an AccessToken or None is due")
        check_header_value("token_manager", given.value)
        self._checked = given

    def _plan(self, call: Call) -> _Plan:
        config, options = self.config, call.options
        policy, timeout = config.retry, config.timeout
        if options.keys() & {"max_retries", "retry_statuses", "retry_lost"}:
            policy = policy.override(
                InvalidRequestError,
                InvalidRequestTypeError,
                max_retries=options.get("max_retries"),
                retry_statuses=options.get("retry_statuses"),
                retry_lost=options.get("retry_lost"),
            )
        if "timeout" in options:
            timeout = check_timeout("timeout", options["timeout"], InvalidRequestError, InvalidRequestTypeError)
        # The user's defaults are meant for the API, not for the auth host.
        is_absolute = "://" in call.path
        query = query_string({} if is_absolute else config.default_query, options.get("extra_query") or {})
        url = call.path if is_absolute else config.base_url + call.path
        by_user = UserHeaders({} if is_absolute else config.default_headers, options.get("extra_headers") or {})
        return _Plan(
            call=call,
            url=f"{url}?{query}" if query else url,
            headers=self._headers_of(call, by_user),
            timeout=short_timeout(timeout, AUTH_READ_TIMEOUT) if call.has_secret_answer else timeout,
            policy=policy,
            is_http2=config.http2 is True,
            is_authorized_by_user=by_user.names("authorization"),
        )

    def _headers_of(self, call: Call, by_user: UserHeaders) -> SentHeaders:
        own = self._stream_headers if call.stream else self._headers
        return by_user.over(own if call.content_type is None else {**own, "Content-Type": call.content_type})

    def _sent_headers(self, plan: _Plan, token: AccessToken | None) -> SentHeaders:
        call, headers = plan.call, SentHeaders(plan.headers)
        if call.authorization is not None:
            headers["Authorization"] = call.authorization.get_secret_value()
        elif token is not None:
            headers["Authorization"] = f"Bearer {token.value}"
        if call.fresh_id_header is not None:
            headers[call.fresh_id_header] = str(uuid.uuid4())
        return headers

    async def _attempt(self, plan: _Plan, token: AccessToken | None, retries_taken: int) -> AsyncAnswer | _Refusal:
        call, headers = plan.call, self._sent_headers(plan, token)
        request = RequestInfo(call.method, scrub_url(plan.url), Headers(headers))
        try:
            http = await self.http.send(call.method, plan.url, headers, call.body, plan.timeout, http2=plan.is_http2)
            is_success = 200 <= http.status_code < 300
            is_stream = call.stream and is_success and _is_event_stream(http.headers)
            content = b"" if is_stream else await http.read()
        except AsyncFailure as failure:
            logger.debug("%s %s: %s", request.method, request.url, failure.error)
            failure.error.request = request
            return _Refusal(failure.error, failure.outcome)
        response = ResponseInfo(http.status_code, http.headers, http.elapsed, retries_taken, http.http_version)
        if logger.isEnabledFor(logging.DEBUG):  # looking up the request id costs more than parsing a short answer
            facts = (request.method, request.url, http.status_code, response.elapsed, response.request_id)
            logger.debug("%s %s: %d in %.3f s (request id %s)", *facts)
        if is_stream or (is_success and not call.stream):
            return AsyncAnswer(http, request, response, headers, content)
        content = hide_authorization(content, headers)
        if is_success:
            return _Refusal(no_stream_error(request, response, content), Outcome.FINAL)
        retry_after = parse_retry_after(http.headers.get("retry-after"), time.time())
        error = status_error(request, response, content, retry_after=retry_after)
        return _Refusal(error, Outcome.ANSWERED, http.status_code, retry_after)
