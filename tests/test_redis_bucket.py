"""How a process keeps its part of a fleet's limit: no Redis, and every step in the order that a test wants."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import redis

import gigachat_sdk._redis_bucket as bucket_module
import gigachat_sdk._redis_keeper as keeper_module
import gigachat_sdk._redis_limiter as limiter_module
from gigachat_sdk import RedisLimiter
from gigachat_sdk._concurrency import Signal
from gigachat_sdk._redis import OutageError, RefusedError, SharedRedis
from gigachat_sdk._redis_bucket import FAR, HEARTBEAT, NEAR, Bucket, RedisSlot, Settings, Waiter
from gigachat_sdk._redis_keeper import RETRY, Keeper
from gigachat_sdk._redis_tick import Answer

ANSWER = Answer(False, 0, 0, False, 2, 0, "1", frozenset())
PROCESS = "0123456789abcdef"


class Nothing:
    def execute_command(self, *args: Any, **options: Any) -> Any:
        raise ConnectionRefusedError("nobody is there")


class Gone(Signal):
    """Of a task whose event loop is gone."""

    def set(self) -> bool:
        return False


@pytest.fixture
def bucket() -> Bucket:
    redis = SharedRedis(Nothing(), "nowhere", is_own=False)
    settings = Settings(redis, "{a}:", {"*": 2}, {"*": 5}, lease=30, on_outage="fail", is_adaptive=True)
    return Bucket(settings, "*", PROCESS, lambda: None)


def enter(bucket: Bucket, number: int = 1) -> list[Waiter]:
    waiters = [Waiter(bucket, Signal()) for _ in range(number)]
    bucket.arrivals.extend(waiters)
    return waiters


def grant(bucket: Bucket, *waiters: Waiter, now: float = 0.0, **answer: Any) -> None:
    mine = frozenset(waiter.ticket for waiter in waiters)
    bucket.apply(bucket.tick(now), ANSWER._replace(mine=mine, slot_number=7, **answer), now)


def test_what_is_told_first_again_and_later(bucket: Bucket) -> None:
    assert bucket.local_limit == 2
    one, two, three = enter(bucket, 3)
    bucket.take_in(0.0)
    first = bucket.tick(0.0)
    assert first.whole
    assert first.waits
    assert first.line == [(one.ticket, 0), (two.ticket, 0), (three.ticket, 0)]
    assert one.ticket.startswith(f"{PROCESS}:")
    assert first == bucket.tick(0.0)  # until it is answered
    assert json.loads(first.arguments()[0])["lease"] == 30_000
    bucket.apply(first, ANSWER._replace(first=100, mine=frozenset([one.ticket]), slot_number=7), 0.0)
    assert bucket.held == {one.ticket}
    assert (two.number, three.number) == (101, 102)
    (four,) = enter(bucket)
    bucket.take_in(0.1)
    assert bucket.tick(0.1).line == [(four.ticket, 0)]
    assert bucket.tick(0.1).held == []
    assert bucket.tick(HEARTBEAT).held == [one.ticket]
    assert bucket.tick(10.0).line == [(two.ticket, 101), (three.ticket, 102), (four.ticket, 0)]


def test_when_it_asks_again(bucket: Bucket) -> None:
    waiters = enter(bucket, 3)
    bucket.take_in(50.0)
    assert bucket.next_tick == 50.0
    for now, near, pause in [(50.0, False, FAR), (50.0, True, NEAR), (50.3, True, 0.03), (60.0, True, FAR)]:
        grant(bucket, now=now, is_near=near)
        assert bucket.next_tick == pytest.approx(now + pause)
    grant(bucket, waiters[0], now=60.0, is_near=True)
    assert bucket.next_tick == pytest.approx(60.0 + NEAR)
    for waiter in waiters[1:]:
        waiter.leave()
    bucket.take_in(60.0)
    grant(bucket, waiters[0], now=70.0)
    assert bucket.next_tick == pytest.approx(70.0 + HEARTBEAT)


def test_a_process_that_was_forgotten_tells_all_once_more(bucket: Bucket) -> None:
    (waiter,) = enter(bucket)
    bucket.take_in(0.0)
    grant(bucket, first=5)
    assert waiter.number == 5
    assert not bucket.tick(1.0).whole
    grant(bucket, now=1.0, is_forgotten=True)
    assert bucket.tick(1.0).line == [(waiter.ticket, 5)]


def test_what_belongs_to_a_loop_that_was_closed_is_given_back_at_the_next_heartbeat(bucket: Bucket) -> None:
    closed, still = asyncio.new_event_loop(), asyncio.new_event_loop()
    held, kept, waiting, patient = (Waiter(bucket, Signal(), weakref.ref(loop)) for loop in (closed, still) * 2)
    (thread,) = enter(bucket)
    bucket.arrivals.extend([held, kept, waiting, patient])
    bucket.take_in(50.0)
    grant(bucket, held, kept, thread, now=50.0)
    slot = held.leave()
    assert isinstance(slot, RedisSlot)
    closed.close()
    bucket.take_in(50.0 + HEARTBEAT / 2)
    assert (bucket.in_use, bucket.waiting, bucket.gone) == (3, 2, [])
    bucket.take_in(50.0 + HEARTBEAT)
    assert bucket.held == {kept.ticket, thread.ticket}
    assert list(bucket.waiters) == [patient.ticket]
    assert sorted(bucket.gone) == sorted([held.ticket, waiting.ticket])
    assert bucket.next_tick == 50.0 + HEARTBEAT
    slot.release()  # late, as whoever had it is collected
    assert (bucket.in_use, bucket.waiting) == (2, 1)
    bucket.take_in(50.0 + 2 * HEARTBEAT)
    assert bucket.held == {kept.ticket, thread.ticket}
    still.close()


def test_whoever_left_before_his_slot_came_gives_it_back(bucket: Bucket) -> None:
    (waiter,) = enter(bucket)
    bucket.take_in(0.0)
    assert waiter.leave() is None
    grant(bucket, waiter)
    assert bucket.held == {waiter.ticket}
    bucket.take_in(0.0)
    assert bucket.held == set()
    assert bucket.gone == [waiter.ticket]
    assert waiter.leave() is None


def test_whoever_left_after_his_slot_came_has_it(bucket: Bucket) -> None:
    (waiter,) = enter(bucket)
    bucket.take_in(0.0)
    grant(bucket, waiter)
    slot = waiter.leave()
    assert isinstance(slot, RedisSlot)
    slot.report(200)
    slot.report(429)
    slot.report(500)
    slot.release()
    slot.release()
    bucket.take_in(0.0)
    tick = bucket.tick(0.0)
    assert (tick.gone, tick.succeeded, tick.refused) == ([waiter.ticket], 1, [7])


@pytest.mark.parametrize("outcome", ["slot", "outage"])
def test_whoever_cannot_be_woken_gets_nothing(bucket: Bucket, outcome: str) -> None:
    waiter = Waiter(bucket, Gone())
    given = OutageError("away") if outcome == "outage" else RedisSlot(bucket, "ticket", 1, has_waited=True)
    waiter.settle(given)
    assert list(bucket.released) == ([] if outcome == "outage" else ["ticket"])
    assert waiter.take() is None
    del given  # until here, as a slot that is dropped goes back anyway


def test_a_slot_that_nobody_here_knows_goes_back(bucket: Bucket) -> None:
    enter(bucket)
    bucket.take_in(0.0)
    bucket.apply(bucket.tick(0.0), ANSWER._replace(mine=frozenset([f"{PROCESS}:99"])), 0.0)
    assert bucket.tick(0.0).gone == [f"{PROCESS}:99"]
    assert bucket.next_tick == 0.0


class Scripted:
    """A Redis that answers what a test says, by limit."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.asked: list[str] = []
        self.wholes: list[bool] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        name, told = args[3].split(":")[2], json.loads(args[7])
        self.asked.append(name)
        if name in self.errors and (told["whole"] or name not in self.only_whole):
            raise self.errors[name]
        self.wholes.append(told["whole"])
        return [0, 1, 0, 0, 2, 0, b"1", [], 0, 0]

    only_whole: tuple[str, ...] = ()


