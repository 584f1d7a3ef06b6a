from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from gigachat_sdk.cli._program import program
from gigachat_sdk.testing import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def settings(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Lead clients of this process and of its children to the emulator."""
    monkeypatch.setenv("GIGACHAT_BASE_URL", emulator.base_url)
    monkeypatch.setenv("GIGACHAT_AUTH_URL", emulator.auth_url)
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", emulator.credentials)
    return emulator


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a command line in this process; `output` of the result is what both output streams got."""

    def invoke(*args: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(program, list(args), input=stdin, prog_name="gigachat-sdk", catch_exceptions=False)

    return invoke
