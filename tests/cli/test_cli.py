"""What the command prints and how it ends, run in this process."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gigachat_sdk import __version__
from gigachat_sdk.cli import main
from gigachat_sdk.cli._program import program
from gigachat_sdk.testing import Emulator, Reply

CHAT = "/v1/chat/completions"
Run = Callable[..., Result]


def sent(emulator: Emulator) -> dict[str, object]:
    body: dict[str, object] = emulator.requests_to(CHAT)[-1].json()
    return body


def test_the_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"gigachat-sdk {__version__}\n")


def test_the_output_may_be_any_text_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr("sys.stdout", output)
    with pytest.raises(SystemExit) as ending:
        program.main(["--version"], prog_name="gigachat-sdk")
    assert (ending.value.code, output.getvalue()) == (0, f"gigachat-sdk {__version__}\n")


def test_importing_the_main_module_does_nothing() -> None:
    assert importlib.import_module("gigachat_sdk.__main__").main is main


def test_no_command_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert result.output == run("--help").output
    assert "GIGACHAT_CREDENTIALS" in result.output


@pytest.mark.parametrize("command", ["chat", "models", "emulator"])
def test_help_of_a_command(run: Run, command: str) -> None:
    result = run(command, "-h")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: gigachat-sdk {command} ")
    assert command == "emulator" or "GIGACHAT_CREDENTIALS" in result.output


@pytest.mark.parametrize("command", ["chat", "models"])
def test_there_is_no_option_for_the_key(run: Run, command: str) -> None:
    result = run(command, "--credentials", "c2VjcmV0OnNlY3JldA==")
    assert result.exit_code == 2
    assert result.output.startswith("error: No such option")


# ---- chat ----


@pytest.mark.parametrize("mode", ["--stream", "--no-stream"])
def test_an_answer_is_printed(run: Run, settings: Emulator, mode: str) -> None:
    result = run("chat", mode, "Привет")
    assert (result.exit_code, result.output) == (0, "Вы написали: Привет\n")
    assert sent(settings).get("stream", False) is (mode == "--stream")


def test_the_options_reach_the_service(run: Run, settings: Emulator) -> None:
    args = ["--model", "GigaChat-2-Max", "--system", "Кратко.", "--temperature", "0.5", "--max-tokens", "50"]
    assert run("chat", *args, "--no-stream", "Привет").exit_code == 0
    assert sent(settings) == {
        "model": "GigaChat-2-Max",
        "messages": [{"role": "system", "content": "Кратко."}, {"role": "user", "content": "Привет"}],
        "temperature": 0.5,
        "max_tokens": 50,
    }


def test_the_model_of_the_environment(run: Run, settings: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MODEL", "GigaChat-2-Pro")
    assert run("chat", "Привет").exit_code == 0
    assert sent(settings)["model"] == "GigaChat-2-Pro"


@pytest.mark.parametrize("args", [["-"], []])
@pytest.mark.parametrize("stdin", ["Привет", "Привет".encode("utf-8-sig")])
def test_a_question_from_standard_input(run: Run, settings: Emulator, args: list[str], stdin: str | bytes) -> None:
    assert run("chat", *args, stdin=stdin).output == "Вы написали: Привет\n"


def test_standard_input_in_the_encoding_of_the_system(
    run: Run, settings: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: "cp1251")
    assert run("chat", stdin="Привет".encode("cp1251")).output == "Вы написали: Привет\n"


@pytest.mark.parametrize(
    ("encoding", "said"), [("ascii", "UTF-8, nor in ascii"), ("UTF-8", "UTF-8"), ("utf8", "UTF-8")]
)
def test_standard_input_that_is_no_text(run: Run, monkeypatch: pytest.MonkeyPatch, encoding: str, said: str) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: encoding)
    result = run("chat", stdin=b"\xff\xfe")
    assert result.exit_code == 2
    assert result.output.startswith(f"error: standard input is no text in {said} (see")


@pytest.mark.parametrize("args", [["-"], [], ["  "]])
def test_no_question(run: Run, args: list[str]) -> None:
    result = run("chat", *args, stdin="")
    assert result.exit_code == 2
    assert result.output == (
        "error: there is no question: give it as an argument, or pipe it in (see 'gigachat-sdk chat --help')\n"
    )


@pytest.mark.parametrize("mode", ["--stream", "--no-stream"])
def test_a_line_end_comes_once_in_a_stream(run: Run, settings: Emulator, mode: str) -> None:
    settings.answer("Раз\nдва\n")
    assert run("chat", mode, "?").output == "Раз\nдва\n" + ("\n" if mode == "--no-stream" else "")


@pytest.mark.parametrize("mode", ["--stream", "--no-stream"])
def test_an_answer_cannot_steer_the_terminal(run: Run, settings: Emulator, mode: str) -> None:
    settings.answer("\x1b[2JРаз\tдва\x9b1m\x07")
    assert run("chat", mode, "?").output == "[2JРаз\tдва1m\n"


@pytest.mark.parametrize("mode", ["--stream", "--no-stream"])
def test_an_answer_that_ended_early_is_noted(run: Run, settings: Emulator, mode: str) -> None:
    result = run("chat", mode, "--max-tokens", "2", "Привет")
    assert result.exit_code == 0
    assert result.output == "Вы написа\nnote: the answer ended early, finish reason length\n"


@pytest.mark.parametrize(("mode", "output"), [("--stream", "\n"), ("--no-stream", "\n")])
def test_an_answer_without_choices(run: Run, settings: Emulator, mode: str, output: str) -> None:
    empty = {"choices": [], "created": 1, "model": "GigaChat", "object": "chat.completion"}
    settings.reply(CHAT, Reply.sse([empty]) if mode == "--stream" else Reply(json=empty))
    result = run("chat", mode, "?")
    assert (result.exit_code, result.output) == (0, output)


def test_a_cut_stream_keeps_what_came(run: Run, settings: Emulator) -> None:
    settings.reply(CHAT, Reply.sse([{"choices": [{"delta": {"content": "Раз, два"}, "index": 0}]}], done=False))
    result = run("chat", "?")
    assert result.exit_code == 1
    text, error = result.output.splitlines()
    assert text == "Раз, два"
    assert error.startswith("error: the stream ended before it was complete")


@pytest.mark.parametrize("content", ["", "Раз\n"])
def test_a_cut_stream_adds_no_empty_line(run: Run, settings: Emulator, content: str) -> None:
    settings.reply(CHAT, Reply.sse([{"choices": [{"delta": {"content": content}, "index": 0}]}], done=False))
    assert run("chat", "?").output.startswith(content + "error: ")


# ---- errors ----


def test_an_unknown_model(run: Run, settings: Emulator) -> None:
    result = run("chat", "-m", "GigaChat-99", "Привет")
    assert result.exit_code == 1
    assert result.output.startswith(
        f"error: 404 for POST {settings.base_url}/chat/completions: No such model. 'gigachat-sdk models' names "
        "the models of your account. (request id "
    )
    assert result.output.count("\n") == 1


def test_an_error_is_one_printable_line(run: Run, settings: Emulator) -> None:
    settings.reply(CHAT, Reply.error(422, "Invalid params:\r\n\x1b[31mtemperature\n"))
    result = run("chat", "Привет")
    assert result.exit_code == 1
    assert "Invalid params: [31mtemperature" in result.output
    assert result.output.count("\n") == 1


def test_nobody_is_named(run: Run) -> None:
    result = run("chat", "Привет")
    assert result.exit_code == 2
    assert result.output.startswith("error: nothing says who you are")
    assert "GIGACHAT_CREDENTIALS" in result.output


def test_a_setting_that_makes_no_sense(run: Run, settings: Emulator) -> None:
    result = run("chat", "--base-url", "api.giga.chat", "Привет")
    assert result.exit_code == 2
    assert result.output.startswith("error: base_url: 'api.giga.chat' is not an ")


def test_an_argument_that_cannot_be_sent(run: Run, settings: Emulator) -> None:
    result = run("chat", "-t", "nan", "Привет")
    assert result.exit_code == 2
    assert result.output.startswith("error: temperature: expected a finite number")


def test_the_service_cannot_be_reached(run: Run, settings: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "0")
    settings.stop()
    result = run("models")
    assert result.exit_code == 1
    assert result.output.startswith("error: could not connect to 127.0.0.1")


# ---- models ----


def test_the_models_are_listed(run: Run, settings: Emulator) -> None:
    result = run("models")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["GigaChat", "chat", "salutedevices"]
    assert lines[-1] == "GigaEmbeddings-3B-2025-09  embedder  salutedevices"


def test_the_models_as_json(run: Run, settings: Emulator) -> None:
    answer = {"object": "list", "data": [{"id": "Новая", "object": "model", "owned_by": "x", "future": [1]}]}
    settings.reply("/v1/models", Reply(json=answer), method="GET", times=2)
    assert json.loads(run("models", "--json").output) == answer
    assert run("models").output == "Новая    x\n"


def test_no_models(run: Run, settings: Emulator) -> None:
    settings.reply("/v1/models", Reply(json={"object": "list", "data": []}), method="GET")
    result = run("models")
    assert (result.exit_code, result.output) == (0, "")


# ---- the emulator inside ----


def test_the_emulator_inside_needs_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", "/nowhere")
    monkeypatch.setenv("GIGACHAT_ACCESS_TOKEN", "mine")
    assert run("chat", "--emulator", "Привет").output == "Вы написали: Привет\n"
    assert run("models", "--emulator").output.startswith("GigaChat ")


def test_the_emulator_inside_has_its_own_address(run: Run) -> None:
    result = run("models", "--emulator", "--base-url", "https://api.giga.chat/v1")
    assert result.exit_code == 2
    assert result.output.startswith("error: --emulator has an address of its own")


@pytest.mark.parametrize(("key", "reason"), [("пароль", "characters outside ASCII"), ("me", "this is not base64")])
def test_a_key_that_no_client_could_send(run: Run, key: str, reason: str) -> None:
    result = run("emulator", "--credentials", key)
    assert result.exit_code == 2
    assert result.output.startswith("error: --credentials: ")
    assert reason in result.output


def test_a_port_that_is_taken(run: Run, emulator: Emulator) -> None:
    port = emulator.base_url.rpartition(":")[2].removesuffix("/v1")
    result = run("emulator", "--port", port)
    assert (result.exit_code, result.output) == (2, f"error: --port {port}: Address already in use\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "--faults faults.toml: No such file or directory"),
        ('[[faults]]\nkind = "latncy"\n', "--faults faults.toml: fault 1: kind: 'latncy' is none; did you mean"),
        ("seed = ", "--faults faults.toml: Invalid value"),
    ],
)
def test_a_profile_that_cannot_be_used(
    run: Run, text: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("faults.toml").write_text(text, encoding="utf-8")
    result = run("emulator", "--faults", "faults.toml")
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {reason}")
    assert result.output.count("\n") == 1
