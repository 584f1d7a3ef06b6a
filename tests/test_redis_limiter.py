"""A limit that several processes keep together: two limiters on one Redis stand for them."""

from __future__ import annotations

import gc
import threading
from itertools import count
from typing import Any

import anyio
import pytest
from redis.crc import key_slot
from redis_account import Account, in_thread, leave_once_answered, until
from redis_server import PASSWORD, RedisServer

import gigachat_sdk._redis_keeper as keeper_module
from gigachat_sdk import ChatCompletion, ConfigurationError, LimiterTimeoutError, RedisLimiter
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._quota import Window
from gigachat_sdk._redis import Script
from gigachat_sdk._redis_tick import ALIVE, TICK
from gigachat_sdk.limits import ConcurrencyLimiter, Slot
from gigachat_sdk.testing import Emulator, Fault

pytestmark = pytest.mark.redis
numbers = count()


@pytest.fixture
def account(redis_server: RedisServer) -> Account:
    return Account(redis_server, f"limiter-{next(numbers)}")


def test_a_limit_for_all_of_them(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, impatient = account.limiter(2), account.limiter(2), account.limiter(2, timeout=1)
    assert isinstance(one, ConcurrencyLimiter)
    first, second = one.acquire(), other.acquire()
    assert isinstance(first, Slot)
    assert not first.has_waited
    with monkeypatch.context() as patch:
        leave_once_answered(patch, impatient)
        with pytest.raises(
            LimiterTimeoutError, match=r"^no slot became free in 1 s: 2 of 2 are held in all processes; a stream"
        ):
            impatient.acquire()
    assert impatient.waiting == 0
    first.release()
    first.release()
    until(lambda: (account.held(), account.waiting()) == (1, 0))
    with other.acquire() as third:
        assert not third.has_waited
        assert (one.held, other.held) == (0, 2)
    second.release()
    until(lambda: account.held() == account.waiting() == 0)
    assert repr(one) == f"RedisLimiter('{account.server.address}', *: 2; 0 held, 0 waiting)"
    assert PASSWORD not in repr(one)


@pytest.mark.parametrize(
    ("limit", "others", "told"),
    [
        (1, 1, "1 of 1 is held in all processes, and 1 other request waits in this one; a stream"),
        (2, 2, "2 of 2 are held in all processes, and 2 other requests wait in this one; a stream"),
    ],
)
@pytest.mark.anyio
async def test_who_else_waits(account: Account, limit: int, others: int, told: str) -> None:
    limiter = account.limiter(limit)
    slots = [await limiter.aacquire() for _ in range(limit)]
    async with anyio.create_task_group() as group:
        for _ in range(others):
            group.start_soon(limiter.aacquire)
        await anyio.to_thread.run_sync(until, lambda: account.waiting() == others)
        limiter._timeout = 1.0
        with pytest.raises(LimiterTimeoutError) as caught:
            await limiter.aacquire()
        assert str(caught.value).startswith(f"no slot became free in 1 s: {told}")
        assert limiter.waiting == others
        group.cancel_scope.cancel()
    for slot in slots:
        slot.release()


@pytest.mark.anyio
async def test_a_slot_is_given_back_at_the_end_of_its_block(account: Account) -> None:
    limiter = account.limiter()
    for _ in range(2):
        async with await limiter.aacquire() as slot:
            assert isinstance(slot, Slot)
            assert limiter.held == 1
    until(lambda: limiter.held == 0)


def test_different_limits_in_one_namespace_are_told_once(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    one, other = account.limiter({"*": 2, "GigaChat": 1}), account.limiter({"*": 3, "GigaChat": 2})
    for _ in range(3):
        for limiter in (one, other):
            for bucket in limiter._keeper.buckets.values():
                bucket.tell_all()
            limiter.acquire().release()
            limiter.acquire("GigaChat").release()
            until(lambda limiter=limiter: limiter.held == 0 and not limiter._keeper.buckets["GigaChat"].is_busy)
            until(lambda limiter=limiter: not limiter._keeper.buckets["*"].is_busy)
    start, end = "limiters of one namespace have different limits for ", " in another process; each goes by its own"
    assert sorted(caplog.messages) == [
        f"{start}GigaChat: 1 here, 2{end}",
        f"{start}GigaChat: 2 here, 1{end}",
        f"{start}all models: 2 here, 3{end}",
        f"{start}all models: 3 here, 2{end}",
    ]


def test_a_limit_that_was_another_one_before_is_no_mistake(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    long_ago = account.now() - 11_000_000
    account.redis.hset(account.key("state"), mapping={"limit": 7, "limit_told": long_ago})
    with account.limiter(2).acquire():
        assert account.redis.hget(account.key("state"), "limit") == "2"
    assert not caplog.records


def test_first_come_first_served(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = f"plain(now - {ALIVE * 1e6:.0f})"
    assert alive in TICK.source
    # Nobody shall be taken for dead, and be overtaken, as he stands still.
    monkeypatch.setattr(keeper_module, "TICK", Script(TICK.source.replace(alive, "plain(now - 600000000)")))
    limiters, order = [account.limiter(), account.limiter()], list[int]()
    threads, slot = [], limiters[0].acquire()

    def wait(number: int) -> None:
        with limiters[number % 3 % 2].acquire() as mine:
            assert mine.has_waited
            order.append(number)

    for number in range(12):
        threads.append(in_thread(lambda number=number: wait(number)))
        until(lambda number=number: account.waiting() == number + 1)
    assert limiters[0].waiting + limiters[1].waiting == 12
    slot.release()
    for thread in threads:
        thread.join()
    assert order == list(range(12))


def test_limits_by_model(account: Account) -> None:
    limits = {"GigaChat-2-Max": 1, "GigaChat": 2}
    limiter, impatient = account.limiter(limits), account.limiter(limits, timeout=0.1)
    assert limiter.limits == limits
    slots = [limiter.acquire(model) for model in ("GigaChat-2-Max:2.0.28", "GigaChat", "GigaChat")]
    with pytest.raises(LimiterTimeoutError, match="no slot for GigaChat-2-Max became free"):
        impatient.acquire("GigaChat-2-Max")
    with pytest.raises(LimiterTimeoutError, match="no slot for GigaChat became free"):
        impatient.acquire("GigaChat")
    slots += [limiter.acquire(model) for model in (None, "GigaChat-2-Pro") for _ in range(5)]  # nothing limits them
    slots[-1].report(429)
    assert limiter.held == 3
    assert account.redis.exists(account.key("state")) == 0


@pytest.mark.anyio
async def test_whoever_leaves_takes_no_slot_along(account: Account) -> None:
    limiter = account.limiter()
    slot = await limiter.aacquire()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(limiter.aacquire)
        await anyio.to_thread.run_sync(until, lambda: account.waiting() == 10)
        group.cancel_scope.cancel()
    until(lambda: account.waiting() == 0)
    slot.release()
    with anyio.fail_after(60):
        await limiter.aacquire()
    for _ in range(50):  # while the slot is on its way
        with anyio.move_on_after(0.0004):
            await limiter.aacquire()
    with anyio.fail_after(60):
        slot = await limiter.aacquire()
    until(lambda: (account.held(), account.waiting()) == (1, 0))
    slot.release()


@pytest.mark.anyio
async def test_time_is_up(account: Account) -> None:
    limiter = account.limiter(timeout=0.02)
    patient = account.limiter()
    slot = patient.acquire()
    with pytest.raises(LimiterTimeoutError):
        await limiter.aacquire()
    with running(Deadline(0.01)):
        with pytest.raises(DeadlineError):
            await limiter.aacquire()
        assert (await account.limiter({"GigaChat": 1}).aacquire("GigaChat-2")).has_waited is False
        with pytest.raises(DeadlineError):
            await patient.aacquire()
        with pytest.raises(DeadlineError):
            patient.acquire()
    with running(Deadline(0.03)), pytest.raises(DeadlineError):
        patient.acquire()
    slot.release()
    until(lambda: account.held() == account.waiting() == 0)


def test_a_loop_that_is_gone_takes_no_slot_along(account: Account) -> None:
    import asyncio

    limiter = account.limiter()
    slot = limiter.acquire()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(limiter.aacquire())
    loop.call_soon(loop.stop)
    loop.run_forever()
    until(lambda: account.waiting() == 1)
    loop.close()
    slot.release()
    with limiter.acquire():
        assert account.held() == 1
    with pytest.raises(RuntimeError, match="no running event loop"):  # anyio misses it; it would only be logged
        waiting.get_coro().close()
    until(lambda: limiter.held == limiter.waiting == 0)


@pytest.mark.parametrize("who_waits", ["another process", "a thread", "a new loop"])
def test_a_loop_that_is_closed_around_a_call_keeps_no_slot(account: Account, who_waits: str) -> None:
    import asyncio

    limiter = account.limiter()
    loop, new_loop, got = asyncio.new_event_loop(), asyncio.new_event_loop(), threading.Event()
    slots: list[Any] = [loop.run_until_complete(limiter.aacquire())]

    def wait() -> None:
        mine = account.limiter() if who_waits == "another process" else limiter
        slots.append(new_loop.run_until_complete(mine.aacquire()) if who_waits == "a new loop" else mine.acquire())
        got.set()

    thread = in_thread(wait)
    until(lambda: account.waiting() == 1)
    ticket, ends = account.redis.zrange(account.key("held"), 0, -1, withscores=True)[0]
    until(lambda: account.redis.zscore(account.key("held"), ticket) > ends)
    assert not got.is_set()  # a loop that only stands still is not gone
    loop.close()
    assert got.wait(60)
    slots[0].release()
    until(lambda: not limiter._keeper.buckets["*"].gone)
    assert account.held() == 1
    slots[1].release()
    until(lambda: account.held() == limiter.held == 0)
    thread.join()
    new_loop.close()


def test_a_slot_that_is_dropped_comes_back(account: Account) -> None:
    limiter = account.limiter()
    ring: list[Any] = [limiter.acquire()]
    ring.append(ring)
    del ring
    gc.collect()
    with limiter.acquire():
        assert account.held() == 1


def test_all_keys_are_in_one_slot_of_a_cluster_and_do_not_last(account: Account) -> None:
    limiter = account.limiter({"GigaChat-2-Max": 1, "*": 1}, adaptive=True)
    with limiter.acquire(), limiter.acquire("GigaChat-2-Max") as slot:
        slot.report(200)
        waiter = in_thread(lambda: limiter.acquire().release())
        until(lambda: account.waiting() == 1)
        keys = account.redis.keys(f"{{{account.namespace}}}*")
    waiter.join()
    assert len(keys) >= 5
    assert len({key_slot(key.encode()) for key in keys}) == 1
    for key in keys:
        assert key in {key for bucket in limiter._keeper.buckets.values() for key in bucket.keys}
    for model in limiter.limits:
        assert 0 < account.redis.ttl(account.key("state", model)) <= 24 * 3600


def test_an_adaptive_limit_is_narrowed_and_widened_for_all(account: Account) -> None:
    one, other, window = account.limiter(8, adaptive=True), account.limiter(8, adaptive=True), Window(8)
    slots = [one.acquire() for _ in range(4)] + [other.acquire() for _ in range(4)]
    for slot in slots:
        slot.report(429)  # all of them given out before the first halving, so that it is one
        slot.release()
    window.refused(1, 8)
    until(lambda: account.held() == 0)
    for number in range(60):
        with other.acquire() as slot:
            slot.report(200 if number % 25 else 429)
            if number % 25:
                window.succeeded()
            else:
                window.refused(10 + number, 10 + number)
    until(lambda: account.held() == 0)  # a slot is given back no sooner than its report is told
    with one.acquire():
        width = float(account.redis.hget(account.key("state"), "width"))
        assert width == pytest.approx(window.width, abs=0.01)
        assert one._keeper.buckets["*"].known.places == window.places
    assert window.places == 1


def test_without_adaptive_a_refusal_changes_nothing(account: Account) -> None:
    limiter = account.limiter(2)
    for _ in range(3):
        with limiter.acquire() as slot:
            slot.report(429)
    with limiter.acquire(), limiter.acquire():
        assert account.redis.hget(account.key("state"), "width") is None


@pytest.mark.anyio
async def test_threads_and_tasks_of_several_clients_share_it(account: Account) -> None:
    # Long enough for several to be in flight on a busy machine.
    latency = Fault("latency", path="/v1/chat/completions", seconds=0.05)
    ask: Any = {"messages": [{"role": "user", "content": "Привет!"}]}
    limiters = [account.limiter(3), account.limiter(3)]
    texts: list[Any] = []

    def note(completion: ChatCompletion) -> None:
        texts.append(completion.choices[0].message.content)

    with Emulator(concurrency=3, faults=[latency]) as emulator:
        clients = [emulator.client(limiter=limiter, max_retries=0) for limiter in limiters]
        threads = [
            in_thread(lambda client=client: note(client.chat.completions.create(**ask))) for client in clients * 8
        ]
        async with emulator.async_client(limiter=limiters[0], max_retries=0) as async_client:

            async def work() -> None:
                note(await async_client.chat.completions.create(**ask))

            async with anyio.create_task_group() as group:
                for _ in range(16):
                    group.start_soon(work)
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
        assert emulator.max_in_flight == 3
    assert len(texts) == 32
    assert set(texts) == {texts[0]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n: give a number over 0"),
        ({"n": 1, "local_limit": 0}, "local_limit: give a number over 0"),
        *[({"n": 1, "lease": lease}, "lease: ") for lease in (0.5, 3601, float("nan"), True, "30")],
        ({"n": 1, "timeout": -1}, "timeout: -1 is no time to wait"),
        ({"n": 1, "namespace": ""}, "namespace: "),
        ({"n": 1, "on_outage": "wait"}, "on_outage: "),
    ],
)
def test_wrong_settings(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisLimiter("redis://localhost", **options)
    assert str(caught.value).startswith(message)
