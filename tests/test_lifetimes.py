"""`_lifetimes.py`: what is closed though nobody closed it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from gigachat_sdk._lifetimes import AsyncLocal, Local, async_begin, when_dropped


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


async def items() -> AsyncGenerator[int, None]:
    yield 1


class Waiting:
    """Suspends once, then gives what it was sent."""

    def __await__(self) -> Any:
        return (yield "waiting")


async def wait() -> Any:
    return await Waiting()


def test_the_first_step_is_waited_for_like_any_other() -> None:
    async def main() -> int:
        return await async_begin(items().__anext__)

    assert asyncio.run(main()) == trio.run(main) == 1

    steps = async_begin(wait).__await__()
    assert next(steps) == "waiting"
    with pytest.raises(StopIteration) as end:
        steps.send("sent")
    assert end.value.value == "sent"


def test_a_first_step_that_is_given_up_is_given_up_inside() -> None:
    ended: list[str] = []

    async def given_up() -> None:
        try:
            await Waiting()
        finally:
            ended.append("inside")

    steps = async_begin(given_up)
    steps.send(None)
    steps.close()
    assert ended == ["inside"]


def test_an_error_thrown_into_a_first_step_arrives_inside() -> None:
    async def catches() -> str:
        try:
            await Waiting()
        except ValueError as error:
            return f"caught {error}"
        return "nothing came"

    steps = async_begin(catches)
    steps.send(None)
    with pytest.raises(StopIteration) as end:
        steps.throw(ValueError("x"))
    assert end.value.value == "caught x"


def test_a_generator_that_outlives_its_loop_is_ended_quietly() -> None:
    ended: list[str] = []

    async def inner() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            ended.append("inside")
            await anyio.lowlevel.checkpoint()  # which only a running loop knows
            ended.append("never")

    async def outer() -> AsyncGenerator[int, None]:
        async for item in inner():
            yield item

    generators = [outer()]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(async_begin(generators[0].__anext__))
    loop.close()
    generators.clear()
    gc.collect()
    assert ended == ["inside"]


def test_a_first_step_that_fails_at_once_leaves_the_hooks_as_they_were() -> None:
    def fails() -> Any:
        raise ValueError("x")

    async def main() -> bool:
        before = sys.get_asyncgen_hooks()
        with pytest.raises(ValueError, match="x"):
            await async_begin(fails)
        return sys.get_asyncgen_hooks() == before

    assert asyncio.run(main())
    assert trio.run(main)
