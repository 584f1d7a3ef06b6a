"""`FileTokenStore`: nobody waits long to save a token, and nobody waits for ever: no thread, no task, no pool."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import gigachat_sdk._concurrency as concurrency_module
import gigachat_sdk._deadline as deadline_module
import gigachat_sdk._file_store as store_module
import gigachat_sdk._shared_lock as shared_lock_module
from gigachat_sdk import AccessToken, AsyncOAuthTokenManager, FileTokenStore, OAuthTokenManager, RateLimitError
from gigachat_sdk._deadline import Deadline, current_deadline, running
from gigachat_sdk._token_failures import TokenFailure
from gigachat_sdk.testing import Emulator
from gigachat_sdk.types.http import Headers, ResponseInfo

NOW = 4_000_000_000.0  # far ahead: tokens whose end lies behind the real clock are dropped
OLD, NEW = AccessToken("old", NOW), AccessToken("new", NOW + 1800)
FAILURE = TokenFailure(2, NOW, 2.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))
MESSAGES = [{"role": "user", "content": "Привет!"}]
OTHER_KEY = "b3RoZXI6c2VjcmV0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def store(path: Path) -> FileTokenStore:
    return FileTokenStore(path)


@pytest.fixture
def writer(path: Path) -> Iterator[FileTokenStore]:
    """Stand for a process that stands still while it writes."""
    other = FileTokenStore(path)
    assert other._changes.acquire()
    yield other
    if other._changes._held is not None:
        other._changes.release()


class Clock:
    """Stands still until it is told that somebody has slept."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_on(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let deadlines go by a clock of the test's own."""
    clock = Clock()
    monkeypatch.setattr(deadline_module, "time", SimpleNamespace(monotonic=clock))
    return clock


# ---- the threads of an event loop ----


@pytest.mark.anyio
async def test_a_pool_full_of_sync_clients_that_wait_for_a_token_lets_the_task_end_that_buys_it(path: Path) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 2
    try:
        with Emulator(oauth_delay=0.5) as emulator:
            store, key, address = FileTokenStore(path), emulator.credentials, emulator.auth_url
            buyer = AsyncOAuthTokenManager(key, auth_url=address, token_store=store)
            waiting = OAuthTokenManager(key, auth_url=address, token_store=store)
            values: set[str] = set()

            async def buy() -> None:
                values.add((await buyer.get_token()).value)

            def wait() -> None:
                with running(Deadline(60)):
                    values.add(waiting.get_token().value)

            async with anyio.create_task_group() as group:
                group.start_soon(buy)
                while not emulator.oauth_requests:  # noqa: ASYNC110  # counted in another thread
                    await anyio.sleep(0.01)
                for _ in range(6):
                    group.start_soon(anyio.to_thread.run_sync, wait)
            assert len(values) == emulator.oauth_requests == 1
            waiting.close()
            await buyer.aclose()
    finally:
        limiter.total_tokens = before


