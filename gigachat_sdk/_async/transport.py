"""The one request loop: token, send, renew the token once, retry or raise. Every call of the SDK goes through it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from random import SystemRandom
from typing import Any, Protocol, TypeVar

from .._concurrency import async_call, async_sleep, async_within
from .._config import ClientConfig, Timeout, check_timeout, short_timeout
from .._constants import AUTH_READ_TIMEOUT
from .._context import current_context
from .._deadline import Deadline, DeadlineError, current_deadline, no_deadline, running
from .._failures import Failure
from .._headers import SentHeaders, UserHeaders, hide_authorization, query_string
from .._logging import logger
from .._request import USER_AGENT, Call, context_headers
from .._response import parse
from .._retry import Outcome, RetryPolicy, decide, parse_retry_after
from .._token import check_header_value
from .._unanswered import Unanswered
from .._watch import pauses, watched
from ..errors import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConfigurationTypeError,
    InvalidRequestError,
    InvalidRequestTypeError,
    LimiterTimeoutError,
    SharedStateError,
    no_stream_error,
    status_error,
)
from ..limits import ConcurrencyLimiter, Slot
from ..types._base import ResponseModel
from ..types.http import Headers, RequestInfo, ResponseInfo, RetryInfo, scrub_url
from ..types.middleware import AttemptRequest
from ..types.tokens import AccessToken
from .answer import AsyncHTTPResponse
from .attempts import AsyncAnswer as AsyncAnswer
from .attempts import AsyncAttempt, AsyncRefusal, AsyncResult, can_resend, give_back
from .http import AsyncHTTP

_GRACE = 0.05  # seconds that a token manager may take longer than the deadline, to say itself what was going on
_chance = SystemRandom()  # the shared one belongs to the program, which may have seeded it
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
    unanswered: Unanswered = field(default_factory=Unanswered)


def _is_event_stream(headers: Headers) -> bool:
    """A missing content type is forgiven; any other one means that no stream follows."""
    return headers.get("content-type", "text/event-stream").partition(";")[0].strip().lower() == "text/event-stream"


async def _tell(on_retry: Callable[[RetryInfo], Any], info: RetryInfo) -> None:
    with no_deadline():
        await async_call(partial(on_retry, info))


async def _token_of(tokens: AsyncTokenSource) -> AccessToken | None:
    """Ask for a token; a manager of the user's may know nothing of deadlines, and gets a moment more at most."""
    deadline = current_deadline()
    if deadline is None:
        return await tokens.get_token()
    return await async_within(max(deadline.remaining, 0) + _GRACE, tokens.get_token)


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
        deadline = None if plan.policy.deadline is None else Deadline(plan.policy.deadline)
        error: APIConnectionError | None
        with running(deadline):
            try:
                return await self._repeat(plan, tokens)
            except DeadlineError:
                if deadline is None:  # it is that of a call around this one
                    raise
                error = APITimeoutError(f"{deadline.words} while a token was being got")
                plan.unanswered.correct(error)
            except (APIConnectionError, LimiterTimeoutError, SharedStateError) as failed:
                error = plan.unanswered.correct(failed)
                if error is None:
                    raise
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
            slots = [slot]  # whoever sends takes it out, and gives it back
            try:
                if slot is not None and slot.has_waited and tokens is not None:
                    token = await _token_of(tokens)  # the one from before the wait may have ended
                    self._check(token)
                result = await self._attempt(plan, token, retries_taken, slots)
            finally:
                give_back(slots)
            if isinstance(result, AsyncAnswer):
                return result
            if tokens is not None and token is not None and isinstance(result.error, AuthenticationError):
                if not has_renewed:
                    has_renewed = True
                    await tokens.invalidate(token)
                    renewed = await _token_of(tokens) if can_resend(call) else None
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
                can_resend=can_resend(call),
                remaining=None if deadline is None else deadline.remaining,
                jitter=_chance.random(),
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
            for seconds in pauses(delay):
                await async_sleep(seconds)

    async def _slot(self, plan: _Plan) -> Slot | None:
        """Wait until one more request may be in flight."""
        limiter, call, deadline = watched(self.limiter), plan.call, current_deadline()
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
        self, plan: _Plan, token: AccessToken | None, retries_taken: int, slots: list[Slot | None]
    ) -> AsyncResult:
        if not self.config.middleware or plan.call.has_secret_answer:
            return await self._send(plan, token, retries_taken, slots.pop())
        call, own = plan.call, dict(plan.headers)
        content = call.body if isinstance(call.body, bytes) else None
        request = AttemptRequest(call.method, scrub_url(plan.url), own, content, retries_taken + 1, call.stream)
        attempt = AsyncAttempt(call, partial(self._send, plan, token, retries_taken), partial(self._slot, plan), slots)
        return await attempt.run(self.config.middleware, request)

    async def _send(
        self,
        plan: _Plan,
        token: AccessToken | None,
        retries_taken: int,
        slot: Slot | None,
        chosen: Mapping[str, str] | None = None,
    ) -> AsyncResult:
        call, headers = plan.call, self._sent_headers(plan, token, chosen)
        request = RequestInfo(call.method, scrub_url(plan.url), Headers(headers))
        plan.unanswered.begin()
        try:
            http = await self.http.send(
                call.method, plan.url, headers, call.body, plan.timeout, http2=plan.is_http2, slot=slot
            )
            if slot is not None:
                slot.report(http.status_code)
            is_success = 200 <= http.status_code < 300
            is_open = is_success and (call.is_raw or (call.stream and _is_event_stream(http.headers)))
            content, trouble = (b"", "") if is_open else await self._read(http, is_success=is_success)
        except Failure as failure:
            logger.debug("%s %s: %s", request.method, request.url, failure.error)
            failure.error.request = request
            plan.unanswered.end(failure.error)
            if slot is not None:
                slot.release()
            return AsyncRefusal(failure.error, failure.outcome)
        except BaseException:
            if slot is not None:
                slot.release()
            raise
        response = ResponseInfo(
            http.status_code, http.headers, http.elapsed, retries_taken, http.http_version, plan.client_id
        )
        if logger.isEnabledFor(logging.DEBUG):  # looking up the request id costs more than parsing a short answer
            facts = (request.method, request.url, http.status_code, response.elapsed, response.request_id)
            logger.debug("%s %s: %d in %.3f s (request id %s)", *facts)
        if is_open or (is_success and not call.stream):
            return AsyncAnswer(http, request, response, headers, content)
        content = hide_authorization(content, headers, is_cut=bool(trouble))
        if is_success:
            return AsyncRefusal(no_stream_error(request, response, content), Outcome.FINAL, content=content)
        plan.unanswered.end()
        retry_after = parse_retry_after(http.headers.get("retry-after"), time.time())
        error = status_error(request, response, content, retry_after=retry_after)
        if trouble:
            error.message = f"{error.message.rstrip('.')} (its body could not be read to its end: {trouble})"
        return AsyncRefusal(error, Outcome.ANSWERED, http.status_code, content, retry_after)

    async def _read(self, http: AsyncHTTPResponse, *, is_success: bool) -> tuple[bytes, str]:
        """Read a body; of an error answer as much as can be read, and why it is not all: its status is known."""
        pieces: list[bytes] = []
        trouble = ""
        try:
            await http.read_into(pieces)
        except Failure as failure:
            is_too_late = isinstance(failure.error, APITimeoutError) and failure.outcome is Outcome.FINAL  # a deadline
            if is_success or is_too_late or self.http.is_closed:
                raise
            trouble = failure.error.message
        return b"".join(pieces), trouble
