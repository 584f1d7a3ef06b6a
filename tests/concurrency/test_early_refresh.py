"""While a token is renewed early, nobody but the one who renews it waits: counted, not timed."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from gigachat_sdk import (
    AccessToken,
    AsyncOAuthTokenManager,
    FileTokenStore,
    MemoryTokenStore,
    OAuthTokenManager,
    RedisTokenStore,
    TokenStore,
)
from gigachat_sdk._async import auth as async_auth
from gigachat_sdk._sync import auth as sync_auth
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import OAUTH

CALLS = 20  # further ones that every other caller has to make while the token is renewed
PAUSE = 0.01  # seconds between a caller's calls
PATIENCE = 60.0  # seconds after which callers go on no more, whatever token they get
THREADS, TASKS = 16, 128
OLD = "old-token"
Stores = Callable[[], TokenStore]


class Clock:
    """A clock that says when the token was bought, and after a turn that it is about to end."""

    def __init__(self) -> None:
        self.now = 4_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "file", pytest.param("redis", marks=pytest.mark.redis)])
def stores(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Stores:
    """Make the store of a process: in memory they are one, on a file and in Redis each has an object of its own."""
    if request.param == "memory":
        memory = MemoryTokenStore()
        return lambda: memory
    if request.param == "file":
        return lambda: FileTokenStore(tmp_path / "tokens.json")
    server = request.getfixturevalue("redis_server")
    return lambda: RedisTokenStore(server.url, namespace=tmp_path.name, clock=clock)


class Renewal:
    """An OAuth endpoint that gives out a token, and holds the second request until it may go on, and for a delay."""

    def __init__(self, clock: Clock, *, delay: float = 0.0) -> None:
        self.clock = clock
        self.delay = delay
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.was_waited_for = False
        self.requests = 0

    def __call__(self, request: RecordedRequest) -> Reply:
        self.requests += 1
        if self.requests == 1:
            return Reply(json={"access_token": OLD, "expires_at": self.clock.now + 1800})
        self.begun.set()
        if not self.may_end.wait(PATIENCE):
            self.was_waited_for = True
        body = {"access_token": f"new-token-{self.requests}", "expires_at": self.clock.now + 1800}
        return Reply(json=body, delay=self.delay)


class Callers:
    """Counts the calls that are made while the token is renewed; the renewal may end when all but one made enough."""

    def __init__(self, renewal: Renewal, count: int) -> None:
        self.renewal = renewal
        self.count = count
        self.guard = threading.Lock()
        self.ends_at = time.monotonic() + PATIENCE
        self.done: Counter[int] = Counter()
        self.values: set[str] = set()

    def made(self, caller: int, token: AccessToken) -> bool:
        """Note a call; say whether this caller goes on."""
        with self.guard:
            self.values.add(token.value)
            if self.renewal.begun.is_set() and token.value == OLD:
                self.done[caller] += 1
            if len([made for made in self.done.values() if made >= CALLS]) >= self.count - 1:
                self.renewal.may_end.set()
        return token.value == OLD and time.monotonic() < self.ends_at

    def rest(self) -> None:
        """Pause as long as a request takes: callers that never do keep the one who renews from working."""
        time.sleep(PAUSE)

    async def arest(self) -> None:
        """Do the same for a task."""
        await anyio.sleep(PAUSE)

    def check(self) -> None:
        assert not self.renewal.was_waited_for
        assert len([made for made in self.done.values() if made >= CALLS]) >= self.count - 1, self.done
        assert self.renewal.requests == 2
        assert self.values == {OLD, "new-token-2"}


@pytest.fixture(autouse=True)
def _nothing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow lock or endpoint: by a clock that stands, the pause after one would never end."""
    for auth in (sync_auth, async_auth):
        monkeypatch.setattr(auth, "_SLOW", math.inf)
        monkeypatch.setattr(auth, "EARLY_REFRESH_TIMEOUT", PATIENCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def bought(emulator: Emulator, clock: Clock, stores: Stores) -> None:
    """Have a token bought, and let it get old."""
    manager = OAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=stores())
    assert manager.get_token().value == OLD
    manager.close()
    clock.now += 1800 - 50


@pytest.mark.parametrize(("managers", "delay"), [(1, 0.0), (4, 0.0), (1, 0.5)])
def test_16_threads(emulator: Emulator, clock: Clock, stores: Stores, managers: int, delay: float) -> None:
    renewal = Renewal(clock, delay=delay)
    emulator.on(OAUTH, renewal)
    bought(emulator, clock, stores)
    callers = Callers(renewal, THREADS)
    made = [
        OAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=stores())
        for _ in range(managers)
    ]

    def call(number: int) -> None:
        while callers.made(number, made[number % managers].get_token()):
            callers.rest()

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for manager in made:
        manager.close()
    callers.check()


def in_tasks(
    backend: str, count: int, work: Callable[[int], Awaitable[None]], close: Callable[[], Awaitable[None]]
) -> None:
    """Run `work(0)`, `work(1)`, ... at once, and then `close`."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(work, number)
        await close()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("managers", [1, 4])
def test_128_tasks(emulator: Emulator, clock: Clock, stores: Stores, backend: str, managers: int) -> None:
    renewal = Renewal(clock)
    emulator.on(OAUTH, renewal)
    bought(emulator, clock, stores)
    callers = Callers(renewal, TASKS)
    made = [
        AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=stores())
        for _ in range(managers)
    ]

    async def call(number: int) -> None:
        while callers.made(number, await made[number % managers].get_token()):
            await callers.arest()

    async def close() -> None:
        for manager in made:
            await manager.aclose()

    in_tasks(backend, TASKS, call, close)
    callers.check()


def test_threads_and_tasks_together(emulator: Emulator, clock: Clock, tmp_path: Path) -> None:
    """A lock between processes is one between threads and tasks as well: they renew the token once together."""

    def stores() -> TokenStore:
        return FileTokenStore(tmp_path / "tokens.json")

    renewal = Renewal(clock)
    emulator.on(OAUTH, renewal)
    bought(emulator, clock, stores)
    callers = Callers(renewal, THREADS + TASKS)
    manager = OAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=stores())
    other = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, clock=clock, token_store=stores())

    def call(number: int) -> None:
        while callers.made(number, manager.get_token()):
            callers.rest()

    async def acall(number: int) -> None:
        while callers.made(THREADS + number, await other.get_token()):
            await callers.arest()

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    in_tasks("asyncio", TASKS, acall, other.aclose)
    for thread in threads:
        thread.join(60)
    manager.close()
    callers.check()
