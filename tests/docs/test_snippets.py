"""Every snippet of the README files and of the documentation runs, against an emulator.

Snippets are complete, but for two names that the guide introduces: `client` is `Client()`, and `messages` one question.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gigachat_sdk import Client
from gigachat_sdk.bulk.ray import ChatMapper
from gigachat_sdk.testing import Emulator, FaultProfile

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
CHECKED = {"python", "pycon", "bash", "text", "toml"}


class Snippet(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def snippets() -> list[Snippet]:
    found: list[Snippet] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Snippet(page, line, match["language"], textwrap.dedent(match["code"])))
    return found


ALL = snippets()


NEEDS_RAY = "import ray\n"  # what it does is tested where Ray is installed
SHOWS_A_QUERY = pytest.mark.off_contract("shows extra_query, which sends what no operation has")


def written_in(language: str, *, tests: bool = False) -> list[Any]:
    return [
        pytest.param(snippet, id=snippet.name, marks=[SHOWS_A_QUERY] if "extra_query" in snippet.code else [])
        for snippet in ALL
        if snippet.language == language and ("def test_" in snippet.code) is tests and NEEDS_RAY not in snippet.code
    ]


def command_lines() -> list[Any]:
    return [
        pytest.param(line, id=f"{snippet.name}-{number}")
        for snippet in ALL
        if snippet.language == "bash"
        for number, line in enumerate(snippet.code.splitlines(), start=1)
        if "gigachat-sdk" in line and not line.lstrip().startswith(("#", "pip ", "export "))
    ]


def test_every_block_has_a_language_that_is_checked() -> None:
    fences = sum(page.read_text(encoding="utf-8").count("```") for page in PAGES)
    assert fences == 2 * len(ALL)
    assert {snippet.language for snippet in ALL} <= CHECKED


@pytest.mark.parametrize("snippet", written_in("python"))
def test_a_python_snippet_runs(snippet: Snippet, workplace: Path) -> None:
    code = compile("\n" * snippet.line + snippet.code, str(snippet.page), "exec", dont_inherit=True)
    with Client() as client, contextlib.redirect_stdout(io.StringIO()):
        exec(code, {"__name__": "__main__", "client": client, "messages": [{"role": "user", "content": "Привет!"}]})


def test_a_snippet_for_ray_names_what_there_is() -> None:
    found = [snippet for snippet in ALL if NEEDS_RAY in snippet.code]
    assert len(found) == 2  # one in each language
    for snippet in found:
        tree = ast.parse(snippet.code)
        call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict")
        settings = eval(ast.unparse(call), {"prompt": "text"})
        assert isinstance(ChatMapper(**settings), ChatMapper)


@pytest.mark.parametrize("snippet", written_in("python", tests=True))
def test_a_snippet_of_tests_passes(snippet: Snippet, workplace: Path) -> None:
    (workplace / "test_snippet.py").write_text(snippet.code, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_snippet.py"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{snippet.code.count('def test_')} passed" in result.stdout


@pytest.mark.parametrize("snippet", written_in("pycon"))
def test_a_session_gives_what_it_shows(snippet: Snippet, workplace: Path) -> None:
    test = doctest.DocTestParser().get_doctest(snippet.code, {}, snippet.name, str(snippet.page), snippet.line)
    report: list[str] = []
    results = doctest.DocTestRunner().run(test, out=report.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(report)


@pytest.mark.parametrize("snippet", written_in("toml"))
def test_a_profile_of_faults_is_one(snippet: Snippet, workplace: Path) -> None:
    (workplace / "snippet.toml").write_text(snippet.code, encoding="utf-8")
    assert FaultProfile.from_toml("snippet.toml").faults


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_runs(line: str, workplace: Path, emulator: Emulator) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", f"exec {line}" if line.startswith("gigachat-sdk") else line],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if line.startswith("gigachat-sdk emulator"):
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert first or Path("answers.jsonl").exists()  # what `gigachat-sdk bulk` writes
