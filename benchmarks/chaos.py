"""Thousands of calls and streams against a service that fails every fifth of them, and an account of how each ended.

    python -m benchmarks.chaos --calls 20000 --seed 7
    python -m benchmarks.chaos --calls 2000 --streams 500 --runner trio --http2

A call must end with the very text that belongs to it, or with an error of the SDK's. A stream must not give a text
twice, nor leave one out without an error. Afterwards nothing is open: no request, no connection. Exits with 1 where
anything else happened.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import httpx

from gigachat_sdk import GigaChatError, LocalLimiter
from gigachat_sdk.testing import Emulator, Fault, FaultProfile

Runner = Literal["threads", "asyncio", "trio"]
RUNNERS: tuple[Runner, ...] = ("threads", "asyncio", "trio")
WORKERS = 32
WORDS = ["один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять"]

# A fifth of all requests; a latency comes beside the others.
MIX = (
    Fault("latency", seconds=0.01, probability=0.2),
    Fault("slow_body", seconds=0.001, chunk_size=7, probability=0.02),
    Fault("status", status=500, probability=0.027),
    Fault("status", status=429, retry_after=0, probability=0.02),
    Fault("status", status=503, html=True, probability=0.01),
    Fault("revoke_token", probability=0.003),
    Fault("reset_before_head", probability=0.02),
    Fault("reset_before_head", how="close", probability=0.01),
    Fault("reset_in_body", probability=0.02),
    Fault("garbage", probability=0.01),
    Fault("truncated_json", probability=0.01),
    Fault("wrong_content_length", probability=0.01),
    Fault("stalled", probability=0.005),
    Fault("reset_between_events", probability=0.01),
    Fault("reset_in_event", after_events=2, probability=0.01),
    Fault("garbage_event", probability=0.01),
    Fault("no_done", probability=0.01),
    Fault("endless_stream", seconds=0.001, probability=0.0025),
    Fault("endless_comments", seconds=0.001, probability=0.0025),
)


@dataclass(frozen=True)
class Job:
    """One call, known by its text."""

    number: int
    kind: Literal["call", "stream", "v2 stream"]
    question: str

    @property
    def answer(self) -> str:
        """What the emulator says to it."""
        return f"Вы написали: {self.question}"


@dataclass
class Ending:
    """How one job ended."""

    job: Job
    text: str
    error: BaseException | None
    retries: int = 0

    @property
    def name(self) -> str:
        """What to count it under."""
        return "answered" if self.error is None else type(self.error).__name__

    @property
    def violation(self) -> str | None:
        """What is wrong with it; None where it ended as it should."""
        what = f"{self.job.kind} {self.job.number}"
        if self.error is None:
            return None if self.text == self.job.answer else f"{what} gave {self.text!r}, not {self.job.answer!r}"
        if not isinstance(self.error, GigaChatError):
            return f"{what} ended with {self.error!r}, which is no error of the SDK's"
        if not (self.job.answer.startswith(self.text) or _is_repeated(self.text, self.job.answer)):
            return f"{what} gave {self.text!r} before its error, and {self.job.answer!r} was due"
        held: str = getattr(self.error, "text", self.text)  # of those errors that hold one
        return None if held == self.text else f"{what}: its error holds {held!r}, and {self.text!r} had been given"


def _is_repeated(text: str, answer: str) -> bool:
    """Say whether a text is the first piece of an answer over and over, which is what an endless stream gives."""
    first = answer.split(" ", 1)[0]
    return text.replace(first, "").strip() == ""


@dataclass
class Report:
    """What came of a whole run."""

    endings: list[Ending]
    faults: Counter[str]
    seconds: float
    left_open: dict[str, int]
    violations: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.violations += [found for ending in self.endings if (found := ending.violation) is not None]
        self.violations += [f"{count} {name} left open" for name, count in self.left_open.items() if count]

    def lines(self) -> Iterator[str]:
        """Write it as a table."""
        kinds = sorted({ending.job.kind for ending in self.endings})
        table = Counter((ending.name, ending.job.kind) for ending in self.endings)
        names = sorted({name for name, _ in table}, key=lambda name: (name != "answered", name))
        yield f"{'ended with':34}" + "".join(f"{kind:>12}" for kind in kinds)
        for name in names:
            yield f"{name:34}" + "".join(f"{table[name, kind]:12}" for kind in kinds)
        yield f"{'all':34}" + "".join(f"{sum(table[name, kind] for name in names):12}" for kind in kinds)
        yield ""
        yield f"faults: {self.faults.total()}"
        yield from (f"  {name:32}{count:12}" for name, count in self.faults.most_common())
        yield ""
        retried = sum(ending.retries for ending in self.endings)
        yield f"{len(self.endings)} jobs in {self.seconds:.1f} s; {retried} retries before an answer"
        yield from (f"left open: {count} {name}" for name, count in self.left_open.items())
        yield f"violations: {len(self.violations)}"
        yield from self.violations[:20]


def jobs(calls: int, streams: int, seed: int) -> list[Job]:
    """Make the jobs of a run, mixed; half of the streams are v2's."""
    chance = random.Random(seed)  # noqa: S311  # to mix, not to guard
    kinds: list[Any] = ["call"] * calls + ["stream", "v2 stream"] * (streams // 2) + ["stream"] * (streams % 2)
    chance.shuffle(kinds)
    return [
        Job(number, kind, f"{number}: " + " ".join(chance.choices(WORDS, k=chance.randint(1, 12))))
        for number, kind in enumerate(kinds)
    ]


def _options(job: Job) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": job.question}], "request_id": f"job-{job.number}"}


def in_threads(client: Any, todo: list[Job]) -> list[Ending]:
    """Do all jobs with a `Client`, in threads."""

    def do(job: Job) -> Ending:
        ending = Ending(job, "", None)
        try:
            if job.kind == "call":
                answer = client.chat.completions.create(**_options(job))
                ending.text, ending.retries = answer.choices[0].message.content, answer.response.retries_taken
            elif job.kind == "stream":
                for chunk in client.chat.completions.create(stream=True, **_options(job)):
                    ending.text += "".join(choice.delta.content or "" for choice in chunk.choices)
            else:
                for event in client.v2.chat.completions.create(stream=True, **_options(job)):
                    ending.text += event.text
        except Exception as error:
            ending.error = error
        return ending

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(do, todo))


