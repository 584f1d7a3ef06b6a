"""The command as a process: signals, pipes, encodings, missing extras."""

from __future__ import annotations

import os
import shlex
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from kept_port import KeptPort

from gigachat_sdk import __version__
from gigachat_sdk.testing import Emulator, Reply

# A test run in the background may have Ctrl-C switched off, and children inherit that.
AS_IN_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "gigachat-sdk"
from gigachat_sdk.cli import main
sys.exit(main())
"""

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in blocked or name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

blocked = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Blocker())
from gigachat_sdk.cli import main
sys.exit(main())
"""


def python(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *args],
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )


@contextmanager
def running(*args: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", AS_IN_A_TERMINAL, *args],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_python_m_is_the_command() -> None:
    result = python("-m", "gigachat_sdk", "--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"gigachat-sdk {__version__}\n", "")


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("gigachat-sdk")
    result = subprocess.run([command, "--version"], capture_output=True, encoding="utf-8", timeout=180)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"gigachat-sdk {__version__}\n", "")


def test_errors_go_to_standard_error() -> None:
    result = python("-m", "gigachat_sdk", "chat", "--emulator", "-m", "GigaChat-99", "Привет", PYTHONUTF8="1")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: 404 ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\u0412\\u044b"), ("cp1251", "Вы"), ("utf-8", "Вы")])
def test_no_encoding_is_too_small(encoding: str, shown: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gigachat_sdk", "chat", "--emulator", "-"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        input="Привет 👋".encode(),
        capture_output=True,
        timeout=180,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode(encoding).startswith(shown)
    assert encoding == "utf-8" or result.stdout.rstrip().endswith(b"\\U0001f44b")


@pytest.mark.parametrize("args", [["--version"], ["chat", "--emulator", "Привет"]])
def test_click_is_missing(args: list[str]) -> None:
    result = python("-c", WITHOUT, "click", *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: the command line needs click: pip install 'gigachat-sdk[cli]'\n"


def test_something_else_is_missing() -> None:
    result = python("-c", WITHOUT, "gigachat_sdk.cli._models", "--version")
    assert result.returncode == 1
    assert "No module named 'gigachat_sdk.cli._models'" in result.stderr


@pytest.mark.parametrize("args", [["chat", "--emulator", "Привет"], ["models", "--emulator"], ["emulator"]])
def test_the_emulator_is_missing(args: list[str]) -> None:
    result = python("-c", WITHOUT, "hypercorn,starlette,trustme", *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "pip install 'gigachat-sdk[emulator]'" in result.stderr


def test_ctrl_c_while_an_answer_comes(settings: Emulator) -> None:
    events = [{"choices": [{"delta": {"content": f"{word}\n"}, "index": 0}]} for word in ("Раз", "два")]
    settings.reply("/v1/chat/completions", Reply.sse(events, chunk_delay=50))
    with running("chat", "Считай") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Раз\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=180)
        assert (process.returncode, output, errors.strip()) == (130, "", "")


def test_a_broken_pipe_is_quiet(settings: Emulator) -> None:
    settings.answer("слово\n" * 50_000)
    with running("chat", "Много") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=180)) == ("", 141)


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "gigachat_sdk", "models", "--emulator"],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=180,
        )
    assert (result.returncode, result.stderr) == (1, "error: No space left on device\n")


@pytest.fixture
def free_port() -> Iterator[KeptPort]:
    with KeptPort() as port:
        yield port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_emulator_serves_until_it_is_told_to_end(free_port: KeptPort, number: signal.Signals, scheme: str) -> None:
    port = free_port.number
    with running("emulator", f"--{scheme}", "--credentials", "bWU6c2VjcmV0", "--port", str(port)) as process:
        assert process.stdout is not None
        names = ["BASE_URL", "AUTH_URL", "CREDENTIALS", *(["CA_BUNDLE_FILE"] if scheme == "https" else [])]
        printed: dict[str, str] = {}
        for name in names:
            word, assignment = shlex.split(process.stdout.readline())
            variable, _, value = assignment.partition("=")
            assert (word, variable) == ("export", f"GIGACHAT_{name}")
            printed[variable] = value
        assert printed["GIGACHAT_CREDENTIALS"] == "bWU6c2VjcmV0"
        result = python("-m", "gigachat_sdk", "chat", "Привет", **printed, PYTHONIOENCODING="utf-8")
        assert (result.returncode, result.stdout, result.stderr) == (0, "Вы написали: Привет\n", "")
        process.send_signal(number)
        output, errors = process.communicate(timeout=180)
        assert (process.returncode, output) == (0, "")
        assert errors == "The emulator is running; Ctrl-C ends it.\n"
    ca_file = printed.get("GIGACHAT_CA_BUNDLE_FILE")
    assert ca_file is None or not Path(ca_file).exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(printed["GIGACHAT_BASE_URL"], verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_the_emulator_on_a_port_of_ones_own(free_port: KeptPort) -> None:
    with running("emulator", "--port", str(free_port.number)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"export GIGACHAT_BASE_URL=http://127.0.0.1:{free_port.number}/v1\n"


def test_the_emulator_does_faults_and_counts_them(tmp_path: Path) -> None:
    profile = tmp_path / "faults.toml"
    lines = ["seed = 5", "[[faults]]", 'kind = "status"', "status = 503", 'path = "/v1/models"', "times = 2"]
    profile.write_text("\n".join(lines), encoding="utf-8")
    with running("emulator", "--faults", str(profile)) as process:
        assert process.stdout is not None
        printed = [shlex.split(process.stdout.readline())[1].partition("=") for _ in range(3)]
        settings = {name: value for name, _, value in printed}
        commands = [python("-m", "gigachat_sdk", "models", **settings, GIGACHAT_MAX_RETRIES="0") for _ in range(3)]
        assert [command.returncode for command in commands] == [1, 1, 0]
        assert commands[0].stderr.startswith("error: 503 ")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=180)
    assert errors.splitlines() == [
        "Faults, with the seed 5:",
        "  status (status=503) on /v1/models, 2 times at most",
        "The emulator is running; Ctrl-C ends it.",
        "Faults done: status 2.",
    ]


def test_an_emulator_without_work_has_done_no_faults(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text("")
    with running("emulator", "--faults", str(tmp_path / "faults.toml")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=180)[1].endswith("Faults done: none.\n")
