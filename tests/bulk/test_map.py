"""What is particular to threads: closing, dropping, Ctrl-C, a source that is slow."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from gigachat_sdk import APIConnectionError, ConfigurationError, LimiterTimeoutError, bulk
from gigachat_sdk.bulk import _threads
from gigachat_sdk.errors import InvalidRequestTypeError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import asked, asking, lines, texts
from .gates import Gate, taken_ahead
from .test_books import Held


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gigachat-sdk bulk"]


def closing() -> list[threading.Thread]:
    """The threads that close what was left."""
    return [thread for thread in threading.enumerate() if "close" in thread.name]


def gone(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


@contextmanager
def consumed(run: bulk.BulkRun[Any]) -> Iterator[None]:
    """Take the results of a run in another thread."""

    def take() -> None:
        with suppress(ConfigurationError):  # the test closes it
            list(run)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield
    gone([thread])


def test_closing_waits_for_what_is_in_flight(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1", "2")
    with emulator.client() as client:
        run = bulk.map(client, (asking(str(number)) for number in range(99)), journal, concurrency=2)
        gate.until = lambda: run._crew.books.is_stopping
        with consumed(run):
            assert gate.came.acquire(timeout=120)
            assert gate.came.acquire(timeout=120)
            run.close()
            assert workers() == []
        run.close()
        assert sorted(line["index"] for line in lines(journal))[:3] == [0, 1, 2]
        assert sorted(map(int, asked(emulator))) == list(range(len(lines(journal))))
        assert len(lines(journal)) < 99
        with pytest.raises(ConfigurationError, match="before its end; begin another one; with its journal it goes on"):
            next(run)
        assert repr(run) == f"<BulkRun: {len(lines(journal))}>"


def test_a_run_that_was_never_begun_has_nothing_to_close(emulator: Emulator, journal: Path) -> None:
    with emulator.client() as client, bulk.map(client, [asking("Раз")], journal) as run:
        assert iter(run) is run
    with pytest.raises(ConfigurationError, match="this run was closed before its end; begin another one"):
        next(run)
    assert not journal.exists()


def test_a_run_that_is_dropped_ends_by_itself(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, *map(str, range(2, 99)))
    gate.delay = 0.3
    with emulator.client() as client:
        requests = (asking(str(number)) for number in range(99))
        for result in bulk.map(client, requests, journal, concurrency=2):
            if result.index == 4:
                threads = workers()
                break
        assert gate.came.acquire(timeout=120)
        gc.collect()
        gone(threads)
        gone(closing())
        assert not journal.with_name(f".{journal.name}.lock").exists()
        assert sorted(map(int, asked(emulator))) == sorted(line["index"] for line in lines(journal))
        assert 5 <= len(lines(journal)) < 99


def test_what_is_finished_while_it_closes_counts(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1", "2")
    with emulator.client() as client:
        run = bulk.map(client, taken_ahead(gate, 3), journal, ordered=False, concurrency=3)
        gate.until = lambda: run._crew.books.is_stopping
        assert next(run).index == 0
        assert gate.came.acquire(timeout=120)
        run.close()
        assert run.progress.done == len(lines(journal)) == len(asked(emulator)) > 1


def test_a_client_that_is_closed_meanwhile_leaves_what_is_in_flight(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1")
    with emulator.client() as client:
        run = bulk.map(client, taken_ahead(gate, 9), journal, ordered=False, concurrency=2)
        assert next(run).index == 0
        assert gate.came.acquire(timeout=120)
        client.close()
        with pytest.raises((APIConnectionError, ConfigurationError), match="clos"):
            list(run)
    assert 1 not in [line["index"] for line in lines(journal)]
    assert all("response" in line for line in lines(journal))


def test_closing_ends_the_wait_for_a_token(emulator: Emulator, journal: Path) -> None:
    emulator.reply("/api/v2/oauth", Reply.error(503, "down", headers={"Retry-After": "60"}), times=99)
    with emulator.client(max_retries=0) as client:
        run = bulk.map(client, [asking("0"), asking("1")], journal, concurrency=2)
        with consumed(run):
            while run._crew.books._tokens._began is None:
                threading.Event().wait(0.01)
            run.close()
    assert workers() == []
    assert lines(journal) == []


def test_a_run_that_is_closed_sends_nothing_more_and_waits_for_no_slot(emulator: Emulator, journal: Path) -> None:
    with emulator.client(max_concurrency=1) as client:
        limiter: Any = client.limiter
        slot = limiter.acquire()
        run = bulk.map(client, [asking(str(number)) for number in range(9)], journal, concurrency=2)
        with consumed(run):
            while limiter.waiting < 2:
                threading.Event().wait(0.01)
            run.close()
        assert repr(run) == "<BulkRun: 0 of 9>"
        threads = workers()
        assert len(threads) == 2
        slot.release()
        gone(threads)
        assert asked(emulator) == lines(journal) == []
        with limiter.acquire():  # which they have given back
            pass


def test_who_waited_in_vain_for_a_slot_of_a_closed_run_writes_nothing(emulator: Emulator, journal: Path) -> None:
    waits, is_closed = threading.Event(), threading.Event()

    def wait() -> None:
        waits.set()
        assert is_closed.wait(30)
        raise LimiterTimeoutError("no slot")

    with emulator.client(limiter=Held(wait)) as client:
        run = bulk.map(client, [asking("0")], journal, concurrency=1)
        with consumed(run):
            assert waits.wait(30)
            threads = workers()
            run.close()
        is_closed.set()
        gone(threads)
    assert lines(journal) == []


def test_a_run_cannot_be_asked_by_its_own_source_or_function(emulator: Emulator) -> None:
    def source() -> Iterator[Any]:
        yield asking("0")
        next(runs[0])

    runs: list[bulk.BulkRun[Any]] = []
    with emulator.client() as client:
        for run in (
            bulk.map(client, source()),
            bulk.map(client, [asking("0")], progress=lambda state: next(runs[0])),
        ):
            runs[:] = [run]
            with pytest.raises(RuntimeError, match="asked for a result by its own source or progress function"):
                list(runs[0])


def test_the_child_of_a_fork_has_no_run(emulator: Emulator, journal: Path) -> None:
    with (
        emulator.client() as client,
        bulk.map(client, (asking(str(number)) for number in range(9)), journal, concurrency=1) as run,
    ):
        next(run)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run.close()
                next(run)
            except ConfigurationError as error:
                status = 0 if "another process's" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert journal.with_name(f".{journal.name}.lock").exists()
        assert len(list(run)) == 8


def test_threads_are_begun_as_they_are_needed(emulator: Emulator) -> None:
    with emulator.client() as client, bulk.map(client, [asking("0"), asking("1")], concurrency=50) as run:
        assert next(run).index == 0
        assert len(workers()) <= 2
    assert workers() == []


class Told(SimpleQueue[Any]):
    """What the threads of a run have done; tells of each that can be taken."""

    def __init__(self) -> None:
        self.count = threading.Semaphore(0)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self.count.release()


def test_a_slow_source_keeps_no_result_waiting_for_long(emulator: Emulator) -> None:
    taken: list[int] = []

    def source() -> Iterator[Any]:
        for number in range(100):
            if number:  # what was taken before is done by now
                assert done.count.acquire(timeout=120)
            taken.append(number)
            yield asking(str(number))

    with emulator.client() as client, bulk.map(client, source(), concurrency=8) as run:
        done = run._crew._outbox = Told()
        for result in run:
            assert len(taken) <= result.index + 3


def test_waiting_looks_up_now_and_then(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_TICK", 0.01)
    Gate(emulator, "0").delay = 0.3
    with emulator.client() as client, bulk.map(client, [asking("0"), asking("1")]) as run:
        assert texts(list(run)) == ["late", "1"]
    Gate(emulator, "1").delay = 0.3
    with emulator.client() as client, bulk.map(client, [asking("0"), asking("1")], concurrency=2, ordered=False) as run:
        next(run)
    assert workers() == []


def test_ctrl_c_in_the_source(emulator: Emulator, journal: Path) -> None:
    def source() -> Iterator[Any]:
        yield asking("0")
        raise KeyboardInterrupt

    with emulator.client() as client:
        with pytest.raises(KeyboardInterrupt), bulk.map(client, source(), journal) as run:
            list(run)
        assert [line["index"] for line in lines(journal)] in ([], [0])
        assert workers() == []


def test_ctrl_c_while_it_closes_leaves_what_is_in_flight(
    emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, is_left = Gate(emulator, "1"), threading.Event()
    gate.until = is_left.is_set
    with emulator.client() as client:
        run = bulk.map(client, [asking("0"), asking("1")], journal, concurrency=1)
        main = threading.current_thread()
        real = threading.Thread.join

        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            if threading.current_thread() is main:
                raise KeyboardInterrupt
            real(thread, timeout)

        with consumed(run):
            assert gate.came.acquire(timeout=120)
            threads = workers()
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "join", join)
                with pytest.raises(KeyboardInterrupt):
                    run.close()
            assert [line["index"] for line in lines(journal)] == [0]
            is_left.set()
        gone(threads)
        gone(closing())
        assert [line["index"] for line in lines(journal)] == [0, 1]
        assert not journal.with_name(f".{journal.name}.lock").exists()


def test_requests_that_cannot_be_begun(emulator: Emulator, journal: Path) -> None:
    class Broken(list[Any]):
        def __iter__(self) -> Any:
            raise LookupError("no cursor")

    with emulator.client() as client:
        run = bulk.map(client, Broken(), journal)
        with pytest.raises(LookupError):
            next(run)
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            next(run)
        assert list(bulk.map(client, [], journal)) == []


def test_the_kind_of_client(emulator: Emulator) -> None:
    client: Any = emulator.async_client()
    with pytest.raises(
        InvalidRequestTypeError, match=r"client: bulk\.map takes a Client, got AsyncClient; see bulk\.amap"
    ):
        bulk.map(client, [])

    class Source:
        async def __aiter__(self) -> Any:
            yield asking("0")

    requests: Any = Source()
    with (
        emulator.client() as own,
        pytest.raises(InvalidRequestTypeError, match=r"an async iterable goes to bulk\.amap"),
    ):
        bulk.map(own, requests)


EXIT = """
import sys
from gigachat_sdk import Client, bulk
client = Client()
requests = ({"messages": [{"role": "user", "content": str(i)}]} for i in range(99))
run = bulk.map(client, requests, sys.argv[1], concurrency=3)
print(next(run).index, flush=True)
if sys.argv[2] == "wait":
    for result in run:
        pass
"""


def process(emulator: Emulator, journal: Path, what: str) -> subprocess.Popen[str]:
    settings = {
        "GIGACHAT_BASE_URL": emulator.base_url,
        "GIGACHAT_AUTH_URL": emulator.auth_url,
        "GIGACHAT_CREDENTIALS": emulator.credentials,
    }
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{EXIT}"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(journal), what],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_a_program_ends_though_a_request_is_in_flight(emulator: Emulator, journal: Path) -> None:
    Gate(emulator, "1")
    with process(emulator, journal, "exit") as child:
        output, errors = child.communicate(timeout=180)
    assert (child.returncode, output, errors) == (0, "0\n", "")


def test_ctrl_c_ends_a_program(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1")
    with process(emulator, journal, "wait") as child:
        assert gate.came.acquire(timeout=120)
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=180)
    assert child.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert 0 in [line["index"] for line in lines(journal)]
