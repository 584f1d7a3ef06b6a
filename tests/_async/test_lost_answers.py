"""What an error says of what was sent: it speaks of the whole call, and not of its last attempt alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from noting_limiter import Watching

from gigachat_sdk import (
    AccessToken,
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    GigaChatError,
    LimiterTimeoutError,
    LocalLimiter,
    SharedStateError,
)
from gigachat_sdk._deadline import DeadlineError
from gigachat_sdk.testing import Emulator, Fault, Reply
from gigachat_sdk.types import AttemptRequest, AttemptResponse, RetryInfo

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
LOST = Fault("reset_before_head", path=CHAT, nth=1)
EARLIER = "; an earlier attempt was sent, and its answer lost"
Send = Callable[[AttemptRequest], Awaitable[AttemptResponse]]


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


class Taking:
    """Takes the only slot while the call pauses."""

    def __init__(self, limiter: LocalLimiter) -> None:
        self.limiter = limiter
        self.told: list[RetryInfo] = []
        self.slots: list[Any] = []

    def __call__(self, info: RetryInfo) -> None:
        self.told.append(info)
        self.slots.append(self.limiter.acquire())


class Manager:
    """Gives a token once, and then an error."""

    def __init__(self, emulator: Emulator, error: Exception) -> None:
        self.emulator = emulator
        self.error = error
        self.asked = 0

    async def get_token(self) -> AccessToken:
        self.asked += 1
        if self.asked > 1:
            raise self.error
        return AccessToken(self.emulator.issue_token())

    async def invalidate(self, token: AccessToken) -> None:
        raise AssertionError("nothing was refused")


async def test_without_a_slot_for_the_next_attempt_the_lost_answer_is_what_is_raised(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    limiter = Watching()
    taking = Taking(limiter)
    emulator.inject(LOST)
    with pytest.raises(APIConnectionError, match=r"was lost: .*; the request was not sent again: no slot") as caught:
        await ask(connect(emulator, limiter=limiter, on_retry=taking))
    assert (caught.value.sent, caught.value.status_code, len(emulator.requests_to(CHAT))) == (True, None, 1)
    assert caught.value.request is not None
    assert "not sent again" not in str(taking.told[0].error)


async def test_an_attempt_that_was_refused_is_none_that_was_carried_out(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    limiter = Watching()
    emulator.reply(CHAT, Reply.error(429, "later"))
    with pytest.raises(LimiterTimeoutError):
        await ask(connect(emulator, limiter=limiter, on_retry=Taking(limiter)))
    lost = connect(base_url="http://127.0.0.1:1/v1", access_token="t", limiter=limiter, on_retry=Taking(limiter))
    with pytest.raises(LimiterTimeoutError):
        await ask(lost)


async def test_a_deadline_in_the_line_does_not_deny_what_was_sent_before(
    connect: Connect, emulator: Emulator, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = LocalLimiter(1)
    taking, moments = Taking(limiter), [0.0]
    monkeypatch.setattr("gigachat_sdk._deadline.time", SimpleNamespace(monotonic=lambda: moments[-1]))

    def take_slot_and_time(info: RetryInfo) -> None:
        taking(info)
        moments.append(59.9)

    emulator.inject(LOST)
    with pytest.raises(APITimeoutError, match=f"for a slot of the limiter{EARLIER}$") as caught:
        await ask(connect(emulator, limiter=limiter, on_retry=take_slot_and_time), deadline=60)
    assert caught.value.sent


async def test_a_deadline_while_a_token_is_got_does_not_either(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    manager = Manager(emulator, DeadlineError())
    emulator.inject(LOST)
    with pytest.raises(APITimeoutError, match=f"while a token was being got{EARLIER}$") as caught:
        await ask(connect(emulator, token_manager=manager), deadline=30)
    assert caught.value.sent


async def test_a_service_that_is_not_reached_again_does_not_either(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    manager = Manager(emulator, APIConnectionError("could not connect to the auth host"))
    emulator.inject(LOST)
    with pytest.raises(APIConnectionError, match=f"^could not connect to the auth host{EARLIER}$") as caught:
        await ask(connect(emulator, token_manager=manager))
    assert caught.value.sent


async def test_shared_state_that_cannot_be_used_does_not_either(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    manager = Manager(emulator, SharedStateError("Redis is away"))
    emulator.inject(LOST)
    with pytest.raises(GigaChatError, match=r"was lost: .*; the request was not sent again: Redis is away") as caught:
        await ask(connect(emulator, token_manager=manager))
    assert isinstance(caught.value, APIConnectionError)
    assert caught.value.sent
    manager = Manager(emulator, KeyError("not here"))
    emulator.clear_faults()
    emulator.inject(LOST)
    with pytest.raises(KeyError):  # it claims nothing
        await ask(connect(emulator, token_manager=manager))


async def test_an_error_that_says_that_it_was_sent_is_left_as_it_is(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    emulator.inject(Fault("reset_before_head", path=CHAT))
    with pytest.raises(APIConnectionError, match=r"\(tried 3 times\)$") as caught:
        await ask(connect(emulator))
    assert caught.value.sent


async def test_what_a_middleware_has_sent_before_counts_too(connect: Connect, emulator: Emulator) -> None:
    limiter, taken = Watching(), list[Any]()

    async def twice(request: AttemptRequest, send: Send) -> AttemptResponse:
        await send(request)
        taken.append(limiter.acquire())
        return await send(request)

    words = "^the request was sent, and its answer given up; the request was not sent again: no slot"
    with pytest.raises(APIConnectionError, match=words) as caught:
        await ask(connect(emulator, limiter=limiter, middleware=[twice]))
    assert caught.value.sent
    assert caught.value.request is not None


async def test_a_deadline_that_is_not_the_calls_own_is_left_to_the_call_around_it(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    emulator.inject(LOST)
    with pytest.raises(DeadlineError):
        await ask(connect(emulator, token_manager=Manager(emulator, DeadlineError())))
