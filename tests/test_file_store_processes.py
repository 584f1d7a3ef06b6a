"""`FileTokenStore` between processes: one token for all, and a failing endpoint that all leave in peace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gigachat_sdk import AsyncOAuthTokenManager, FileTokenStore, InternalServerError, OAuthTokenManager
from gigachat_sdk.testing import Emulator, Reply

NOW = 4_000_000_000.0  # far ahead: tokens whose end lies behind the real clock are dropped
OAUTH = "/api/v2/oauth"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


WORKER = """
import sys
from gigachat_sdk import Client, FileTokenStore
path, base_url, auth_url, credentials = sys.argv[1:]
client = Client(
    base_url=base_url, auth_url=auth_url, credentials=credentials, token_store=FileTokenStore(path), max_retries=0
)
sys.stdin.readline()
try:
    client.models.list()
    print("fine")
except Exception as error:
    print(type(error).__name__)
client.close()
"""


def workers(count: int, path: Path, emulator: Emulator) -> list[str]:
    """Run clients in processes that begin together; return what they say."""
    arguments = [str(path), emulator.base_url, emulator.auth_url, emulator.credentials]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=180)[0].strip() for process in processes]


def test_eight_processes_buy_one_token(path: Path) -> None:
    with Emulator(oauth_delay=0.3) as emulator:
        assert workers(8, path, emulator) == ["fine"] * 8
        assert emulator.oauth_requests == 1


def test_processes_that_come_during_the_pause_do_not_ask(path: Path) -> None:
    """The pause begins with 60 s, so that it is not over before they have started."""
    with Emulator() as emulator:
        emulator.on(OAUTH, lambda request: Reply.error(429, "busy", headers={"Retry-After": "3600"}))
        assert workers(1, path, emulator) == ["RateLimitError"]
        assert workers(4, path, emulator) == ["RateLimitError"] * 4
        assert emulator.oauth_requests == 1


# ---- managers ----


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_failures_are_shared_and_forgotten_with_success(path: Path, clock: Clock) -> None:
    """Two managers with a store each stand for two processes."""
    with Emulator() as emulator:
        key, options = emulator.credentials, {"auth_url": emulator.auth_url, "clock": clock, "max_retries": 0}
        one, other = (OAuthTokenManager(key, token_store=FileTokenStore(path), **options) for _ in range(2))
        emulator.reply(OAUTH, Reply(500), Reply(500))
        with pytest.raises(InternalServerError):
            one.get_token()
        clock.now += 0.4
        with pytest.raises(InternalServerError, match=r"last call for a token got this; .* asked again in 0\.6 s"):
            other.get_token()
        assert emulator.oauth_requests == 1
        clock.now += 0.6
        with pytest.raises(InternalServerError) as caught:
            other.get_token()
        assert "asked again" not in str(caught.value)
        with pytest.raises(InternalServerError, match=r"last 2 calls for a token failed; .* again in 2\.0 s"):
            OAuthTokenManager(key, token_store=FileTokenStore(path), **options).get_token()
        clock.now += 2
        token = one.get_token()
        assert emulator.oauth_requests == 3
        assert other.get_token() == token
        assert FileTokenStore(path)._read().failures == {}
        for manager in (one, other):
            manager.close()


@pytest.mark.anyio
async def test_another_processes_failure_to_renew_early_is_heeded(path: Path, clock: Clock) -> None:
    with Emulator() as emulator:
        key, options = emulator.credentials, {"auth_url": emulator.auth_url, "clock": clock, "max_retries": 0}
        one, other = (AsyncOAuthTokenManager(key, token_store=FileTokenStore(path), **options) for _ in range(2))
        emulator.reply(OAUTH, Reply(json={"access_token": "one", "expires_at": clock.now + 1800}), Reply(500))
        await one.get_token()
        clock.now += 1800 - 50
        assert (await one.get_token()).value == (await other.get_token()).value == "one"
        assert emulator.oauth_requests == 2
        clock.now += 9.9
        assert (await other.get_token()).value == "one"
        assert emulator.oauth_requests == 2
        clock.now += 0.2
        assert (await other.get_token()).value != "one"
        assert emulator.oauth_requests == 3
        for manager in (one, other):
            await manager.aclose()


def test_a_machine_that_cannot_reach_the_endpoint_keeps_that_to_itself(path: Path, clock: Clock) -> None:
    with Emulator() as emulator:
        key, address = emulator.credentials, emulator.auth_url
        one, other = (
            OAuthTokenManager(key, auth_url=address, token_store=FileTokenStore(path), clock=clock, proxy=proxy)
            for proxy in ("http://127.0.0.1:9", None)
        )
        for _ in range(2):
            with pytest.raises(Exception, match=r"proxy|connect"):
                one.get_token()
        assert other.get_token().value
        assert one.get_token().value  # it can use what others have bought
        for manager in (one, other):
            manager.close()
