"""Whoever renews a token that is valid yet goes on with it, whatever becomes of the renewal."""

from __future__ import annotations

from typing import Any

import pytest
from slow_store import SlowStore

from gigachat_sdk import APITimeoutError, AsyncClient, AsyncOAuthTokenManager
from gigachat_sdk._async import auth
from gigachat_sdk._constants import REFRESH_PAUSE
from gigachat_sdk._deadline import Deadline, current_deadline, running
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Clock, Late

pytestmark = pytest.mark.anyio

OAUTH = "/api/v2/oauth"


async def ageing(emulator: Emulator, clock: Clock, value: str = "old", **options: Any) -> AsyncOAuthTokenManager:
    """Make a manager with a token that ends in 50 s."""
    emulator.reply(OAUTH, Reply(json={"access_token": value, "expires_at": clock.now + 1800}))
    manager = AsyncOAuthTokenManager(
        emulator.credentials, auth_url=emulator.auth_url, clock=clock, max_retries=0, **options
    )
    assert (await manager.get_token()).value == value
    clock.now += 1800 - 50
    return manager


@pytest.mark.parametrize("seconds", [40.0, None])
async def test_an_endpoint_that_hangs_takes_a_part_of_the_time(
    emulator: Emulator, clock: Clock, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "EARLY_REFRESH_TIMEOUT", 100 if seconds else 20)
    manager = await ageing(emulator, clock)
    request, parts = manager._transport.request, list[float]()

    async def hastened(*args: Any, **options: Any) -> Any:
        part = current_deadline()
        assert part is not None
        parts.append(part.seconds)
        part.ends_at = Deadline(0.05).ends_at  # nobody wants to wait for so long
        return await request(*args, **options)

    manager._transport.request = hastened
    Late(emulator, OAUTH)
    deadline = None if seconds is None else Deadline(seconds)
    with running(deadline):
        assert (await manager.get_token()).value == "old"
    assert deadline is None or deadline.remaining > 0
    assert (await manager.get_token()).value == "old"
    (part,) = parts  # who comes next does not wait for the same endpoint
    assert 0 < part <= 20
    manager._transport.request = request
    emulator.on(OAUTH, None)
    clock.now += REFRESH_PAUSE
    assert (await manager.get_token()).value not in ("old", "late")
    await manager.aclose()


async def test_a_renewal_that_is_given_up_is_not_the_next_callers(emulator: Emulator, clock: Clock) -> None:
    manager = await ageing(emulator, clock)
    real = manager._transport.request

    async def interrupted(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    manager._transport.request = interrupted
    with pytest.raises(KeyboardInterrupt):
        await manager.get_token()
    manager._transport.request = real
    assert (await manager.get_token()).value == "old"
    assert emulator.oauth_requests == 1
    await manager.aclose()


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_lock_that_does_not_answer_is_left_alone_for_a_while(
    emulator: Emulator, clock: Clock, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_SLOW", -1.0)  # nothing is quick enough
    store = SlowStore()
    manager = await ageing(emulator, clock, token_store=store)
    store.is_slow, store.is_told = True, is_told
    for _ in range(3):
        assert (await manager.get_token()).value == "old"
    assert store.asked == 1
    await manager.aclose()


async def test_a_token_that_ends_during_its_early_renewal_is_bought_as_a_new_one(
    emulator: Emulator, clock: Clock
) -> None:
    store = SlowStore()
    manager = await ageing(emulator, clock, token_store=store)

    def time_passes() -> None:
        clock.now += 60
        store.is_slow = False

    store.is_slow, store.is_told, store.on_ask = True, True, time_passes
    assert (await manager.get_token()).value != "old"
    assert emulator.oauth_requests == 2
    await manager.aclose()


async def test_who_has_no_time_left_renews_nothing(emulator: Emulator, clock: Clock) -> None:
    manager = await ageing(emulator, clock)
    with running(Deadline(-1.0)):
        assert (await manager.get_token()).value == "old"
    assert emulator.oauth_requests == 1
    await manager.aclose()


async def test_a_call_with_a_deadline_is_sent_with_the_old_token(emulator: Emulator, clock: Clock) -> None:
    manager = await ageing(emulator, clock, value=emulator.issue_token())
    emulator.reply(OAUTH, *[Reply(json={"access_token": "late"}, delay=60)] * 2)
    client = AsyncClient(base_url=emulator.base_url, token_manager=manager)
    assert (await client.models.list(deadline=4)).data
    clock.now += 60
    with pytest.raises(APITimeoutError):  # who has none waits
        await client.models.list(deadline=0.1)
    assert len(emulator.requests_to("/v1/models")) == 1
    await client.aclose()
    await manager.aclose()
