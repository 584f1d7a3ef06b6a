"""Every example runs as it is, and does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigachat_sdk.testing import Emulator, Reply

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHAT = "/v1/chat/completions"


def run(name: str, *, interpreter: tuple[str, ...] = ("-W", "error"), **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *interpreter, EXAMPLES / f"{name}.py"],
        env={**os.environ, **more},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


# `make ray` runs the one that needs Ray.
@pytest.mark.parametrize("name", sorted({file.stem for file in EXAMPLES.glob("*.py")} - {"ray_dataset"}))
def test_an_example_runs(name: str, emulator: Emulator) -> None:
    result = run(name)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout
    asks_the_service = name != "testing_with_emulator"
    assert bool(emulator.requests_to(CHAT)) is asks_the_service


def test_a_stream_that_is_cut_is_shown_as_such(emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.sse([{"choices": [{"delta": {"content": "Байкал"}, "index": 0}]}], done=False))
    assert run("stream").stdout == "Байкал [оборвалось]\n"


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Reply.error(401, "Unauthorized"), "Ключ не подошёл."),
        (Reply.error(402, "Payment Required"), "Не получилось: 402 "),
        (Reply.error(429, "Too many requests", headers={"Retry-After": "61"}), "Слишком много запросов сразу; "),
    ],
)
def test_errors_are_told_apart(reply: Reply, shown: str, emulator: Emulator) -> None:
    emulator.reply(CHAT, reply, times=2)
    assert run("errors").stdout.startswith(shown)


def test_the_demo_needs_no_key_and_no_network() -> None:
    result = run(
        "demo",
        PYTHONUTF8="1",
        GIGACHAT_PROXY="http://127.0.0.1:9",
        HTTPS_PROXY="http://127.0.0.1:9",
        GIGACHAT_MODEL="GigaChat-0",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "NotFoundError: 404 for POST https://127.0.0.1" in result.stdout
    assert "запросов OAuth: 3, отказов 401: 1" in result.stdout
    assert result.stdout.endswith("Всё сошлось.\n")


def test_the_demo_says_what_only_the_emulator_shows(emulator: Emulator) -> None:
    result = run("demo")
    assert f"отвечает {emulator.base_url}." in result.stdout
    assert "Пропущено." in result.stdout


def test_the_demo_on_a_terminal_without_cyrillic() -> None:
    result = run("demo", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_demo_fails_where_the_service_does(emulator: Emulator) -> None:
    emulator.revoke_tokens()
    emulator.reply(CHAT, Reply.error(402, "Payment Required"))
    result = run("demo")
    assert result.returncode == 1
    assert result.stderr.startswith("\nНе получилось: 402 ")


def test_the_demo_fails_where_an_answer_is_not_as_it_should_be(emulator: Emulator) -> None:
    emulator.answer("")
    result = run("demo")
    assert (result.returncode, result.stderr) == (1, "\nНе получилось: the answer is empty\n")
