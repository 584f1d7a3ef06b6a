"""A token endpoint that fails is left in peace for a while, by all callers together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from noting_store import NotingStore

from gigachat_sdk import (
    APIConnectionError,
    APITimeoutError,
    AsyncOAuthTokenManager,
    AuthenticationError,
    InternalServerError,
    MemoryTokenStore,
    RateLimitError,
)
from gigachat_sdk._token_failures import TokenFailure
from gigachat_sdk.stores import SharesFailures
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types.http import Headers, ResponseInfo

from .conftest import Clock, Connect, Late

pytestmark = pytest.mark.anyio

OAUTH = "/api/v2/oauth"


def manager_of(emulator: Emulator, clock: Clock, **options: Any) -> AsyncOAuthTokenManager:
    given = {"auth_url": emulator.auth_url, "clock": clock, "max_retries": 0, **options}
    return AsyncOAuthTokenManager(given.pop("credentials", emulator.credentials), **given)


async def test_nobody_asks_during_the_pause_which_doubles(emulator: Emulator, clock: Clock) -> None:
    emulator.on(OAUTH, lambda request: Reply.error(500, "x"))
    managers = [manager_of(emulator, clock) for _ in range(3)]
    for number, pause in enumerate((1, 2, 4, 8, 16, 30, 30), start=1):
        with pytest.raises(InternalServerError) as caught:
            await managers[number % 3].get_token()
        assert "asked again" not in str(caught.value)
        clock.now += pause - 0.5
        for manager in managers:
            with pytest.raises(InternalServerError) as caught:
                await manager.get_token()
            told = (
                "the last call for a token got this" if number == 1 else f"the last {number} calls for a token failed"
            )
            assert f"({told}; the token endpoint is asked again in 0.5 s)" in str(caught.value)
            assert caught.value.__context__ is None
        assert emulator.oauth_requests == number
        clock.now += 0.5
    for manager in managers:
        await manager.aclose()


async def test_success_ends_it(emulator: Emulator, clock: Clock) -> None:
    emulator.reply(OAUTH, Reply(500), Reply(500))
    manager = manager_of(emulator, clock)
    for pause in (1, 2):
        with pytest.raises(InternalServerError):
            await manager.get_token()
        clock.now += pause
    token = await manager.get_token()
    await manager.invalidate(token)
    emulator.reply(OAUTH, Reply(500))
    with pytest.raises(InternalServerError):
        await manager.get_token()
    with pytest.raises(InternalServerError, match=r"the last call for a token got this; .* again in 1\.0 s"):
        await manager.get_token()
    await manager.aclose()


async def test_a_token_that_came_from_elsewhere_ends_it_too(emulator: Emulator, clock: Clock) -> None:
    store = MemoryTokenStore()
    emulator.reply(OAUTH, Reply(500), Reply(500))
    manager = manager_of(emulator, clock, token_store=store)
    with pytest.raises(InternalServerError):
        await manager.get_token()
    bought = await manager_of(emulator, clock, token_store=MemoryTokenStore(), max_retries=1).get_token()
    store.set(manager._name, bought)
    assert await manager.get_token() == bought
    await manager.invalidate(bought)
    clock.now += 0.5  # the pause is forgotten with the failure
    assert (await manager.get_token()).value
    await manager.aclose()


@pytest.mark.parametrize(("asked", "pause"), [("0", 1), ("20", 20), ("3600", 60)])
async def test_a_longer_retry_after_is_heeded(emulator: Emulator, clock: Clock, asked: str, pause: float) -> None:
    emulator.reply(OAUTH, Reply.error(429, "busy", headers={"Retry-After": asked}))
    manager = manager_of(emulator, clock)
    with pytest.raises(RateLimitError):
        await manager.get_token()
    clock.now += pause - 0.25
    with pytest.raises(RateLimitError, match=r"again in 0\.2 s") as caught:
        await manager.get_token()
    assert caught.value.retry_after == pytest.approx(0.25)
    clock.now += 0.25
    assert (await manager.get_token()).value
    await manager.aclose()


async def test_an_early_renewal_heeds_it_as_well(emulator: Emulator, clock: Clock) -> None:
    old = {"access_token": "old", "expires_at": clock.now + 1800}
    emulator.reply(OAUTH, Reply(json=old), Reply.error(429, "busy", headers={"Retry-After": "30"}))
    manager = manager_of(emulator, clock)
    await manager.get_token()
    clock.now += 1800 - 55
    assert (await manager.get_token()).value == "old"
    clock.now += 29
    assert (await manager.get_token()).value == "old"
    assert emulator.oauth_requests == 2
    clock.now += 1
    assert (await manager.get_token()).value != "old"
    await manager.aclose()


async def test_a_token_that_ends_during_the_pause_is_not_bought(emulator: Emulator, clock: Clock) -> None:
    old = {"access_token": "old", "expires_at": clock.now + 1800}
    emulator.reply(OAUTH, Reply(json=old), Reply.error(429, "busy", headers={"Retry-After": "30"}))
    manager = manager_of(emulator, clock)
    await manager.get_token()
    clock.now += 1800 - 20
    assert (await manager.get_token()).value == "old"
    clock.now += 20
    with pytest.raises(RateLimitError, match=r"again in 10\.0 s"):
        await manager.get_token()
    clock.now += 10
    assert (await manager.get_token()).value != "old"
    await manager.aclose()


async def test_other_credentials_are_not_concerned(emulator: Emulator, clock: Clock) -> None:
    wrong = manager_of(emulator, clock, credentials="d3Jvbmc6a2V5")
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            await wrong.get_token()
    assert emulator.oauth_requests == 1
    right = manager_of(emulator, clock)
    assert (await right.get_token()).value
    for manager in (wrong, right):
        await manager.aclose()


async def test_an_endpoint_that_cannot_be_reached_is_left_in_peace_too(
    emulator: Emulator, clock: Clock, refusing_port: int
) -> None:
    manager = manager_of(emulator, clock, auth_url=f"http://127.0.0.1:{refusing_port}/oauth")
    for words in ("could not connect", "could not connect.*asked again in 1"):
        with pytest.raises(APIConnectionError, match=words):
            await manager.get_token()
    await manager.aclose()


async def test_the_failure_of_another_process_is_heeded(emulator: Emulator, clock: Clock) -> None:
    """Two stores with one note stand for two processes."""
    store = NotingStore()
    assert isinstance(store, SharesFailures)
    manager = manager_of(emulator, clock, token_store=store)
    store.noted = TokenFailure(3, clock.now - 1, 4.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))
    with pytest.raises(RateLimitError, match=r"the last 3 calls for a token failed; .* again in 3\.0 s"):
        await manager.get_token()
    clock.now += 3
    emulator.reply(OAUTH, Reply(500))
    with pytest.raises(InternalServerError):
        await manager.get_token()
    assert (store.noted.count, store.noted.pause) == (4, 8)
    assert emulator.oauth_requests == 1
    await manager.aclose()


async def test_an_early_renewal_heeds_the_failure_of_another_process(emulator: Emulator, clock: Clock) -> None:
    store = NotingStore()
    emulator.reply(OAUTH, Reply(json={"access_token": "old", "expires_at": clock.now + 1800}))
    manager = manager_of(emulator, clock, token_store=store)
    await manager.get_token()
    clock.now += 1800 - 50
    store.noted = TokenFailure(1, clock.now - 1, 1.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))
    for _ in range(2):
        assert (await manager.get_token()).value == "old"
    clock.now += 9
    assert (await manager.get_token()).value != "old"
    assert emulator.oauth_requests == 2
    await manager.aclose()


TROUBLES: dict[str, tuple[type[APIConnectionError], Callable[[int], dict[str, Any]]]] = {
    "a proxy that is down": (APIConnectionError, lambda port: {"proxy": f"http://127.0.0.1:{port}"}),
    "a timeout that is too short": (APITimeoutError, lambda port: {"timeout": 0.02}),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_of_ones_own_pauses_ones_own_callers_alone(
    emulator: Emulator, clock: Clock, refusing_port: int, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = TROUBLES[trouble]
    store = NotingStore()
    troubled = manager_of(emulator, clock, token_store=store, **options(refusing_port))
    request, asked = troubled._transport.request, list[Any]()

    async def counted(*args: Any, **keywords: Any) -> Any:
        asked.append(args)
        return await request(*args, **keywords)

    monkeypatch.setattr(troubled._transport, "request", counted)  # what is given up may never arrive
    late = Late(emulator, OAUTH)
    for is_paused in (False, True):
        with pytest.raises(kind) as caught:
            await troubled.get_token()
        told = "(the last call for a token got this; the token endpoint is asked again in 1.0 s)"
        assert (told in str(caught.value)) is is_paused
        assert len(asked) == 1  # who is paused asks nobody
    assert store.noted is None
    emulator.on(OAUTH, None)
    other = manager_of(emulator, clock, token_store=store)
    token = await other.get_token()
    assert await troubled.get_token() == token
    await other.invalidate(token)
    emulator.on(OAUTH, late)
    with pytest.raises(kind) as caught:  # the other one's success has ended the pause
        await troubled.get_token()
    assert "asked again" not in str(caught.value)
    for manager in (troubled, other):
        await manager.aclose()


async def test_trouble_of_ones_own_lets_others_renew_a_token_early(
    emulator: Emulator, clock: Clock, refusing_port: int
) -> None:
    store = MemoryTokenStore()
    emulator.reply(OAUTH, Reply(json={"access_token": "old", "expires_at": clock.now + 1800}))
    troubled = manager_of(emulator, clock, token_store=store, proxy=f"http://127.0.0.1:{refusing_port}")
    other = manager_of(emulator, clock, token_store=store)
    await other.get_token()
    clock.now += 1800 - 50
    for _ in range(2):
        assert (await troubled.get_token()).value == "old"
    assert (await other.get_token()).value != "old"
    for manager in (troubled, other):
        await manager.aclose()


async def test_a_callers_own_deadline_is_no_failure(emulator: Emulator, connect: Connect) -> None:
    emulator.reply(OAUTH, Reply(json={"access_token": "late"}, delay=60))
    client = connect(emulator, max_retries=0)
    with pytest.raises(APITimeoutError):
        await client.with_options(deadline=1).models.list()
    assert await client.models.list()


async def test_a_client_that_is_closed_while_it_buys_is_no_failure(emulator: Emulator, clock: Clock) -> None:
    closing, other = manager_of(emulator, clock), manager_of(emulator, clock)

    async def interrupted(*args: Any, **options: Any) -> Any:
        await closing.aclose()
        raise APIConnectionError("the client was closed during the call", sent=True)

    closing._transport.request = interrupted
    with pytest.raises(APIConnectionError, match="the client was closed"):
        await closing.get_token()
    assert (await other.get_token()).value
    await other.aclose()


async def test_a_caller_that_gives_up_is_no_failure(emulator: Emulator, clock: Clock) -> None:
    emulator.reply(OAUTH, Reply(500))
    manager = manager_of(emulator, clock)
    real = manager._transport.request

    async def interrupted(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    manager._transport.request = interrupted
    with pytest.raises(KeyboardInterrupt):
        await manager.get_token()
    manager._transport.request = real
    with pytest.raises(InternalServerError) as caught:
        await manager.get_token()
    assert "asked again" not in str(caught.value)
    assert emulator.oauth_requests == 1
    await manager.aclose()
