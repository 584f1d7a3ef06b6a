"""Whole fleets of processes against a real Redis: the service never sees one request too many, whatever happens."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis_server import PASSWORD, RedisServer

from gigachat_sdk import RedisLimiter
from gigachat_sdk.testing import Emulator, Fault

pytestmark = pytest.mark.redis
WORKER = Path(__file__).with_name("worker.py")
LATENCY = Fault("latency", path="/v1/chat/completions", seconds=0.015)
LIMIT = 5
LEASE = 6  # seconds; a worker that stands still for longer would lose its slots, and be right to


def answer(request: dict[str, Any]) -> str:
    return f"{request['messages'][-1]['content']} is done"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(faults=[LATENCY]) as running:
        running.answer(answer)
        yield running


class Fleet:
    """Workers that share one account, and what they have written."""

    def __init__(self, server: RedisServer, emulator: Emulator, folder: Path, *, threads: int, **limiter: Any) -> None:
        self.results = folder / "results.jsonl"
        self.results.touch()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.given: dict[str, Any] = {
            "url": server.url,
            "results": str(self.results),
            "threads": threads,
            "limiter": {"n": LIMIT, "namespace": folder.name, **limiter},
            "client": {
                "base_url": emulator.base_url,
                "auth_url": emulator.auth_url,
                "credentials": emulator.credentials,
            },
        }

    def start(self, jobs: list[int]) -> None:
        arguments = json.dumps({**self.given, "jobs": jobs})
        self.workers.append(subprocess.Popen([sys.executable, str(WORKER), arguments]))

    def start_all(self, number: int, jobs: int) -> None:
        for first in range(number):
            self.start(list(range(first, jobs, number)))

    def join(self) -> None:
        for worker in self.workers:
            assert worker.wait(timeout=120) == 0

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.results.read_bytes().rpartition(b"\n")[0].splitlines()]

    def done(self) -> Counter[int]:
        """Return how often each job was done; its text is right."""
        texts = [(line["job"], line["text"]) for line in self.lines() if "text" in line]
        assert {job for job, text in texts if text != f"Job {job} is done"} == set()
        return Counter(job for job, _ in texts)

    def refusals(self) -> list[str]:
        return [line["refused"] for line in self.lines() if "refused" in line]


@pytest.fixture
def make_fleet(emulator: Emulator, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def make(server: RedisServer, **options: Any) -> Fleet:
        fleets.append(Fleet(server, emulator, tmp_path, **options))
        return fleets[-1]

    yield make
    for fleet in fleets:
        for worker in fleet.workers:
            worker.kill()
            worker.wait()


def wait_until(is_so: Callable[[], bool]) -> None:
    gives_up = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < gives_up, "it did not come to pass"
        time.sleep(0.01)


def test_eight_processes_with_eight_threads_each(
    redis_server: RedisServer, emulator: Emulator, make_fleet: Callable[..., Fleet]
) -> None:
    fleet = make_fleet(redis_server, threads=8)
    fleet.start_all(8, 2000)
    fleet.join()
    assert fleet.done() == Counter(range(2000))
    assert emulator.max_in_flight == LIMIT
    assert emulator.oauth_requests == 1


@pytest.mark.parametrize(
    ("processes", "jobs", "kills"), [(4, 600, 6), pytest.param(8, 2000, 16, marks=pytest.mark.soak)]
)
def test_a_worker_is_killed_every_second(
    processes: int,
    jobs: int,
    kills: int,
    redis_server: RedisServer,
    emulator: Emulator,
    make_fleet: Callable[..., Fleet],
    tmp_path: Path,
) -> None:
    emulator.inject(Fault("latency", path="/v1/chat/completions", seconds=0.05))
    fleet = make_fleet(redis_server, threads=8, lease=LEASE)
    shares = [list(range(first, jobs, processes)) for first in range(processes)]
    for share in shares:
        fleet.start(share)
    held = f"{{{tmp_path.name}}}:limit:*:held"
    dice = random.Random(5)
    for victim in [*range(processes), *dice.choices(range(processes), k=kills - processes)]:
        begins, target = time.monotonic(), len(fleet.lines()) + 1
        wait_until(lambda target=target: len(fleet.lines()) >= target)
        time.sleep(max(0.0, begins + 1 - time.monotonic()))
        fleet.workers[victim].kill()
        fleet.workers[victim].wait()
        done = fleet.done()
        fleet.start([job for job in shares[victim] if not done[job]])
        fleet.workers[victim] = fleet.workers.pop()
    fleet.join()
    assert set(fleet.done()) == set(range(jobs))
    assert emulator.max_in_flight == LIMIT
    assert emulator.oauth_requests == 1

    # The last of all is killed while it holds every slot.
    emulator.inject(Fault("stalled", path="/v1/chat/completions"))
    fleet.start(list(range(8)))
    wait_until(lambda: redis_server.client.zcard(held) == LIMIT)
    last = fleet.workers.pop()
    last.kill()
    last.wait()
    seconds, microseconds = redis_server.client.time()
    ends = [score for _, score in redis_server.client.zrange(held, 0, -1, withscores=True)]
    assert max(ends) <= seconds * 1_000_000 + microseconds + LEASE * 1_000_000
    limiter = RedisLimiter(redis_server.url, LIMIT, LEASE, namespace=tmp_path.name)
    slots = [limiter.acquire() for _ in range(LIMIT)]
    now = redis_server.client.time()
    assert now[0] * 1_000_000 + now[1] >= max(ends), "they were given out before the lease was over"
    for slot in slots:
        slot.release()


@pytest.mark.parametrize("on_outage", ["fail", "local"])
def test_redis_is_stopped_and_started(
    on_outage: str, emulator: Emulator, make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    processes = 4
    with RedisServer() as server:
        server.settle()
        fleet = make_fleet(server, threads=4, on_outage=on_outage)
        fleet.given["client"]["access_token"] = emulator.issue_token()  # the store's outages are tested elsewhere
        given, may_go_on = count(1), threading.Event()

        def answer_some(request: dict[str, Any]) -> str:
            """Let no worker be ready before the server is stopped, however long that takes."""
            assert next(given) <= 150 or may_go_on.wait(120)
            return answer(request)

        emulator.answer(answer_some)
        fleet.start_all(processes, 800)
        wait_until(lambda: len(fleet.done()) > 100)
        server.stop()
        asked = len(emulator.requests)
        may_go_on.set()
        if on_outage == "fail":
            wait_until(lambda: len(fleet.refusals()) > 50)
            assert len(emulator.requests) <= asked + LIMIT + processes  # what was under way
        else:
            wait_until(lambda: len(emulator.requests) > asked + 100)
            assert emulator.max_in_flight <= LIMIT + processes
        server.start()
        fleet.join()
    assert fleet.done() == Counter(range(800))
    refusals = fleet.refusals()
    if on_outage == "fail":
        assert emulator.max_in_flight == LIMIT
        assert {server.address in refusal for refusal in refusals} == {True}
        assert not any(PASSWORD in refusal for refusal in refusals)
    else:
        assert emulator.max_in_flight <= LIMIT + processes
        assert refusals == []
