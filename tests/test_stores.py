"""`stores.py`: one store serves threads and tasks, and forgets only the token it was asked to forget."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import AccessToken, MemoryTokenStore, TokenStore
from gigachat_sdk.stores import AsyncRefreshLock, RefreshLock, process_store

OLD, NEW = AccessToken("old", 1.0), AccessToken("new", 2.0)


def test_a_store_is_a_token_store_and_its_locks_are_locks() -> None:
    store = MemoryTokenStore()
    assert isinstance(store, TokenStore)
    assert isinstance(process_store, TokenStore)
    assert isinstance(store.lock("a"), RefreshLock)
    assert isinstance(store.alock("a"), AsyncRefreshLock)


def test_tokens_are_kept_by_name() -> None:
    store = MemoryTokenStore()
    assert store.get("a") is None
    store.set("a", OLD)
    store.set("b", NEW)
    assert (store.get("a"), store.get("b")) == (OLD, NEW)
    store.set("a", NEW)
    assert store.get("a") == NEW


@pytest.mark.parametrize(
    ("asked", "left"),
    [(OLD, None), (AccessToken("old"), None), (AccessToken("old", 99.0), None), (NEW, OLD)],
)
def test_only_the_token_in_question_is_forgotten(asked: AccessToken, left: AccessToken | None) -> None:
    store = MemoryTokenStore()
    store.set("a", OLD)
    store.set("b", OLD)
    store.delete("a", asked)
    assert store.get("a") == left
    assert store.get("b") == OLD


def test_forgetting_what_is_not_there_is_no_error() -> None:
    store = MemoryTokenStore()
    store.delete("a", OLD)
    assert store.get("a") is None


def test_the_repr_shows_no_token() -> None:
    store = MemoryTokenStore()
    store.set("a", AccessToken("s3cr3t"))
    assert repr(store) == "MemoryTokenStore(1 tokens)"


@pytest.mark.anyio
async def test_each_name_has_one_lock() -> None:
    store = MemoryTokenStore()
    assert store.lock("a") is store.lock("a")
    assert store.lock("a") is not store.lock("b")
    lock = store.alock("a")
    assert await lock.acquire()
    assert await store.alock("b").acquire(wait=False)

    async def other() -> None:
        assert not await store.alock("a").acquire(wait=False)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
    lock.release()
    assert await store.alock("a").acquire(wait=False)


def test_a_lock_is_held_by_one_thread() -> None:
    lock = MemoryTokenStore().lock("a")
    seen: list[bool] = []
    assert lock.acquire()
    other = threading.Thread(target=lambda: seen.append(lock.acquire(wait=False)))
    other.start()
    other.join()
    assert seen == [False]
    lock.release()
    assert lock.acquire(wait=False)
    lock.release()


def test_a_thread_waits_for_the_lock() -> None:
    lock = MemoryTokenStore().lock("a")
    order: list[str] = []
    is_waiting = threading.Event()

    def wait() -> None:
        is_waiting.set()
        lock.acquire()
        order.append("second")
        lock.release()

    assert lock.acquire()
    other = threading.Thread(target=wait)
    other.start()
    is_waiting.wait()
    order.append("first")
    lock.release()
    other.join()
    assert order == ["first", "second"]


@pytest.mark.anyio
async def test_the_async_twins_see_the_same_tokens() -> None:
    store = MemoryTokenStore()
    store.set("a", OLD)
    assert await store.aget("a") == OLD
    await store.aset("a", NEW)
    assert store.get("a") == NEW
    await store.adelete("a", OLD)
    assert store.get("a") == NEW
    await store.adelete("a", NEW)
    assert await store.aget("a") is None


@pytest.mark.anyio
async def test_a_lock_is_held_by_one_task() -> None:
    lock = MemoryTokenStore().alock("a")
    order: list[str] = []

    async def wait() -> None:
        assert not await lock.acquire(wait=False)
        order.append("first")
        assert await lock.acquire()
        order.append("third")
        lock.release()

    assert await lock.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        while not order:
            await anyio.lowlevel.checkpoint()
        order.append("second")
        lock.release()
    assert order == ["first", "second", "third"]


FORK = """
import os, threading
from gigachat_sdk import AccessToken, MemoryTokenStore
store, token = MemoryTokenStore(), AccessToken("t")
store.set("a", token)
def hold():
    with store._guard:
        is_held.set()
        threading.Event().wait()
is_held = threading.Event()
threading.Thread(target=hold, daemon=True).start()
is_held.wait()
assert store.lock("a").acquire()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert not store.lock("a").acquire(wait=False)
else:
    taken = []
    together = threading.Barrier(8)
    def take():
        together.wait()
        lock = store.lock("a")
        taken.append((lock, lock.acquire(wait=False)))
    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.delete("a", token)
    os._exit(not (len({lock for lock, _ in taken}) == 1 == sum(got for _, got in taken) and store.get("a") is None))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_in_the_child_of_a_fork_no_lock_is_held_and_threads_that_begin_together_share_one() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
