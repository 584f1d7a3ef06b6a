"""Token managers: what they ask for, when they renew, what they share."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from gigachat_sdk import (
    AccessToken,
    APIConnectionError,
    APIResponseValidationError,
    AsyncClient,
    AsyncOAuthTokenManager,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    MemoryTokenStore,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Clock, Connect

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
OAUTH = "/api/v2/oauth"
KEY = "Y2xpZW50OnNlY3JldA=="


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **options)


def token_reply(value: str, expires_at: float | None) -> Reply:
    return Reply(json={"access_token": value, "expires_at": expires_at})


# ---- the request ----


async def test_the_request_for_a_token(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(OAUTH, Reply(503), times=2)
    await ask(client)
    requests = emulator.requests_to(OAUTH)
    assert len(requests) == 3
    for request in requests:
        assert (request.method, request.query) == ("POST", "")
        assert request.headers["authorization"] == f"Basic {emulator.credentials}"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert parse_qs(request.body.decode()) == {"scope": ["GIGACHAT_API_PERS"]}
        assert uuid.UUID(request.headers["rquid"]).version == 4
        assert request.headers["user-agent"].startswith("gigachat-sdk/")
    assert len({request.headers["rquid"] for request in requests}) == 3
    assert len(delays) == 2


async def test_the_scope_goes_as_it_was_given(connect: Connect) -> None:
    with Emulator(scope="GIGACHAT_API_CORP") as emulator:
        await ask(connect(emulator))
        with pytest.raises(BadRequestError, match=r"The key belongs to another scope: .*GIGACHAT_API_CORP"):
            await ask(connect(emulator, scope="GIGACHAT_API_B2B"))
    assert parse_qs(emulator.requests[0].body.decode()) == {"scope": ["GIGACHAT_API_CORP"]}


async def test_the_request_with_a_password(connect: Connect) -> None:
    with Emulator(user="мой", password="п:w") as emulator:
        client = connect(emulator, user="мой", password="п:w")
        await ask(client)
        emulator.revoke_tokens()
        await ask(client)
        await client.aclose()
    request = emulator.requests[0]
    expected = base64.b64encode("мой:п:w".encode()).decode()
    assert (request.method, request.path, request.body) == ("POST", "/v1/token", b"")
    assert request.headers["authorization"] == f"Basic {expected}"
    assert [other.path for other in emulator.requests] == ["/v1/token", CHAT, CHAT, "/v1/token", CHAT]


async def test_a_wrong_password(connect: Connect, emulator: Emulator) -> None:
    with pytest.raises(AuthenticationError):
        await ask(connect(emulator, user="user", password="wrong"))
    assert [request.path for request in emulator.requests] == ["/v1/token"]


# ---- times ----


@pytest.mark.parametrize("unit", [1, 1000])
async def test_an_expiry_in_seconds_or_milliseconds(emulator: Emulator, clock: Clock, unit: int) -> None:
    emulator.reply(OAUTH, token_reply("one", (clock.now + 1800) * unit), token_reply("two", clock.now + 9000))
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock)
    first = await manager.get_token()
    assert first == AccessToken("one", clock.now + 1800)
    clock.now += 1800 - 61
    assert await manager.get_token() == first
    clock.now += 61 - 5
    assert (await manager.get_token()).value == "two"
    assert emulator.oauth_requests == 2
    await manager.aclose()


@pytest.mark.parametrize("expires_at", [None, 0])
async def test_a_token_without_an_end(emulator: Emulator, clock: Clock, expires_at: float | None) -> None:
    emulator.reply(OAUTH, token_reply("one", expires_at))
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock)
    assert await manager.get_token() == AccessToken("one", None)
    clock.now += 1e9
    assert await manager.get_token() == AccessToken("one", None)
    await manager.aclose()


async def test_a_token_is_renewed_early(emulator: Emulator, clock: Clock) -> None:
    emulator.reply(OAUTH, token_reply("one", clock.now + 1800), token_reply("two", clock.now + 3600))
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock)
    await manager.get_token()
    clock.now += 1800 - 59
    assert (await manager.get_token()).value == "two"
    assert emulator.oauth_requests == 2
    await manager.aclose()


async def test_others_go_on_with_the_old_token_while_one_renews_it(emulator: Emulator, clock: Clock) -> None:
    class BusyStore(MemoryTokenStore):
        def alock(self, name: str) -> Any:
            lock = super().alock(name)

            class Busy:
                async def acquire(self, *, wait: bool = True) -> bool:
                    return wait and await lock.acquire()

                def release(self) -> None:
                    lock.release()

            return Busy()

    emulator.reply(OAUTH, token_reply("one", clock.now + 1800))
    manager = AsyncOAuthTokenManager(
        emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=BusyStore()
    )
    await manager.get_token()
    clock.now += 1800 - 59
    assert (await manager.get_token()).value == "one"
    assert emulator.oauth_requests == 1
    await manager.aclose()


async def test_tokens_that_live_shortly_are_not_renewed_by_every_call(emulator: Emulator, clock: Clock) -> None:
    emulator.reply(OAUTH, token_reply("one", clock.now + 50), token_reply("two", clock.now + 60))
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock)
    assert [(await manager.get_token()).value for _ in range(3)] == ["one", "one", "one"]
    clock.now += 10
    assert [(await manager.get_token()).value for _ in range(3)] == ["two", "two", "two"]
    assert emulator.oauth_requests == 2
    await manager.aclose()


async def test_a_failed_early_renewal_keeps_the_old_token_and_pauses(
    emulator: Emulator, clock: Clock, delays: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.reply(OAUTH, token_reply("one", clock.now + 1800), Reply(500), Reply(500), Reply(500))
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock)
    await manager.get_token()
    clock.now += 1800 - 50
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        assert (await manager.get_token()).value == "one"
    assert "could not be renewed early, the old one is used on: 500" in caplog.text
    assert emulator.oauth_requests == 4
    clock.now += 9
    assert (await manager.get_token()).value == "one"
    assert emulator.oauth_requests == 4
    clock.now += 1
    assert (await manager.get_token()).value != "one"
    assert emulator.oauth_requests == 5
    await manager.aclose()


class LateStore(MemoryTokenStore):
    """Lets another caller be faster while this one takes the lock."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Callable[[], Awaitable[None]]] = []

    def alock(self, name: str) -> Any:
        lock, others = super().alock(name), self.others

        class Late:
            async def acquire(self, *, wait: bool = True) -> bool:
                while others:
                    await others.pop()()
                return await lock.acquire(wait=wait)

            def release(self) -> None:
                lock.release()

        return Late()