AWAY = redis.ConnectionError("away")
WRONG = redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


def keeper_of(scripted: Scripted, on_outage: Any = "fail") -> Keeper:
    limits = {"A": 2, "B": 2}
    settings = Settings(
        SharedRedis(scripted, "nowhere", is_own=False), "{a}:", limits, limits, 30, on_outage, is_adaptive=False
    )
    return Keeper(settings)


def step(keeper: Keeper, now: float) -> float:
    """Do what the keeper's thread does once, without starting another."""
    for bucket in keeper.buckets.values():
        bucket.take_in(now)
    return min(keeper._pause(), keeper._manage_without(now))


@pytest.fixture
def no_prober(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeper, "_probe", lambda self: None)


@pytest.mark.usefixtures("no_prober")
def test_when_redis_is_back_all_is_told_at_once(scripted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    keeper = keeper_of(scripted)
    scripted.errors = {"A": AWAY, "B": AWAY}
    enter(keeper.buckets["A"])
    assert step(keeper, 1.0) == RETRY
    assert scripted.asked == ["A"]  # B is away as well
    scripted.errors = {}
    keeper._try_again()
    assert scripted.asked == ["A", "A", "B"]
    step(keeper, 2.0)
    assert scripted.wholes == [False, False, True, True]
    assert caplog.messages == ["Redis at nowhere can be used again"]
    assert keeper._outage is None


@pytest.mark.usefixtures("no_prober")
@pytest.mark.parametrize("only_whole", [(), ("A",)])
def test_what_is_refused_for_one_limit_stops_no_other_one_and_is_tried_seldom(
    scripted: Scripted, only_whole: tuple[str, ...], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it refused whenever it is asked, or in a whole tick only, so that it seems to be back each time."""
    caplog.set_level(logging.INFO)
    now = 1000.0
    for module in (keeper_module, bucket_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    keeper, scripted.only_whole = keeper_of(scripted), only_whole
    one, other = keeper.buckets.values()
    scripted.errors = {"A": WRONG}
    [waiter], [fine] = enter(one), enter(other)
    pauses = [step(keeper, now) for _ in range(3)]
    assert all(0 < pause <= RETRY for pause in pauses)
    assert isinstance(waiter.take(), RefusedError)
    assert fine.take() is None
    began = one.began
    assert scripted.asked == ["A", "B"]
    for _ in range(3):
        now += RETRY
        keeper._try_again()
        step(keeper, now)
        step(keeper, now)
    assert scripted.asked.count("A") == (7 if only_whole else 4)
    assert (one.began, other.outage) == (began, None)
    assert caplog.messages == []
    scripted.errors = {}
    keeper._try_again()
    step(keeper, now)
    assert caplog.messages == ["Redis at nowhere can be used again"]


@pytest.mark.usefixtures("no_prober")
def test_redis_that_goes_away_under_a_limit_that_it_refused(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    keeper = keeper_of(scripted, "local")
    scripted.errors = {"A": WRONG}
    enter(keeper.buckets["A"])
    step(keeper, time.monotonic())
    scripted.errors = {"A": AWAY, "B": AWAY}
    enter(keeper.buckets["B"])
    step(keeper, time.monotonic())
    scripted.asked.clear()
    keeper._try_again()
    assert scripted.asked == ["A"]  # which may take a second
    scripted.errors = {"A": WRONG}
    for _ in range(2):
        keeper._try_again()
        step(keeper, time.monotonic())
    assert [message.split(" (")[0] for message in caplog.messages] == [
        "Redis at nowhere cannot be used",
        "Redis at nowhere can be used again",
    ]
    assert isinstance(keeper._outage, RefusedError)


@pytest.mark.usefixtures("no_prober")
def test_whoever_waits_for_a_slot_of_the_process_has_waited(scripted: Scripted) -> None:
    keeper = keeper_of(scripted, "local")
    bucket = keeper.buckets["A"]
    scripted.errors = {"A": AWAY}
    waiters = enter(bucket, 3)
    step(keeper, time.monotonic())
    slots = [waiter.take() for waiter in waiters[:2]]
    slots.pop().release()
    step(keeper, time.monotonic())
    slots.append(waiters[2].take())
    assert [slot.has_waited for slot in slots] == [False, True]


def test_slots_that_were_just_given_back_are_not_held(bucket: Bucket) -> None:
    waiters = enter(bucket, 2)
    bucket.take_in(0.0)
    grant(bucket, *waiters)
    slots = [waiter.take() for waiter in waiters]
    assert bucket.in_use == 2
    slots.pop().release()
    assert bucket.in_use == 1
    bucket.take_in(0.0)
    assert bucket.in_use == 1
    assert RedisLimiter("redis://127.0.0.1:1", 2).held == 0


@pytest.mark.parametrize("has_come", [True, False])
def test_an_interrupt_leaves_nothing_behind(has_come: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Signal):
        def wait(self, seconds: float | None) -> bool:
            assert seconds == 20
            if has_come:
                waiter.settle(RedisSlot(waiter.bucket, waiter.ticket, 1, has_waited=True))
            raise KeyboardInterrupt

    limiter = RedisLimiter("redis://127.0.0.1:1", 1, timeout=20)
    bucket = limiter._keeper.buckets["*"]
    waiter = Waiter(bucket, Signal())
    monkeypatch.setattr(limiter_module, "Signal", Interrupted)
    monkeypatch.setattr(limiter, "_enter", lambda bucket, signal: waiter)
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert (list(bucket.released), list(bucket.leaving)) == (([waiter.ticket], []) if has_come else ([], [waiter]))
