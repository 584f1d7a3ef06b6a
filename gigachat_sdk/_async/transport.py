"""The one request loop: token, send, renew the token once, retry or raise. Every call of the SDK goes through it."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from .._concurrency import async_call, async_sleep, async_within
from .._config import ClientConfig, Timeout, check_timeout, short_timeout
from .._constants import AUTH_READ_TIMEOUT
from .._context import current_context
from .._deadline import Deadline, DeadlineError, current_deadline, no_deadline, running
from .._failures import Failure
from .._headers import SentHeaders, UserHeaders, check_headers, hide_authorization, query_string
from .._logging import logger
from .._request import USER_AGENT, Call, context_headers
from .._response import parse
from .._retry import Outcome, RetryPolicy, decide, parse_retry_after
from .._token import check_header_value
from ..errors import (
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConfigurationTypeError,
    InvalidRequestError,
    InvalidRequestTypeError,
    LimiterTimeoutError,
    no_stream_error,
    status_error,
)
from ..limits import ConcurrencyLimiter, Slot
from ..types._base import ResponseModel
from ..types.http import Headers, RequestInfo, ResponseInfo, RetryInfo, scrub_url
from ..types.middleware import AsyncMiddleware, AttemptRequest, AttemptResponse
from ..types.tokens import AccessToken
from .http import AsyncHTTP, AsyncHTTPResponse

_GRACE = 0.05  # seconds that a token manager may take longer than the deadline, to say itself what was going on
T = TypeVar("T")
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
    """A success, its head read, and its body too where it is neither a stream nor asked for raw."""

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
    content: bytes | None = field(default=None, repr=False)
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
    client_id: str | None
    on_retry: Callable[[RetryInfo], Any] | None


def _is_event_stream(headers: Headers) -> bool:
    """A missing content type is forgiven; any other one means that no stream follows."""
    return headers.get("content-type", "text/event-stream").partition(";")[0].strip().lower() == "text/event-stream"


def _can_resend(call: Call) -> bool:
    return call.body is None or isinstance(call.body, bytes) or call.body.rewind()


async def _tell(on_retry: Callable[[RetryInfo], Any], info: RetryInfo) -> None:
    with no_deadline():
        await async_call(partial(on_retry, info))


async def _token_of(tokens: AsyncTokenSource) -> AccessToken | None:
    """Ask for a token; a manager of the user's may know nothing of deadlines, and gets a moment more at most."""
    deadline = current_deadline()
    if deadline is None:
        return await tokens.get_token()
    return await async_within(max(deadline.remaining, 0) + _GRACE, tokens.get_token)


async def _wrapped(
    middleware: AsyncMiddleware,
    send: Callable[[AttemptRequest], Awaitable[AttemptResponse]],
    request: AttemptRequest,
) -> AttemptResponse:
    return await middleware(request, send)


async def _let_go(results: Sequence[AsyncAnswer | _Refusal]) -> None:
    """Give back the connections and slots of what nobody will read."""
    for result in results:
        if isinstance(result, AsyncAnswer):
            await result.http.aclose()


def _shown(result: AsyncAnswer | _Refusal, call: Call) -> AttemptResponse:
    """Return what a middleware sees of an attempt, or raise what it would."""
    if isinstance(result, AsyncAnswer):
        return AttemptResponse(result.response, None if call.stream or call.is_raw else result.content)
    if result.error.response is None:
        raise result.error
    return AttemptResponse(result.error.response, result.content)


