"""A lock under which tokens are bought, kept by a process that stands still: the others wait long, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio.lowlevel
import pytest

import gigachat_sdk._file_lock as file_lock_module
import gigachat_sdk._shared_lock as shared_lock_module
from gigachat_sdk import FileTokenStore
from gigachat_sdk._deadline import DeadlineError
from gigachat_sdk._file_lock import FileLock, RefreshLock
from gigachat_sdk.testing import Emulator

PATIENCE = 150.0
BOTH = pytest.mark.parametrize("kind", ["thread", "task"])


class Time:
    """Passes only while somebody waits for a lock, and fast; whoever waits may be told that his time is up."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses = 0
        self.ends_at = float("inf")

    def pause(self, seconds: float) -> None:
        if self.now >= self.ends_at:
            raise DeadlineError
        self.pauses += 1
        self.now += 5.0

    async def async_pause(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.pause(seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    passing = Time()
    clock = SimpleNamespace(monotonic=lambda: passing.now)
    monkeypatch.setattr(file_lock_module, "time", clock)
    monkeypatch.setattr(shared_lock_module, "time", clock)
    monkeypatch.setattr(shared_lock_module, "sleep", passing.pause)
    monkeypatch.setattr(shared_lock_module, "async_sleep", passing.async_pause)
    return passing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def stopped(path: Path) -> Iterator[FileLock]:
    """Stand for a process that was stopped while it bought a token."""
    lock = FileLock(f"{path}.refresh.lock")
    assert lock.acquire()
    yield lock
    lock.release()


@pytest.fixture
def lock(path: Path) -> RefreshLock:
    return RefreshLock(f"{path}.refresh.lock")


async def take(lock: RefreshLock, kind: str, *, wait: bool = True) -> bool:
    return lock.acquire(wait=wait) if kind == "thread" else await lock.aacquire(wait=wait)


def warning(path: Path, seconds: float = PATIENCE) -> str:
    return (
        f"{path}.refresh.lock has been locked for {seconds:.0f} s, longer than buying a token takes; until it is free, "
        "this process buys tokens of its own. A process that stands still may have it (`lsof` tells which): let it go "
        "on, or end it"
    )


@BOTH
@pytest.mark.anyio
async def test_after_a_long_time_one_goes_on_without_it_and_says_so_once(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.now
    for wait in (True, True, False):  # the first has waited for all of them
        assert await take(lock, kind, wait=wait)
        assert time.now - began == PATIENCE
        assert not lock.acquire(wait=False)  # threads and tasks of this process exclude each other all the same
        time.now += 0.3
        began += 0.3
        lock.release()
    assert caplog.messages == [warning(path)]
    assert not FileLock(stopped.path).acquire(wait=False)


@BOTH
@pytest.mark.anyio
async def test_once_it_is_free_again_it_is_taken_and_waited_for(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        began = time.now
        assert await take(lock, kind)
        assert time.now - began == PATIENCE
        lock.release()
        stopped.release()
        assert await take(lock, kind)
        assert not stopped.acquire(wait=False)
        time.now += 0.3
        lock.release()
        assert stopped.acquire()
    assert caplog.messages == [warning(path)] * 2


def take_anew(lock: FileLock) -> None:
    """Stand for one process that gives the lock back and another one that takes it."""
    before = Path(lock.path).stat().st_mtime_ns
    while Path(lock.path).stat().st_mtime_ns == before:  # the clock of a file system goes in steps
        lock.release()
        assert lock.acquire()


@BOTH
@pytest.mark.anyio
async def test_processes_that_have_it_in_turn_are_not_taken_for_one_that_stands_still(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        time.ends_at = time.now + 0.9 * PATIENCE
        with pytest.raises(DeadlineError):
            await take(lock, kind)
        take_anew(stopped)
    assert not caplog.records
    began, time.ends_at = time.now, float("inf")
    assert await take(lock, kind)
    assert time.now - began == PATIENCE
    assert caplog.messages == [warning(path)]
    lock.release()


@BOTH
@pytest.mark.anyio
async def test_the_next_holder_is_waited_for_though_the_last_one_stood_still(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await take(lock, kind)
    lock.release()
    take_anew(stopped)
    assert not await take(lock, kind, wait=False)
    time.now += PATIENCE / 2
    assert not await take(lock, kind, wait=False)
    assert caplog.messages == [warning(path)]


@BOTH
@pytest.mark.anyio
@pytest.mark.parametrize("changes", [False, True])
async def test_who_only_looks_now_and_then_sees_whether_it_is_the_same_process(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: Any, changes: bool
) -> None:
    for _ in range(3):
        assert not await take(lock, kind, wait=False)
        time.now += 60.0
        if changes:
            take_anew(stopped)
    assert await take(lock, kind, wait=False) is not changes
    assert caplog.messages == ([] if changes else [warning(path, 180)])
    if not changes:
        lock.release()


@BOTH
@pytest.mark.anyio
async def test_holders_that_cannot_be_told_apart_are_taken_for_one(
    lock: RefreshLock, stopped: FileLock, time: Time, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def utime(*arguments: Any) -> None:
        raise PermissionError("no time here")

    monkeypatch.setattr("os.utime", utime)
    began = time.now
    time.ends_at = began + PATIENCE / 2
    with pytest.raises(DeadlineError):
        await take(lock, kind)
    stopped.release()
    assert stopped.acquire()
    time.ends_at = float("inf")
    assert await take(lock, kind)
    assert time.now - began == PATIENCE
    lock.release()


@BOTH
@pytest.mark.anyio
async def test_calls_with_short_deadlines_wait_one_after_the_other(
    lock: RefreshLock, stopped: FileLock, path: Path, time: Time, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each would be too late for ever."""
    began = time.now
    for _ in range(7):
        time.ends_at = time.now + 20.0
        with pytest.raises(DeadlineError):
            await take(lock, kind)
    time.ends_at = time.now + 20.0
    assert await take(lock, kind)
    assert time.now - began == PATIENCE
    assert caplog.messages == [warning(path)]
    lock.release()


@BOTH
@pytest.mark.anyio
async def test_while_one_thread_or_task_looks_at_the_file_no_other_one_does(lock: RefreshLock, kind: str) -> None:
    with lock._alone:
        assert not await take(lock, kind, wait=False)
    lock._busy_until = 0.0
    assert await take(lock, kind, wait=False)
    lock.release()


def test_a_sync_client_buys_its_token(stopped: FileLock, path: Path, time: Time, caplog: Any) -> None:
    with Emulator() as emulator:
        for _ in range(2):
            with emulator.client(token_store=FileTokenStore(path), max_retries=0) as client:
                client.models.list()
        assert emulator.oauth_requests == 1  # it is in the file for the others
    assert [record for record in caplog.messages if "lock" in record] == [warning(path)]


@pytest.mark.anyio
async def test_an_async_client_buys_its_token(stopped: FileLock, path: Path, time: Time, caplog: Any) -> None:
    with Emulator() as emulator:
        for _ in range(2):
            async with emulator.async_client(token_store=FileTokenStore(path), max_retries=0) as client:
                await client.models.list()
        assert emulator.oauth_requests == 1
    assert [record for record in caplog.messages if "lock" in record] == [warning(path)]


def test_no_purchase_takes_so_long() -> None:
    from gigachat_sdk import _constants as constants

    attempts = constants.DEFAULT_MAX_RETRIES + 1
    hanging = attempts * (constants.DEFAULT_CONNECT_TIMEOUT + constants.AUTH_READ_TIMEOUT)
    assert hanging + constants.DEFAULT_MAX_RETRIES * constants.RETRY_MAX_DELAY < PATIENCE
    assert constants.DEFAULT_MAX_RETRIES * constants.RETRY_AFTER_LIMIT < PATIENCE
    assert file_lock_module._PATIENCE == PATIENCE
