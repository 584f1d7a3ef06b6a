"""`ChatMapper` on a real Ray cluster of two workers; `make ray` runs these, in an environment of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer

from gigachat_sdk.bulk.ray import ChatMapper
from gigachat_sdk.testing import Emulator, Fault, Reply

from .conftest import CHAT, asked, asking, refusing
from .gates import answer_together

pytestmark = [
    pytest.mark.ray,
    pytest.mark.redis,
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*"),  # Ray warns of settings of its own
]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ray_dataset.py"
LIMIT, WORKERS, ROWS = 3, 2, 160
LATENCY = Fault("latency", path=CHAT, seconds=0.03)


@pytest.fixture(scope="module")
def ray(redis_server: RedisServer) -> Iterator[Any]:
    """Ray, connected to a cluster of two nodes that have a processor each; the driver's node has none."""
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # or it writes a token into the home directory
        "GIGACHAT_REDIS_URL": redis_server.url,
        "GIGACHAT_CREDENTIALS": Emulator().credentials,
    }
    ray, utilities = import_module("ray"), import_module("ray.cluster_utils")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            made = utilities.Cluster()
            stack.callback(made.shutdown)
            node = {"object_store_memory": 100_000_000}
            made.add_node(num_cpus=0, include_dashboard=False, **node)
            for _ in range(WORKERS):
                made.add_node(num_cpus=1, **node)
            made.wait_for_nodes()
        # The driver has no credentials: only actors make clients.
        ray.init(address=made.address, log_to_driver=False)
        stack.callback(ray.shutdown)
        # Workers cannot import what stands beside tests.
        import_module("ray.cloudpickle").register_pickle_by_value(sys.modules[__name__])
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        yield ray


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(concurrency=LIMIT, faults=[LATENCY]) as running:
        running.answer(lambda request: request["messages"][-1]["content"] + "!")
        yield running


@pytest.fixture
def settings(emulator: Emulator, tmp_path: Path) -> dict[str, Any]:
    return {
        "limit": LIMIT,
        "concurrency": 8,
        "namespace": tmp_path.name,
        "client_options": {"base_url": emulator.base_url, "auth_url": emulator.auth_url},
    }


def mapped(ray: Any, rows: list[dict[str, Any]], settings: dict[str, Any], **options: Any) -> Any:
    return ray.data.from_items(rows, override_num_blocks=8).map_batches(
        ChatMapper,
        fn_constructor_kwargs=settings,
        compute=ray.data.ActorPoolStrategy(size=WORKERS),
        **{"batch_size": 20, **options},
    )


def from_here(row: dict[str, Any]) -> dict[str, Any]:
    """Ask about a row, and tell which process does."""
    return asking_of(row["text"], str(os.getpid()))


def asking_of(text: str, session: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "session_id": session}


def test_actors_share_the_quota_and_the_token(ray: Any, emulator: Emulator, settings: dict[str, Any]) -> None:
    rows = [{"id": number, "text": f"row {number}"} for number in range(ROWS)]
    answer_together(emulator, LIMIT, "{}!".format)
    answered = mapped(ray, rows, {**settings, "make_request": from_here}).take_all()
    assert answered == [{**row, "response": f"{row['text']}!", "error": None} for row in rows]
    assert emulator.max_in_flight == LIMIT
    assert emulator.oauth_requests == 1
    calls = emulator.requests_to(CHAT)
    assert len(calls) == ROWS
    assert len({call.headers["x-session-id"] for call in calls}) == WORKERS
    assert {call.status for call in calls} == {200}


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_batches_of_each_format(
    batch_format: str, ray: Any, emulator: Emulator, settings: dict[str, Any], tmp_path: Path
) -> None:
    refusing(emulator, {"b": Reply.error(422, "Unprocessable Entity")})
    rows: list[dict[str, Any]] = [{"id": number, "request": asking("a")} for number in range(40)]
    rows[1]["request"]["temperature"] = 0.5  # so that all structs have the field, and most have None there
    rows[39]["request"] = asking("b")
    given = {**settings, "request_column": "request", "output_column": "answer"}
    answered = mapped(ray, rows, given, batch_format=batch_format, batch_size=10).materialize()
    found = answered.take_all()
    assert [row["id"] for row in found] == list(range(40))
    assert [row["answer"] for row in found] == ["a!"] * 39 + [None]
    assert [row["error"] is None for row in found] == [True] * 39 + [False]
    assert found[39]["error"].startswith("UnprocessableEntityError: 422 for ")
    assert sum("temperature" in call.json() for call in emulator.requests_to(CHAT)) == 1
    # Every part of the dataset says that its columns are text, those without an error too.
    answered.write_parquet(str(tmp_path / "out"))
    parquet = import_module("pyarrow.parquet")
    schemas = [parquet.read_schema(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len(schemas) > 1
    assert {str(schema.field(name).type) for schema in schemas for name in ("answer", "error")} == {"string"}


def test_trouble_with_the_account_ends_the_job(ray: Any, emulator: Emulator, settings: dict[str, Any]) -> None:
    emulator.on(CHAT, lambda _: Reply.error(402, "Payment Required"))
    rows = [{"text": f"row {number}"} for number in range(ROWS)]
    with pytest.raises(Exception, match="PaymentRequiredError") as failed:
        mapped(ray, rows, {**settings, "prompt_column": "text"}).take_all()
    assert emulator.credentials not in str(failed.value)
    assert len(asked(emulator)) < ROWS


def test_an_actor_that_is_killed_is_replaced(
    ray: Any, emulator: Emulator, settings: dict[str, Any], tmp_path: Path
) -> None:
    killed = tmp_path / "killed"

    def make_request(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == ROWS // 2 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return asking_of(row["text"], str(os.getpid()))

    rows = [{"id": number, "text": f"row {number}"} for number in range(ROWS)]
    answered = mapped(ray, rows, {**settings, "make_request": make_request, "lease": 1}).take_all()
    assert killed.exists()
    assert [(row["response"], row["error"]) for row in answered] == [(f"row {number}!", None) for number in range(ROWS)]
    assert emulator.max_in_flight <= LIMIT
    assert emulator.oauth_requests == 1


def test_an_instance_goes_to_tasks(ray: Any, emulator: Emulator, settings: dict[str, Any]) -> None:
    rows = [{"text": f"row {number}"} for number in range(40)]
    mapper = ChatMapper(prompt_column="text", **settings)
    answered = ray.data.from_items(rows, override_num_blocks=4).map_batches(mapper).take_all()
    assert [row["response"] for row in answered] == [f"row {number}!" for number in range(40)]
    assert emulator.max_in_flight <= LIMIT
    assert emulator.oauth_requests == 1


def test_the_example_runs() -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONUTF8": "1"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, EXAMPLE], env=environment, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "строк: 300, ошибок: 0, {" in done.stdout
    assert "запросов токена: 1\n" in done.stdout
    assert done.stdout.endswith("сразу не больше 3: лимит 3 на 2 × 8 желающих\n")