METHODS: dict[str, Callable[[FileTokenStore], Awaitable[object]]] = {
    "aget": lambda store: store.aget("a"),
    "aset": lambda store: store.aset("a", NEW),
    "adelete": lambda store: store.adelete("a", OLD),
    "aget_failure": lambda store: store.aget_failure("a", NOW),
    "aset_failure": lambda store: store.aset_failure("a", FAILURE, NOW),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", METHODS)
async def test_no_thread_of_the_pool_is_needed(path: Path, name: str) -> None:
    FileTokenStore(path).set("a", OLD)
    store, limiter = FileTokenStore(path), anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 1
    try:
        async with limiter:  # there is one, and it is not free
            with anyio.fail_after(30):
                await METHODS[name](store)
    finally:
        limiter.total_tokens = before


@pytest.mark.anyio
async def test_what_is_known_is_told_without_a_thread(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.aset("a", OLD)
    await store.aset_failure("a", FAILURE, NOW)
    assert await store.aget("a") == OLD
    started: list[str] = []
    monkeypatch.setattr(store_module, "async_ask_in_thread", lambda function: started.append("ask"))
    monkeypatch.setattr(store_module, "async_tell_in_thread", lambda function: started.append("tell"))
    assert await store.aget("a") == OLD
    assert await store.aget_failure("a", NOW) is not None
    await store.adelete("a", NEW)  # the file does not have it
    assert started == []


@pytest.mark.anyio
async def test_of_the_tasks_whose_token_was_refused_one_changes_the_file(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.aset("a", OLD)
    assert await store.aget("a") == OLD
    told: list[object] = []
    real = store_module.async_tell_in_thread

    async def tell(function: Callable[[], None]) -> None:
        told.append(function)
        await real(function)

    monkeypatch.setattr(store_module, "async_tell_in_thread", tell)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(store.adelete, "a", OLD)
    assert len(told) == 1
    assert await store.aget("a") is FileTokenStore(path).get("a") is None


# ---- another process stands still while it writes ----


def test_a_lock_that_stands_still_does_not_lose_the_token(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.02)
    other = FileTokenStore(path)
    assert other._changes.acquire()
    store.set("a", NEW)
    assert "is not given back in time" in caplog.text
    assert other.get("a") == NEW
    other._changes.release()


def test_a_deadline_that_has_passed_does_not_lose_the_token(
    store: FileTokenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(Deadline(-1)):
        store.set("a", NEW)
    assert FileTokenStore(path).get("a") == NEW
    assert caplog.messages == []


def test_a_task_that_is_cancelled_while_it_saves_does_not_lose_the_token(store: FileTokenStore) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.aset("a", NEW)
        assert await store.aget("a") == NEW

    asyncio.run(main())


def test_the_wait_to_save_a_token_leaves_half_of_the_time(
    store: FileTokenStore,
    writer: FileTokenStore,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shared_lock_module, "sleep", clock.pass_on)
    with running(Deadline(4.0)):
        store.set("a", NEW)
        deadline = current_deadline()
        assert deadline is not None
        assert deadline.remaining == pytest.approx(2.0)
    assert "is not given back in time, going on without it" in caplog.text
    assert FileTokenStore(writer._path).get("a") == NEW


@pytest.mark.anyio
async def test_the_wait_of_a_task_to_save_a_token_leaves_half_of_the_time(
    store: FileTokenStore, writer: FileTokenStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []
    real = anyio.move_on_after

    def move_on_after(seconds: float | None) -> anyio.CancelScope:
        waits.append(seconds)
        return real(seconds)

    with monkeypatch.context() as patch, running(Deadline(0.4)):
        patch.setattr(concurrency_module.anyio, "move_on_after", move_on_after)
        await store.aset("a", NEW)
    assert waits[0] == pytest.approx(0.2)
    assert writer._changes._held is not None
    assert await store.aget("a") == NEW
    assert FileTokenStore(writer._path).get("a") is None
    writer._changes.release()
    with anyio.fail_after(30):  # the thread goes on alone
        while FileTokenStore(writer._path).get("a") != NEW:  # noqa: ASYNC110  # written in another thread
            await anyio.sleep(0.01)


@pytest.fixture
def little_time_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call that has much time have little of it to save a token in, not half."""
    monkeypatch.setattr(store_module, "half_of_the_rest", lambda: Deadline(0.1))


@pytest.mark.usefixtures("little_time_to_save")
def test_a_call_whose_token_cannot_be_saved_in_time_goes_on_with_it(
    store: FileTokenStore, writer: FileTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator() as emulator, emulator.client(token_store=store) as client:
        client.chat.completions.create(messages=MESSAGES, deadline=60)
        assert emulator.oauth_requests == 1
    assert "is not given back in time, going on without it" in caplog.text


@pytest.mark.anyio
@pytest.mark.usefixtures("little_time_to_save")
async def test_an_async_call_whose_token_cannot_be_saved_in_time_goes_on_with_it(
    store: FileTokenStore, writer: FileTokenStore
) -> None:
    with Emulator() as emulator:
        async with emulator.async_client(token_store=store) as client:
            await client.chat.completions.create(messages=MESSAGES, deadline=60)
            assert emulator.oauth_requests == 1
    writer._changes.release()


# ---- one lock for all accounts ----


def test_no_name_of_a_file_depends_on_credentials(tmp_path: Path) -> None:
    """Names can be listed by others, and what is made of a password can be guessed at."""
    with Emulator() as emulator:
        for folder, key in (("one", emulator.credentials), ("other", OTHER_KEY)):
            store = FileTokenStore(tmp_path / folder / "tokens.json")
            manager = OAuthTokenManager(key, auth_url=emulator.auth_url, token_store=store)
            try:
                manager.get_token()
            except Exception:  # the other key is not known there
                assert key == OTHER_KEY
            manager.close()
            names = sorted(file.name for file in (tmp_path / folder).iterdir())
            assert names == ["tokens.json", "tokens.json.lock", "tokens.json.refresh.lock"]


def test_accounts_that_share_a_file_take_turns(store: FileTokenStore, path: Path) -> None:
    assert store.lock("a") is store.lock("b")
    assert store.lock("a").acquire()
    seen: list[bool] = []
    other = threading.Thread(target=lambda: seen.append(FileTokenStore(path).lock("b").acquire(wait=False)))
    other.start()
    other.join()
    assert seen == [False]
    store.lock("a").release()


@pytest.mark.anyio
async def test_threads_and_tasks_of_two_accounts_all_get_tokens(path: Path) -> None:
    with Emulator(oauth_delay=0.05) as emulator, Emulator(oauth_delay=0.05) as second:
        store = FileTokenStore(path)
        asyncs = [
            AsyncOAuthTokenManager(one.credentials, auth_url=one.auth_url, token_store=store)
            for one in (emulator, second)
        ]
        syncs = [
            OAuthTokenManager(one.credentials, auth_url=one.auth_url, token_store=FileTokenStore(path))
            for one in (emulator, second)
        ]
        values: list[set[str]] = [set(), set()]

        async def in_task(number: int) -> None:
            values[number].add((await asyncs[number].get_token()).value)

        def in_thread(number: int) -> None:
            with running(Deadline(60)):
                values[number].add(syncs[number].get_token().value)

        with anyio.fail_after(90):
            async with anyio.create_task_group() as group:
                for number in range(16):
                    group.start_soon(in_task, number % 2)
                    group.start_soon(anyio.to_thread.run_sync, in_thread, number % 2)
        assert [len(found) for found in values] == [emulator.oauth_requests, second.oauth_requests] == [1, 1]
        for asynchronous in asyncs:
            await asynchronous.aclose()
        for synchronous in syncs:
            synchronous.close()


def test_a_thread_that_needs_two_tokens_at_once_does_not_wait_for_itself(store: FileTokenStore, path: Path) -> None:
    """As where `on_retry` of the call for a token asks another account."""
    with running(Deadline(30)):
        assert store.lock("a").acquire()
        for inner in (store, FileTokenStore(path)):
            assert not inner.lock("b").acquire(wait=False)
            assert inner.lock("b").acquire()
            inner.lock("b").release()
        assert not FileTokenStore(path).lock("b").acquire(wait=False)
        store.lock("a").release()
        store.lock("b")._busy_until = 0.0
        assert store.lock("b").acquire(wait=False)
        store.lock("b").release()


@pytest.mark.anyio
async def test_a_task_that_needs_two_tokens_at_once_does_not_wait_for_itself(store: FileTokenStore, path: Path) -> None:
    with anyio.fail_after(30):
        assert await store.alock("a").acquire()
        for inner in (store, FileTokenStore(path)):
            assert not await inner.alock("b").acquire(wait=False)
            assert await inner.alock("b").acquire()
            inner.alock("b").release()
        store.alock("a").release()
        store.lock("b")._busy_until = 0.0
        assert await store.alock("b").acquire(wait=False)
        store.lock("b").leave_to_parent()  # what happens in the child of a fork
        assert await store.alock("b").acquire()
        assert not FileTokenStore(path).lock("b").acquire(wait=False)
        store.alock("b").release()


@pytest.mark.anyio
async def test_without_a_lock_file_threads_and_tasks_exclude_each_other_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else one would give back the turn of another one, who would then wait for ever."""
    store = FileTokenStore(tmp_path / "folder" / "tokens.json")
    (tmp_path / "folder").rmdir()
    with caplog.at_level(logging.CRITICAL, "gigachat_sdk"):
        lock = store.lock("a")
        assert await lock.aacquire()
        seen: list[bool] = []
        other = threading.Thread(target=lambda: seen.append(lock.acquire(wait=False)))
        other.start()
        other.join()
        assert seen == [False]
        lock.release()
        lock._busy_until = 0.0
        assert lock.acquire(wait=False)
        assert not await lock.aacquire(wait=False)
        lock.release()