class AsyncTransport:
    """Sends calls, for as many threads or tasks as there are."""

    def __init__(self, config: ClientConfig, http: AsyncHTTP, limiter: ConcurrencyLimiter | None = None) -> None:
        self.config: ClientConfig = config
        self.http: AsyncHTTP = http
        self.limiter: ConcurrencyLimiter | None = limiter
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
        self._raw_headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}

    async def request(self, call: Call, model: type[ModelT], tokens: AsyncTokenSource | None) -> ModelT:
        """Send a call and return its answer as `model`."""
        return await self.request_as(call, partial(parse, model, is_secret=call.has_secret_answer), tokens)

    async def request_as(
        self,
        call: Call,
        read: Callable[[bytes, RequestInfo, ResponseInfo], T | APIResponseValidationError],
        tokens: AsyncTokenSource | None,
    ) -> T:
        """Send a call and return its answer as `read` understands it."""
        answer = await self.exchange(call, tokens)
        result = read(answer.content, answer.request, answer.response)
        if isinstance(result, APIResponseValidationError):
            content = hide_authorization(answer.content, answer.sent)
            result = read(content, answer.request, answer.response)
            del content
        answer.content = b""
        if isinstance(result, APIResponseValidationError):
            raise result
        return result

    async def exchange(self, call: Call, tokens: AsyncTokenSource | None) -> AsyncAnswer:
        """Send a call until it succeeds, or its error is to be raised, or its deadline has passed."""
        if self.is_closed:
            raise ConfigurationError("this client is closed; make a new one, or use it inside its 'with' block")
        plan = self._plan(call)
        if plan.policy.deadline is None:
            return await self._repeat(plan, tokens)
        deadline = Deadline(plan.policy.deadline)
        with running(deadline):
            try:
                return await self._repeat(plan, tokens)
            except DeadlineError:
                error = APITimeoutError(f"{deadline.words} while a token was being got")
        raise error

    async def _repeat(self, plan: _Plan, tokens: AsyncTokenSource | None) -> AsyncAnswer:
        call = plan.call
        if plan.is_authorized_by_user:
            tokens = None
        retries_taken = 0
        token: AccessToken | None = None
        renewed: AccessToken | None = None
        has_renewed = False
        while True:
            if tokens is not None:
                token, renewed = renewed or await _token_of(tokens), None
                self._check(token)
            slot = await self._slot(plan)
            try:
                if slot is not None and slot.has_waited and tokens is not None:
                    token = await _token_of(tokens)  # the one from before the wait may have ended
                    self._check(token)
                result = await self._attempt(plan, token, retries_taken, slot)
            except BaseException:
                if slot is not None:
                    slot.release()
                raise
            if isinstance(result, AsyncAnswer):
                return result
            if tokens is not None and token is not None and isinstance(result.error, AuthenticationError):
                if not has_renewed:
                    has_renewed = True
                    await tokens.invalidate(token)
                    renewed = await _token_of(tokens) if _can_resend(call) else None
                    self._check(renewed)
                    if renewed is not None and renewed.value != token.value:
                        logger.info("the token was refused; sending %s %s again with a new one", call.method, call.path)
                        continue
                raise result.error
            if self.http.is_closed:
                result.error.message = f"the client was closed during the call: {result.error.message}"
                raise result.error
            deadline = current_deadline()
            delay = decide(
                plan.policy,
                retries_taken=retries_taken,
                kind=call.kind,
                outcome=result.outcome,
                status=result.status,
                retry_after=result.retry_after,
                can_resend=_can_resend(call),
                remaining=None if deadline is None else deadline.remaining,
                jitter=random.random(),  # noqa: S311  # spreads retries out, guards nothing
            )
            if delay is None:
                if retries_taken:
                    result.error.message += f" (tried {retries_taken + 1} times)"
                raise result.error
            retries_taken += 1
            logger.info("retry %d of %s %s in %.2f s: %s", retries_taken, call.method, call.path, delay, result.error)
            if plan.on_retry is not None:
                error = result.error
                info = RetryInfo(retries_taken, delay, error, error.request, error.response)
                await _tell(plan.on_retry, info)
            await async_sleep(delay)

    async def _slot(self, plan: _Plan) -> Slot | None:
        """Wait until one more request may be in flight."""
        limiter, call, deadline = self.limiter, plan.call, current_deadline()
        if limiter is None or call.has_secret_answer:
            return None
        error: LimiterTimeoutError | APITimeoutError
        try:
            if deadline is None:
                return await limiter.aacquire(call.model)
            return await async_within(max(deadline.remaining, 0) + _GRACE, partial(limiter.aacquire, call.model))
        except LimiterTimeoutError as late:
            error = late
        except DeadlineError:
            words = "its deadline has passed" if deadline is None else deadline.words
            error = APITimeoutError(f"{words} while it waited for a slot of the limiter", sent=False)
        error.request = RequestInfo(call.method, scrub_url(plan.url), Headers(plan.headers))
        raise error

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
        if options.keys() & {"max_retries", "retry_statuses", "retry_lost", "deadline"}:
            policy = policy.override(
                InvalidRequestError,
                InvalidRequestTypeError,
                max_retries=options.get("max_retries"),
                retry_statuses=options.get("retry_statuses"),
                retry_lost=options.get("retry_lost"),
                deadline=options.get("deadline"),
            )
            if options.get("deadline", 0) is None:
                policy = replace(policy, deadline=None)
        if "timeout" in options:
            timeout = check_timeout("timeout", options["timeout"], InvalidRequestError, InvalidRequestTypeError)
        url, by_user = self._address(call)
        query = query_string(
            {} if "://" in call.path else config.default_query, call.query, options.get("extra_query") or {}
        )
        return _Plan(
            call=call,
            url=f"{url}?{query}" if query else url,
            headers=self._headers_of(call, by_user),
            timeout=short_timeout(timeout, AUTH_READ_TIMEOUT) if call.has_secret_answer else timeout,
            policy=policy,
            is_http2=config.http2 is True
            or (config.http2 == "auto" and call.prefers_http2 and url.startswith("https:")),
            is_authorized_by_user=by_user.names("authorization"),
            client_id=by_user.get("x-client-id"),
            on_retry=options.get("on_retry") or config.on_retry,
        )

    def _address(self, call: Call) -> tuple[str, UserHeaders]:
        """Say where a call goes, and which header fields the user wants with it."""
        config, options = self.config, call.options
        extra = options.get("extra_headers") or {}
        if "://" in call.path:  # the auth host: the user's defaults are meant for the API
            return call.path, UserHeaders(extra)
        base = config.base_url if call.base == "v1" else config.base_url_v2
        ids = context_headers(options, InvalidRequestTypeError)
        return base + call.path, UserHeaders(config.default_headers, config.ids, current_context(), ids, extra)

    def _headers_of(self, call: Call, by_user: UserHeaders) -> SentHeaders:
        own = self._stream_headers if call.stream else self._raw_headers if call.is_raw else self._headers
        return by_user.over(own if call.content_type is None else {**own, "Content-Type": call.content_type})

    def _sent_headers(self, plan: _Plan, token: AccessToken | None, chosen: Mapping[str, str] | None) -> SentHeaders:
        call, headers = plan.call, SentHeaders(plan.headers if chosen is None else chosen)
        if call.authorization is not None:
            headers["Authorization"] = call.authorization.get_secret_value()
        elif token is not None and (chosen is None or "authorization" not in map(str.lower, chosen)):
            headers["Authorization"] = f"Bearer {token.value}"
        if call.fresh_id_header is not None:
            headers[call.fresh_id_header] = str(uuid.uuid4())
        return headers

    async def _attempt(
        self, plan: _Plan, token: AccessToken | None, retries_taken: int, slot: Slot | None
    ) -> AsyncAnswer | _Refusal:
        if not self.config.middleware or plan.call.has_secret_answer:
            return await self._send(plan, token, retries_taken, slot)
        call, results, deadline = plan.call, list["AsyncAnswer | _Refusal"](), current_deadline()
        slots = [slot]  # the first to send takes it; a middleware may send again, or twice at a time

        async def send(request: AttemptRequest) -> AttemptResponse:
            headers = check_headers("middleware", request.headers, InvalidRequestTypeError)
            if results and not _can_resend(call):
                raise InvalidRequestError("middleware: the body was sent already, and its source cannot be read again")
            with running(deadline):
                await _let_go(results)  # an answer before this one would keep its slot, and this one wait for it
                own = slots.pop() if slots else await self._slot(plan)
                chosen = {name: value for name, value in headers.items() if value}
                try:
                    results.append(await self._send(plan, token, retries_taken, own, chosen))
                except BaseException:
                    if own is not None:
                        own.release()
                    raise
            return _shown(results[-1], call)

        handler: Callable[[AttemptRequest], Awaitable[AttemptResponse]] = send
        for middleware in reversed(self.config.middleware):
            handler = partial(_wrapped, middleware, handler)
        content = call.body if isinstance(call.body, bytes) else None
        own = dict(plan.headers)
        request = AttemptRequest(call.method, scrub_url(plan.url), own, content, retries_taken + 1, call.stream)
        is_over, returned = False, None
        try:
            with no_deadline():
                returned = await handler(request)
            is_over = isinstance(returned, AttemptResponse) and bool(results)
        except APIError as error:
            is_over = bool(results) and isinstance(results[-1], _Refusal) and results[-1].error is error
            if not is_over:
                raise
        finally:
            await _let_go(results[:-1] if is_over else results)
        if not is_over:
            raise ConfigurationTypeError(
                f"middleware: it returned a {type(returned).__name__}; return what send(request) gives"
            )
        return results[-1]

    async def _send(
        self,
        plan: _Plan,
        token: AccessToken | None,
        retries_taken: int,
        slot: Slot | None,
        chosen: Mapping[str, str] | None = None,
    ) -> AsyncAnswer | _Refusal:
        call, headers = plan.call, self._sent_headers(plan, token, chosen)
        request = RequestInfo(call.method, scrub_url(plan.url), Headers(headers))
        try:
            http = await self.http.send(
                call.method, plan.url, headers, call.body, plan.timeout, http2=plan.is_http2, slot=slot
            )
            if slot is not None:
                slot.report(http.status_code)
            is_success = 200 <= http.status_code < 300
            is_open = is_success and (call.is_raw or (call.stream and _is_event_stream(http.headers)))
            content = b"" if is_open else await http.read()
        except Failure as failure:
            logger.debug("%s %s: %s", request.method, request.url, failure.error)
            failure.error.request = request
            if slot is not None:
                slot.release()
            return _Refusal(failure.error, failure.outcome)
        response = ResponseInfo(
            http.status_code, http.headers, http.elapsed, retries_taken, http.http_version, plan.client_id
        )
        if logger.isEnabledFor(logging.DEBUG):  # looking up the request id costs more than parsing a short answer
            facts = (request.method, request.url, http.status_code, response.elapsed, response.request_id)
            logger.debug("%s %s: %d in %.3f s (request id %s)", *facts)
        if is_open or (is_success and not call.stream):
            return AsyncAnswer(http, request, response, headers, content)
        content = hide_authorization(content, headers)
        if is_success:
            return _Refusal(no_stream_error(request, response, content), Outcome.FINAL, content=content)
        retry_after = parse_retry_after(http.headers.get("retry-after"), time.time())
        error = status_error(request, response, content, retry_after=retry_after)
        return _Refusal(error, Outcome.ANSWERED, http.status_code, content, retry_after)
