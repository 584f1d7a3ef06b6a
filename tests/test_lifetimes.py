"""`_lifetimes.py`: what is closed though nobody closed it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
import trio

from gigachat_sdk._lifetimes import AsyncLocal, Local, when_dropped


def test_a_value_is_made_once_and_closed_with_the_rest() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    assert values.get("a") is None
    assert values.add("a", lambda: "first") == "first"
    assert values.add("a", lambda: "second") == "first"
    assert values.add("b", lambda: "other") == values.get("b") == "other"
    values.close()
    assert sorted(closed) == ["first", "other"]
    assert values.get("a") is None


def test_values_are_closed_with_their_owner() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    values.add("a", lambda: "value")
    del values
    gc.collect()
    assert closed == ["value"]


def test_after_a_fork_values_are_made_anew_and_none_is_closed() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    values.add("a", lambda: "the parent's")
    values.leave_to_parent()
    assert values.get("a") is None
    assert values.add("a", lambda: "the child's") == values.get("a") == "the child's"
    assert closed == []


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_values_of_a_loop_are_made_once_and_closed_on_it(run: Any) -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    async def main() -> None:
        values: AsyncLocal[str] = AsyncLocal(close)
        assert await values.add("a", lambda: "first") == "first"
        assert await values.add("a", lambda: "second") == values.get("a") == "first"
        await values.aclose()
        assert closed == ["first"]
        assert values.get("a") is None

    async def trio_main() -> None:
        await main()

    run(main()) if run is asyncio.run else run(trio_main)


def test_after_a_fork_values_of_a_loop_are_made_anew() -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    async def main() -> None:
        values: AsyncLocal[str] = AsyncLocal(close)
        await values.add("a", lambda: "the parent's")
        values.leave_to_parent()
        assert values.get("a") is None
        assert await values.add("a", lambda: "the child's") == "the child's"
        await values.aclose()
        assert closed == ["the child's"]

    asyncio.run(main())


def test_what_is_dropped_is_closed_in_a_thread_of_its_own() -> None:
    class Owner:
        pass

    threads: list[threading.Thread] = []
    closed = threading.Event()

    def close() -> None:
        threads.append(threading.current_thread())
        closed.set()

    owner = Owner()
    when_dropped(owner, close)
    del owner
    gc.collect()
    assert closed.wait(30)
    assert threads != [threading.current_thread()]
    threads[0].join(30)
