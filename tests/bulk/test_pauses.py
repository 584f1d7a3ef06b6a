"""A run that is left waits for no retry, and sends nothing afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from gigachat_sdk import bulk
from gigachat_sdk.testing import Emulator, Fault, Reply

from .conftest import CHAT, asked, asking, lines
from .test_map import consumed

OAUTH = "/api/v2/oauth"


def later(path: str) -> Callable[[Emulator], None]:
    """Have a request come again in a minute."""
    return lambda emulator: emulator.reply(path, Reply.error(503, "down", headers={"Retry-After": "60"}), times=1)


def slow_token(emulator: Emulator) -> None:
    emulator.inject(Fault("latency", seconds=0.3, path=OAUTH))


@pytest.fixture(params=[(CHAT, later(CHAT), 1), (OAUTH, later(OAUTH), 0), (OAUTH, slow_token, 0)])
def waiting(request: pytest.FixtureRequest, emulator: Emulator) -> Any:
    """Waits until a request is about to wait, and how often it is sent before."""
    path, prepare, count = request.param
    prepare(emulator)

    def come() -> None:
        while not emulator.requests_to(path):
            threading.Event().wait(0.01)

    return come, count


@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
def test_closing_ends_the_wait_for_a_retry(
    emulator: Emulator, journal: Path, waiting: Any, settings: dict[str, Any]
) -> None:
    come, count = waiting
    with emulator.client(**settings) as client:
        run = bulk.map(client, [asking("0"), asking("1")], journal, concurrency=1)
        with consumed(run):
            come()
            run.close()
    assert (asked(emulator), lines(journal)) == (["0"] * count, [])


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
async def test_leaving_the_block_ends_the_wait_for_a_retry(
    emulator: Emulator, journal: Path, waiting: Any, settings: dict[str, Any]
) -> None:
    come, count = waiting
    requests = [asking("0"), asking("1")]
    async with (
        emulator.async_client(**settings) as client,
        bulk.amap(client, requests, journal, concurrency=1) as run,
    ):
        await run._begin()
        await anyio.to_thread.run_sync(come)
    assert (asked(emulator), lines(journal)) == (["0"] * count, [])
