"""Threads that wait for a task must not keep it from going on: it asks for none of theirs."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from gigachat_sdk.testing import Emulator


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_first_connection_needs_no_thread_of_the_pool(backend: str) -> None:
    is_over = threading.Event()

    def wait(is_busy: anyio.Event) -> None:
        anyio.from_thread.run_sync(is_busy.set)
        assert is_over.wait(30)

    async def main() -> Any:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        async with anyio.create_task_group() as group:
            is_busy = anyio.Event()
            group.start_soon(anyio.to_thread.run_sync, wait, is_busy)
            await is_busy.wait()
            try:
                with anyio.fail_after(20):
                    async with emulator.async_client() as client:
                        return (await client.models.list()).data
            finally:
                is_over.set()

    with Emulator(https=True) as emulator:
        assert anyio.run(main, backend=backend)