async def test_a_valid_token_is_used_on_though_another_caller_just_failed_to_renew_it(
    emulator: Emulator, clock: Clock, delays: list[float]
) -> None:
    store = LateStore()
    emulator.reply(OAUTH, token_reply("one", clock.now + 1800), *[Reply(500)] * 3)
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=store)
    await manager.get_token()
    clock.now += 1800 - 50

    async def other_caller() -> None:
        assert (await manager.get_token()).value == "one"

    store.others.append(other_caller)
    assert (await manager.get_token()).value == "one"
    await manager.aclose()


async def test_a_failed_cold_renewal_is_the_answer_of_all_who_waited(
    emulator: Emulator, clock: Clock, delays: list[float]
) -> None:
    store = LateStore()
    emulator.reply(OAUTH, Reply(500), times=3)
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=store)

    async def other_caller() -> None:
        with pytest.raises(InternalServerError):
            await manager.get_token()

    store.others.append(other_caller)
    with pytest.raises(InternalServerError) as caught:
        await manager.get_token()
    assert emulator.oauth_requests == 3
    assert caught.value.__context__ is None
    clock.now += 1
    assert (await manager.get_token()).value  # whoever comes later asks again
    assert emulator.oauth_requests == 4
    await manager.aclose()


async def test_a_token_that_another_caller_has_just_renewed_is_taken(emulator: Emulator, clock: Clock) -> None:
    store = LateStore()
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, token_store=store)

    async def other_caller() -> None:
        await manager.get_token()

    store.others.append(other_caller)
    await manager.get_token()
    assert emulator.oauth_requests == 1
    await manager.aclose()


# ---- refusals ----


async def test_only_the_token_that_failed_is_dropped(emulator: Emulator) -> None:
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url)
    old = await manager.get_token()
    await manager.invalidate(old)
    new = await manager.get_token()
    await manager.invalidate(old)
    assert await manager.get_token() == new != old
    assert emulator.oauth_requests == 2
    await manager.aclose()


async def test_a_ready_token_comes_first_and_is_renewed_once_it_is_refused(
    connect: Connect, emulator: Emulator
) -> None:
    ready = emulator.issue_token()
    client = connect(emulator, access_token=ready)
    await ask(client)
    assert emulator.oauth_requests == 0
    emulator.revoke_tokens()
    await ask(client)
    await ask(client)
    assert emulator.oauth_requests == 1
    chat = emulator.requests_to(CHAT)
    assert [request.headers["authorization"] == f"Bearer {ready}" for request in chat] == [True, True, False, False]


async def test_a_ready_token_that_has_ended_is_not_sent(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, access_token=AccessToken("old", expires_at=1.0))
    await ask(client)
    assert [request.path for request in emulator.requests] == [OAUTH, CHAT]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(json={"access_token": ""}),
        Reply(json={"token": "x"}),
        Reply(json={"access_token": "x", "expires_at": "soon"}),
        Reply(body="<html>"),
        Reply(body=""),
    ],
)
async def test_an_answer_that_holds_no_token(client: AsyncClient, emulator: Emulator, reply: Reply) -> None:
    emulator.reply(OAUTH, reply)
    with pytest.raises(APIResponseValidationError, match="the answer is no TokenAnswer") as caught:
        await ask(client)
    assert (caught.value.body, caught.value.__context__) == (None, None)


async def test_an_endpoint_that_cannot_be_reached(
    connect: Connect, emulator: Emulator, delays: list[float], refusing_port: int
) -> None:
    client = connect(emulator, auth_url=f"http://127.0.0.1:{refusing_port}/oauth")
    with pytest.raises(APIConnectionError, match="could not connect"):
        await ask(client)
    assert len(delays) == 2
