"""The plugin that judges the whole suite, run on a suite of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .recorder import reason_of

CONFTEST = """
from contract.recorder import ContractPlugin


def pytest_configure(config):
    config.pluginmanager.register(ContractPlugin(), "contract")
"""
TESTS = """
import pytest
from gigachat_sdk.testing import Emulator, Fault, Reply, _models


@pytest.fixture
def client():
    with Emulator() as emulator, emulator.client() as client:
        client.emulator = emulator
        yield client


def test_as_documented(client):
    assert client.models.list().data


@pytest.mark.parametrize("time", [1, 2])
def test_an_answer_that_is_wrong(client, monkeypatch, time):
    monkeypatch.setattr(_models, "_LIST", [{"id": 17}])
    client.get("/models", cast_to=dict)


def test_a_request_that_is_wrong(client):
    client.models.list(extra_query={"page": 2})


def test_a_path_that_is_wrong(client):
    with pytest.raises(Exception):
        client.get("/modles", cast_to=dict)


def test_a_path_of_the_tests_own(client):
    client.emulator.reply("/v1/things", Reply(json={}), method="GET")
    client.get("/things", cast_to=dict)


def test_a_scripted_answer_is_the_tests_own(client):
    client.emulator.reply("/v1/models", Reply(json={"data": 17}), method="GET")
    client.emulator.on("/v1/models/a", lambda request: Reply(json=[]), method="GET")
    assert client.get("/models", cast_to=dict) == {"data": 17}
    assert client.get("/models/a", cast_to=list) == []


def ask_with(fault):
    with Emulator(faults=[fault]) as emulator, emulator.client(max_retries=0) as client:
        client.models.list()


def test_what_a_fault_has_bent_is_the_tests_own(monkeypatch):
    with pytest.raises(Exception):
        ask_with(Fault("status", path="/v1/models", status=503))


def test_what_comes_late_is_judged(monkeypatch):
    monkeypatch.setattr(_models, "_LIST", [{"id": "17"}])
    ask_with(Fault("latency", path="/v1/models", seconds=0.0))


@pytest.mark.off_contract("an account in a dream")
def test_marked(client):
    client.models.list(extra_query={"page": 2})


@pytest.mark.off_contract("for nothing")
def test_marked_without_need(client):
    client.models.list()


def test_that_fails_anyway(client):
    client.models.list(extra_query={"page": 2})
    raise KeyError


@pytest.fixture
def farewell(client):
    yield
    client.models.list(extra_query={"page": 2})


def test_that_leaves_the_contract_at_its_end(farewell):
    pass
"""
EXPECTED = {
    "as_documented": "PASSED",
    "an_answer_that_is_wrong[1]": "FAILED",
    "an_answer_that_is_wrong[2]": "FAILED",
    "a_request_that_is_wrong": "FAILED",
    "a_path_that_is_wrong": "FAILED",
    "a_path_of_the_tests_own": "PASSED",
    "a_scripted_answer_is_the_tests_own": "PASSED",
    "what_a_fault_has_bent_is_the_tests_own": "PASSED",
    "what_comes_late_is_judged": "FAILED",
    "marked": "PASSED",
    "marked_without_need": "FAILED",
    "that_fails_anyway": "FAILED",
    "that_leaves_the_contract_at_its_end": "ERROR",
}


def run(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = off_contract(reason): why\n", encoding="utf-8")
    arguments = ["-v", "-W", "error", "-p", "no:cacheprovider", "-p", "no:gigachat_sdk", "--strict-markers"]
    # Where these are set pytest cuts nothing short in its summary, and each message would be counted twice.
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "BUILD_NUMBER"}}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("suite"), TESTS).stdout


def test_a_test_off_the_contract_fails(output: str) -> None:
    found = dict(re.findall(r"^test_it\.py::test_(\S+) (?:PASSED )?.*?(PASSED|FAILED|ERROR)", output, re.MULTILINE))
    ends = dict(re.findall(r"^test_it\.py::test_(\S+) (ERROR)", output, re.MULTILINE))
    assert {**found, **ends} == EXPECTED, output


def test_the_failure_says_what_was_wrong_and_where(output: str) -> None:
    wrong_answer = "  listModels, answer, data[]: 'object' is a required property\n"
    wrong_request = "  listModels, request, query page: is no parameter\n"
    assert output.count(f"off the contract (tests/fixtures/openapi.yaml):\n{wrong_answer}") == 3
    assert output.count(f"off the contract (tests/fixtures/openapi.yaml):\n{wrong_request}") == 2
    assert output.count("\n  GET /v1/modles, request, path: is no operation\n") == 1
    assert "off_contract is not needed" in output
    assert re.search(f"- Captured contract call -+\n{wrong_request.strip()}\n", output)


def test_a_mark_gives_its_reason() -> None:
    assert reason_of(None) is None
    assert reason_of(pytest.mark.off_contract("an account in a dream").mark) == "an account in a dream"


@pytest.mark.parametrize(("given", "named"), [((), {}), ((" ",), {}), ((1,), {}), (("a", "b"), {}), (("a",), {"b": 1})])
def test_a_mark_without_a_reason_is_refused(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(pytest.UsageError, match="off_contract takes one argument, the reason"):
        reason_of(pytest.mark.off_contract(*given, **named).mark)


def test_a_mark_without_a_reason_ends_the_run(tmp_path: Path) -> None:
    result = run(tmp_path, "import pytest\n@pytest.mark.off_contract()\ndef test_it(): pass\n")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "off_contract takes one argument" in result.stderr