async def in_tasks(client: Any, todo: list[Job]) -> list[Ending]:
    """Do all jobs with an `AsyncClient`, in tasks."""
    endings: list[Ending] = []
    waiting = iter(todo)

    async def do(job: Job) -> Ending:
        ending = Ending(job, "", None)
        try:
            if job.kind == "call":
                answer = await client.chat.completions.create(**_options(job))
                ending.text, ending.retries = answer.choices[0].message.content, answer.response.retries_taken
            elif job.kind == "stream":
                async for chunk in await client.chat.completions.create(stream=True, **_options(job)):
                    ending.text += "".join(choice.delta.content or "" for choice in chunk.choices)
            else:
                async for event in await client.v2.chat.completions.create(stream=True, **_options(job)):
                    ending.text += event.text
        except Exception as error:
            ending.error = error
        return ending

    async def work() -> None:
        for job in waiting:
            endings.append(await do(job))  # noqa: PERF401  # other workers take jobs meanwhile

    async with anyio.create_task_group() as group:
        for _ in range(WORKERS):
            group.start_soon(work)
    return endings


def run(
    calls: int,
    streams: int,
    *,
    seed: int,
    runner: Runner = "threads",
    http2: bool = False,
    read_timeout: float = 1.0,
    deadline: float = 20.0,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Do a whole run against an emulator of its own.

    Args:
        calls: How many plain calls.
        streams: How many streams, half of them v2's.
        seed: Of the jobs and of the faults.
        runner: 32 threads with one `Client`, or 32 tasks with one `AsyncClient`.
        http2: Whether everything goes over HTTP/2, with TLS; else over plain HTTP/1.1.
        read_timeout: Seconds of silence after which an answer is given up.
        deadline: Seconds for one call.
        progress: Told what is going on.
    """
    todo = jobs(calls, streams, seed)
    faults = FaultProfile(MIX, seed=seed)
    limiter = LocalLimiter(32)
    options: dict[str, Any] = {
        "timeout": httpx.Timeout(10, read=read_timeout),
        "deadline": deadline,
        "http2": http2,
        "limiter": limiter,
    }
    progress(f"{calls} calls and {streams} streams by 32 {runner}, seed {seed}, HTTP/{2 if http2 else 1.1}")
    with Emulator(https=http2, faults=faults) as emulator:
        started = time.perf_counter()
        if runner == "threads":
            with emulator.client(**options) as client:
                endings = in_threads(client, todo)
                http: Any = client._session.transport.http  # pyright: ignore[reportPrivateUsage]  # what is left open
                left_open = {"requests": http.in_flight}
        else:

            async def main() -> tuple[list[Ending], Any, dict[str, int]]:
                async with emulator.async_client(**options) as client:
                    done = await in_tasks(client, todo)
                    layer: Any = client._session.transport.http  # pyright: ignore[reportPrivateUsage]  # as above
                    return done, layer, {"requests": layer.in_flight}

            function: Callable[[], Awaitable[Any]] = main
            endings, http, left_open = anyio.run(function, backend=runner)
        seconds = time.perf_counter() - started
        left_open["connections"] = http.connections
        left_open["slots"] = limiter.held + limiter.waiting
        left_open["requests of the emulator"] = _settled(lambda: emulator.in_flight)
        done = Counter(str(record.fault.kind) for record in emulator.faults_done)
    return Report(endings, done, seconds, left_open)


def _settled(count: Callable[[], int]) -> int:
    """Wait until the server has noticed that its clients are gone."""
    until = time.monotonic() + 10
    while (left := count()) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="plain calls; 2000")
    parser.add_argument("--streams", type=int, help="streams; a quarter of the calls")
    parser.add_argument("--seed", type=int, default=1, help="of the jobs and of the faults; 1")
    parser.add_argument("--runner", choices=RUNNERS, help="one of them; else all, one after the other")
    parser.add_argument("--http2", action="store_true", help="speak HTTP/2 over TLS")
    given = parser.parse_args()
    streams = given.calls // 4 if given.streams is None else given.streams
    is_fine = True
    for runner in [given.runner] if given.runner else RUNNERS:
        report = run(given.calls, streams, seed=given.seed, runner=runner, http2=given.http2, progress=print)
        print("\n".join(report.lines()), end="\n\n")
        is_fine = is_fine and not report.violations
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
