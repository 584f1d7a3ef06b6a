"""What every test gets."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from contract.recorder import ContractPlugin
from hypothesis import HealthCheck, settings
from left_behind import LEAVES_SOCKETS, end_limiters, outlive, threads
from redis_server import HOW_TO_GET_IT, PROGRAM, RedisServer

import gigachat_sdk._async.auth as async_auth_module
import gigachat_sdk._redis as redis_module
import gigachat_sdk._sync.auth as sync_auth_module
from gigachat_sdk import MemoryTokenStore

PROXY_VARIABLES = {"ALL_PROXY", "FTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every test marked `anyio` on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis for all tests of a process; each takes a namespace of its own. It lets nobody wait for its start."""
    with RedisServer() as server:
        server.settle()
        yield server


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests: keys, addresses, proxies."""
    for name in list(os.environ):
        if name.upper().startswith("GIGACHAT_") or name.upper() in PROXY_VARIABLES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def process_store(monkeypatch: pytest.MonkeyPatch) -> MemoryTokenStore:
    """Begin every test without tokens: ports come again, and the usual store lasts as long as the process."""
    store = MemoryTokenStore()
    for module in (async_auth_module, sync_auth_module):
        monkeypatch.setattr(module, "process_store", store)
    return store


@pytest.fixture(autouse=True)
def _redis_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Redis that stands still for some seconds, as a busy machine does, be away for those tests only that say so.

    They set the time themselves.
    """
    monkeypatch.setattr(redis_module, "_SECONDS_TO_ANSWER", 30.0)


# Modules with JSON and values that are nested deeper than Python's stack is.
FULL_STACKS = frozenset(
    {
        *("test_batch_results", "test_batches", "test_bulk", "test_chat_requests_are_checked", "test_errors"),
        *("test_file_store", "test_items", "test_journal", "test_judging", "test_long_values", "test_model_bodies"),
        *("test_parse", "test_ray", "test_recorder", "test_request", "test_response", "test_response_v2"),
        *("test_schema", "test_schema_bounds", "test_sealing", "test_small_refusals", "test_types_chat"),
        *("test_types_chat_request", "test_types_v2_request", "test_unknown"),
    }
)


@pytest.fixture(autouse=True)
def _nothing_is_collected_on_a_full_stack(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep the collector from finalizing there what other tests have left: on a full stack any call fails."""
    if request.node.path.stem not in FULL_STACKS:
        yield
        return
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _every_thread_ends_with_its_test() -> Iterator[None]:
    """Fail a test that leaves a thread to the tests after it."""
    before = threads()
    yield
    end_limiters()
    if left := list(outlive(before)):
        pytest.fail(f"threads go on after their test: {left}")


# On a busy machine every example is slow, which says nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Let all that goes over the wire be judged by the description of the API; refuse to run without Redis in CI."""
    config.addinivalue_line("markers", "redis: needs the program redis-server, and is left out without it")
    config.pluginmanager.register(ContractPlugin(), "contract")
    if LEAVES_SOCKETS:
        for kind in ("transport <_SelectorSocketTransport", "<socket.socket"):
            config.addinivalue_line("filterwarnings", f"ignore:unclosed {kind}:ResourceWarning")
    if PROGRAM is None and os.environ.get("TESTS_NEED_REDIS"):
        raise pytest.UsageError(f"TESTS_NEED_REDIS is set, and redis-server is not installed: {HOW_TO_GET_IT}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a Redis server where there is none."""
    with_redis = [
        item
        for item in items
        if item.get_closest_marker("redis") or "redis_server" in getattr(item, "fixturenames", ())
    ]
    if with_redis and PROGRAM is None:
        config.hook.pytest_deselected(items=with_redis)
        items[:] = [item for item in items if item not in with_redis]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if PROGRAM is None:
        terminalreporter.write_line(
            f"left out: the tests of what workers share, as redis-server is not installed ({HOW_TO_GET_IT})"
        )
