"""One attempt of a call and the middleware around it: whatever it sends, and whenever, no answer is left open."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from .._deadline import current_deadline, no_deadline, running
from .._headers import SentHeaders, check_headers
from .._request import Call
from .._retry import Outcome
from ..errors import APIError, ConfigurationTypeError, InvalidRequestError, InvalidRequestTypeError
from ..limits import Slot
from ..types.http import RequestInfo, ResponseInfo
from ..types.middleware import AsyncMiddleware, AttemptRequest, AttemptResponse
from .answer import AsyncHTTPResponse


@dataclass
class AsyncAnswer:
    """A success, its head read, and its body too where it is neither a stream nor asked for raw."""

    http: AsyncHTTPResponse
    request: RequestInfo
    response: ResponseInfo
    sent: SentHeaders
    content: bytes = field(default=b"", repr=False)


@dataclass
class AsyncRefusal:
    """An attempt that brought no success: what to raise, and what may be done instead."""

    error: APIError
    outcome: Outcome
    status: int | None = None
    content: bytes | None = field(default=None, repr=False)
    retry_after: float | None = None


AsyncResult: TypeAlias = AsyncAnswer | AsyncRefusal


def can_resend(call: Call) -> bool:
    """Say whether the body can be sent once more."""
    return call.body is None or isinstance(call.body, bytes) or call.body.rewind()


def give_back(slots: list[Slot | None]) -> None:
    """Give back the slot that nobody has taken out of the list to send in it."""
    try:
        slot = slots.pop()  # one operation: a thread that sends may want it at this very moment
    except IndexError:
        return
    if slot is not None:
        slot.release()


async def _wrapped(
    middleware: AsyncMiddleware,
    send: Callable[[AttemptRequest], Awaitable[AttemptResponse]],
    request: AttemptRequest,
) -> AttemptResponse:
    return await middleware(request, send)


async def _let_go(results: Sequence[AsyncResult]) -> None:
    """Give back the connections and slots of what nobody will read."""
    for result in results:
        if isinstance(result, AsyncAnswer):
            await result.http.aclose()


class AsyncAttempt:
    """One attempt; its middleware may send several times, at the same time too, and leave before the answer is there.

    Args:
        call: What is sent.
        send_once: Sends it in a slot, which is its own from then on, with the header fields of a middleware.
        take_slot: Waits for one more slot.
        slots: The slot of the first to send; whoever sends takes it out.
    """

    def __init__(
        self,
        call: Call,
        send_once: Callable[[Slot | None, Mapping[str, str]], Awaitable[AsyncResult]],
        take_slot: Callable[[], Awaitable[Slot | None]],
        slots: list[Slot | None],
    ) -> None:
        self._call = call
        self._send_once = send_once
        self._take_slot = take_slot
        self._slots = slots
        self._deadline = current_deadline()
        self._results: list[AsyncResult] = []
        self._guard = threading.Lock()
        self._is_over = False

    async def run(self, middlewares: Sequence[AsyncMiddleware], request: AttemptRequest) -> AsyncResult:
        """Return the last result of what the middleware has sent.

        Raises:
            ConfigurationTypeError: It returned something else than an answer.
        """
        handler: Callable[[AttemptRequest], Awaitable[AttemptResponse]] = self._send
        for middleware in reversed(middlewares):
            handler = partial(_wrapped, middleware, handler)
        results, is_one_of_them, returned = self._results, False, None
        try:
            with no_deadline():
                returned = await handler(request)
            is_one_of_them = isinstance(returned, AttemptResponse) and bool(results)
        except APIError as error:
            is_one_of_them = bool(results) and isinstance(results[-1], AsyncRefusal) and results[-1].error is error
            if not is_one_of_them:
                raise
        finally:
            with self._guard:  # what comes later is let go by whoever has sent it
                self._is_over = True
            await _let_go(results[:-1] if is_one_of_them else results)
        if not is_one_of_them:
            raise ConfigurationTypeError(
                f"middleware: it returned a {type(returned).__name__}; return what send(request) gives"
            )
        return results[-1]

    async def _send(self, request: AttemptRequest) -> AttemptResponse:
        headers = check_headers("middleware", request.headers, InvalidRequestTypeError)
        self._check_open()
        if self._results and not can_resend(self._call):
            raise InvalidRequestError("middleware: the body was sent already, and its source cannot be read again")
        with running(self._deadline):
            await _let_go(self._results)  # an answer before this one would keep its slot, and this one wait for it
            try:
                slot = self._slots.pop()
            except IndexError:
                slot = await self._take_slot()
            try:
                self._check_open()  # the wait may have been long
            except InvalidRequestError:
                give_back([slot])
                raise
            result = await self._send_once(slot, {name: value for name, value in headers.items() if value})
            with self._guard:
                is_late = self._is_over
                if not is_late:
                    self._results.append(result)
            if is_late:
                await _let_go([result])
        return self._shown(result)

    def _check_open(self) -> None:
        if self._is_over:
            raise InvalidRequestError("middleware: send() was called after its attempt was over; nothing was sent")

    def _shown(self, result: AsyncResult) -> AttemptResponse:
        """Return what a middleware sees of a result, or raise what it would."""
        if isinstance(result, AsyncAnswer):
            return AttemptResponse(result.response, None if self._call.stream or self._call.is_raw else result.content)
        if result.error.response is None:
            raise result.error
        return AttemptResponse(result.error.response, result.content)
