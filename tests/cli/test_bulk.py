"""`gigachat-sdk bulk`: requests from a file, answers into another one."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from click.testing import Result

import gigachat_sdk.testing._replies as replies_module
from gigachat_sdk.cli import _bulk
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

CHAT = "/v1/chat/completions"
Run = Callable[..., Result]


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "in.jsonl"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def write(source: Path, items: Iterable[object]) -> None:
    source.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_bytes().split(b"\n")[:-1]]


def refuse(emulator: Emulator, replies: dict[str, Reply]) -> None:
    emulator.on(CHAT, lambda request: replies.get(request.json()["messages"][-1]["content"]))


def test_answers_of_a_file(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    write(source, [{"id": f"q{number}", "request": asking(str(number))} for number in range(20)])
    result = run("bulk", str(source), str(output), "--concurrency", "4")
    assert (result.exit_code, result.output) == (0, "done: 20\n")
    assert sorted(line["id"] for line in lines(output)) == sorted(f"q{number}" for number in range(20))
    for line in lines(output):
        assert line["response"]["choices"][0]["message"]["content"] == f"Вы написали: {line['id'][1:]}"
    assert settings.max_in_flight <= 4

    result = run("bulk", str(source), str(output))
    assert (result.exit_code, result.output) == (0, "done: 20 (20 from the journal)\n")
    assert len(settings.requests_to(CHAT)) == 20


def test_answers_are_sorted_when_all_is_done(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    refuse(settings, {"0": Reply.error(422, "no", delay=0.3)})
    write(source, [asking(str(number)) for number in range(12)])
    assert run("bulk", "--as-finished", "--concurrency", "6", str(source), str(output)).exit_code == 1
    assert [line["index"] for line in lines(output)] != list(range(12))
    assert run("bulk", "--ordered", str(source), str(output)).exit_code == 1
    assert [line["index"] for line in lines(output)] == list(range(12))


def test_the_order_is_the_one_of_the_file_as_it_is_now(
    run: Run, settings: Emulator, source: Path, output: Path
) -> None:
    write(source, [{"id": "gone", "request": asking("gone")}, asking("0"), *named("ab"), asking("4")])
    assert run("bulk", str(source), str(output)).exit_code == 0
    write(source, [*named("c"), asking("0"), *named("dba")])
    assert run("bulk", "--ordered", "--concurrency", "3", str(source), str(output)).exit_code == 0
    assert [line.get("id", line["index"]) for line in lines(output)] == ["c", 1, "d", "b", "a", "gone", 4]


def named(names: str) -> list[dict[str, Any]]:
    return [{"id": name, "request": asking(name)} for name in names]


def test_some_fail(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    refuse(settings, {"1": Reply.error(400, "no"), "2": Reply.error(503, "down")})
    write(source, [asking(str(number)) for number in range(4)])
    result = run("bulk", str(source), str(output), "--max-retries", "0")
    assert result.exit_code == 1
    first, bad, down, advice = result.output.splitlines()
    assert first == "done: 4 (2 failed)"
    bad, down = sorted([bad, down])
    assert bad.startswith(f"  1 BadRequestError: {source}, line 2: 400 for POST ")
    assert down.startswith(f"  1 InternalServerError: {source}, line 3: 503 for POST ")
    assert advice == "errors that do not pass stay in OUTPUT; --retry-errors asks those requests again, too"
    assert [line["is_final"] for line in sorted(lines(output), key=lambda line: line["index"]) if "error" in line] == [
        True,
        False,
    ]
    refuse(settings, {})
    result = run("bulk", str(source), str(output))
    assert (result.exit_code, result.output.splitlines()[0]) == (1, "done: 4 (1 failed, 3 from the journal)")
    result = run("bulk", str(source), str(output), "--retry-errors")
    assert (result.exit_code, result.output) == (0, "done: 4 (3 from the journal)\n")


def test_many_fail_in_the_same_way(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    refuse(settings, {str(number): Reply.error(503, "down") for number in range(3)})
    write(source, [asking(str(number)) for number in range(4)])
    result = run("bulk", str(source), str(output), "--max-retries", "0")
    first, second = result.output.splitlines()  # nothing is final
    assert first == "done: 4 (3 failed)"
    assert second.startswith(f"  3 InternalServerError: the first is {source}, line 1: 503 for POST ")


def test_standard_output_is_no_journal(
    run: Run, settings: Emulator, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    write(source, [asking("Раз")])
    result = run("bulk", str(source), "-")
    assert result.exit_code == 2
    assert result.output.startswith(
        "error: OUTPUT is read again to go on, so it cannot be standard output; name a file"
    )
    assert not Path("-").exists()


def test_a_thread_of_another_program(
    run: Run, settings: Emulator, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, [asking("Раз")])
    monkeypatch.setattr("gigachat_sdk.cli._bulk.threading.main_thread", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    assert run("bulk", str(source), str(output)).exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_in_a_thread_of_another_program(
    run: Run, settings: Emulator, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(*_: object) -> None:
        raise KeyboardInterrupt

    write(source, [asking("Раз")])
    monkeypatch.setattr(_bulk, "_follow", follow)
    monkeypatch.setattr("gigachat_sdk.cli._bulk.threading.main_thread", lambda: None)
    result = run("bulk", str(source), str(output))
    assert (result.exit_code, result.output) == (130, "stopped with 0 finished; run it again to go on\n")


def test_the_emulator_needs_no_key(run: Run, source: Path, output: Path) -> None:
    write(source, [asking("Раз")])
    assert run("bulk", "--emulator", str(source), str(output)).exit_code == 0
    assert len(lines(output)) == 1


def test_standard_input(run: Run, settings: Emulator, output: Path) -> None:
    text = "\ufeff" + json.dumps({"id": 5, "request": asking("Раз\u2028два")}, ensure_ascii=False) + "\n\n"
    result = run("bulk", "-", str(output), stdin=text.encode())
    assert (result.exit_code, result.output) == (0, "done: 1\n")
    assert lines(output)[0]["id"] == 5
    assert settings.requests_to(CHAT)[0].json()["messages"][0]["content"] == "Раз\u2028два"


@pytest.mark.parametrize("has_model", [True, False])
def test_the_model_of_requests_that_name_none(
    run: Run, settings: Emulator, source: Path, output: Path, has_model: bool
) -> None:
    write(source, [asking("a"), {"id": 1, "request": asking("b", model="GigaChat-2-Pro")}, {"request": asking("c")}])
    options = ["--model", "GigaChat-2-Max"] if has_model else []
    assert run("bulk", *options, str(source), str(output)).exit_code == 0
    usual = "GigaChat-2-Max" if has_model else "GigaChat"
    found = {
        request.json()["messages"][0]["content"]: request.json()["model"] for request in settings.requests_to(CHAT)
    }
    assert found == {"a": usual, "b": "GigaChat-2-Pro", "c": usual}


@pytest.mark.parametrize(
    "field", [{"assistant_id": "of-mine"}, {"storage": {"thread_id": "of-mine"}}, {"model": "GigaChat-2-Pro"}]
)
def test_a_request_that_brings_its_model_is_given_no_other(
    run: Run, settings: Emulator, source: Path, output: Path, field: dict[str, Any]
) -> None:
    write(source, [{"messages": [{"role": "user", "content": [{"text": "Раз"}]}], **field}])
    run("bulk", "--model", "GigaChat-2-Max", "--endpoint", "v2.chat.completions.create", str(source), str(output))
    (request,) = settings.requests_to("/v2/chat/completions")
    assert request.json().get("model") == field.get("model")


def test_another_endpoint(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    write(source, [{"input": "Кошка"}])
    assert run("bulk", "--endpoint", "embeddings.create", str(source), str(output)).exit_code == 0
    assert len(lines(output)[0]["response"]["data"][0]["embedding"]) == 1024


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "this is no JSON: Expecting property name enclosed in double quotes at character 2"),
        (b'"\xff"', "this is no JSON: byte 2 is no UTF-8"),
        (b"1" * 5000, "this is no JSON: Exceeds the limit"),
        (b"[" * 100_000, "this is no JSON: "),
        (b"5", "expected a dict of keywords, got int"),
        (b'{"id": 1, "request": 5}', "request: expected a dict of keywords, got int"),
        (b'{"custom_id": 1, "body": {}}', "this is the form of another service; write "),
        (b'{"id": "a", "messages": []}', "the id 'a' is the one of {source}, line 2 already; "),
    ],
)
@pytest.mark.parametrize("options", [[], ["--model", "GigaChat-2-Max"]])
def test_a_bad_line_is_named(
    run: Run, settings: Emulator, source: Path, output: Path, line: bytes, message: str, options: list[str]
) -> None:
    first = json.dumps({"id": "a", **asking("Раз")}).encode()
    second = json.dumps(asking("Два")).encode()
    source.write_bytes(b"\n%s\n  \n%s\n%s\n%s\n" % (first, second, line, second))
    result = run("bulk", *options, str(source), str(output))
    assert result.exit_code == 2
    how_far, error = result.output.splitlines()
    assert how_far == "stopped with 2 finished; mend it, and run it again to go on"
    assert error.startswith(f"error: {source}, line 5: {message.format(source=source)}")
    assert len(lines(output)) == 2  # those before it are answered


def test_a_source_that_cannot_be_read(
    run: Run, settings: Emulator, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn(io.BytesIO):
        def __next__(self) -> bytes:
            raise OSError(5, "Input/output error")

    source.write_text("")
    monkeypatch.setattr(_bulk, "_opened", lambda name: Torn())
    result = run("bulk", str(source), str(output))
    how_far = "stopped with 0 finished; mend it, and run it again to go on"
    assert (result.exit_code, result.output) == (2, f"{how_far}\nerror: {source}: Input/output error\n")


def test_files_that_will_not_do(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    result = run("bulk", str(source), str(output))
    assert result.exit_code == 2
    assert "does not exist" in result.output

    write(source, [asking("Раз")])
    content = source.read_bytes()
    output.symlink_to(source)
    for other in (source, output):
        result = run("bulk", str(source), str(other))
        assert result.exit_code == 2
        assert result.output.startswith("error: OUTPUT is INPUT; give the answers a file of their own")
    output.unlink()

    output.write_bytes(content)
    result = run("bulk", str(source), str(output))
    assert result.exit_code == 2
    assert f"error: {output}, line 1: this is no line of a journal, it has no index" in result.output
    assert output.read_bytes() == source.read_bytes() == content

    result = run("bulk", str(source), str(output / "x" / "y"))
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert settings.requests_to(CHAT) == []


def test_trouble_with_the_account(run: Run, settings: Emulator, source: Path, output: Path) -> None:
    write(source, [asking(str(number)) for number in range(9)])
    refuse(settings, {"3": Reply.error(402, "Payment Required")})
    result = run("bulk", str(source), str(output))
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first == "stopped with 3 finished; mend it, and run it again to go on"
    assert second.startswith("error: 402 for POST ")
    refuse(settings, {})
    assert run("bulk", str(source), str(output)).output == "done: 9 (3 from the journal)\n"


def test_a_bar_knows_how_many_there_are(source: Path) -> None:
    source.write_text("\n{}\n\n{}\n{}")
    assert _bulk._count(str(source)) == 3
    assert _bulk._count("-") is None
    assert _bulk._count("/dev/null") is None


def test_a_large_file_is_not_counted(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "_LARGE", 3)
    source.write_text("{}\n{}\n")
    assert _bulk._count(str(source)) is None


def test_a_bar_on_a_terminal(settings: Emulator, source: Path, output: Path) -> None:
    write(source, [asking(str(number)) for number in range(5)])
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "gigachat_sdk", "bulk", str(source), str(output)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(terminal)
        shown = b""
        while piece := read(controller):
            shown += piece
        assert process.wait(timeout=180) == 0
    os.close(controller)
    assert b"5 of 5" in shown
    assert shown.endswith(b"done: 5 of 5\r\n")


def read(controller: int) -> bytes:
    try:
        return os.read(controller, 4096)
    except OSError:  # the other end is closed
        return b""


# ---- Ctrl-C ----

AS_IN_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "gigachat-sdk"
from gigachat_sdk.cli import main
sys.exit(main())
"""


@pytest.fixture
def may_answer(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the emulator's late answers be so late that a test has done what comes before."""
    may_answer = threading.Event()

    async def sleep(seconds: float) -> None:
        while seconds and not may_answer.is_set():  # noqa: ASYNC110  # set in another thread
            await anyio.sleep(0.01)

    monkeypatch.setattr(replies_module, "anyio", SimpleNamespace(sleep=sleep))
    return may_answer


LATE = Reply.error(400, "late", delay=1)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_cleanly(
    settings: Emulator, source: Path, output: Path, times: int, may_answer: threading.Event
) -> None:
    write(source, [asking(str(number)) for number in range(50)])
    has_come = threading.Event()

    def handler(request: RecordedRequest) -> Reply | None:
        if request.json()["messages"][0]["content"] != "3":
            return None
        has_come.set()
        return LATE

    settings.on(CHAT, handler)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", AS_IN_A_TERMINAL, "bulk", str(source), str(output)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr is not None
        assert has_come.wait(120)
        process.send_signal(signal.SIGINT)
        note = "stopping when the requests in flight are answered; Ctrl-C again leaves them\n"
        assert process.stderr.readline() == note
        if times == 2:
            process.send_signal(signal.SIGINT)
        else:
            may_answer.set()
        errors = process.stderr.read()
        assert process.wait(timeout=180) == 130
    assert errors == f"stopped with {5 - times} finished; run it again to go on\n"
    assert [line["index"] for line in lines(output)] == [0, 1, 2, 3][: 5 - times]
    assert len(settings.requests_to(CHAT)) == 4


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_in_flight_counts(
    settings: Emulator, source: Path, output: Path, number: signal.Signals, status: int, may_answer: threading.Event
) -> None:
    write(source, [asking(str(number)) for number in range(50)])
    has_come = threading.Semaphore(0)

    def handler(request: RecordedRequest) -> Reply | None:
        has_come.release()
        return LATE

    settings.on(CHAT, handler)
    command = [sys.executable, "-W", "error", "-c", AS_IN_A_TERMINAL, "bulk", "--concurrency", "3"]
    with subprocess.Popen(
        [*command, str(source), str(output)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        for _ in range(3):
            assert has_come.acquire(timeout=120)
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("stopping when the requests in flight are answered")
        may_answer.set()
        assert process.stderr.read() == "stopped with 3 finished; run it again to go on\n"
        assert process.wait(timeout=180) == status
    assert len(lines(output)) == 3


def test_a_disk_that_is_full(
    run: Run, settings: Emulator, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, [asking("Раз")])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gigachat_sdk.bulk._journal.os.write", full)
        result = run("bulk", str(source), str(output))
    how_far = "stopped with 0 finished; mend it, and run it again to go on"
    assert (result.exit_code, result.output) == (1, f"{how_far}\nerror: {output}: No space left on device\n")
    assert output.read_bytes() == b""


ON_A_FULL_DISK = """
import errno, os
from gigachat_sdk.bulk import _journal

def full(descriptor, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

_journal.os.write = full
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_disk_that_is_full_when_the_requests_in_flight_are_answered(
    settings: Emulator, source: Path, output: Path, number: signal.Signals, may_answer: threading.Event
) -> None:
    write(source, [asking(str(number)) for number in range(50)])
    has_come = threading.Semaphore(0)

    def handler(request: RecordedRequest) -> Reply | None:
        has_come.release()
        return LATE

    settings.on(CHAT, handler)
    command = [sys.executable, "-W", "error", "-c", ON_A_FULL_DISK + AS_IN_A_TERMINAL, "bulk", "--concurrency", "2"]
    with subprocess.Popen(
        [*command, str(source), str(output)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        for _ in range(2):
            assert has_come.acquire(timeout=120)
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("stopping when the requests in flight are answered")
        may_answer.set()
        how_far, error = process.stderr.read().splitlines()
        assert process.wait(timeout=180) == 1
    assert how_far == "stopped with 0 finished; mend it, and run it again to go on"
    assert error == f"error: {output}: {os.strerror(errno.ENOSPC)}"
    assert output.read_bytes() == b""
