"""Mistakes that an editor must see: each of the snippets is an error for mypy and for pyright, on its own line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
from gigachat_sdk import AsyncClient, ChatCompletion, Client, GigaChatError, StaticTokenManager, bulk

client = Client()
async_client = AsyncClient()
error = GigaChatError("m")
create = client.chat.completions.create
"""
WRONG = {
    "an unknown keyword": 'client.chat.completions.create(modle="x", messages=[])',
    "an unknown keyword, async": 'async_client.chat.completions.create(modle="x", messages=[])',
    "a mistyped role": 'create(messages=[{"role": "sytem", "content": "x"}])',
    "no role": 'create(messages=[{"content": "x"}])',
    "no content": 'create(messages=[{"role": "user"}])',
    "a mistyped key of a message": 'create(messages=[{"role": "user", "contnet": "x"}])',
    "no messages": 'create(model="x")',
    "messages as text": 'create(messages="x")',
    "an unknown setting": 'Client(credentals="x")',
    "an unknown setting, async": 'AsyncClient(credentals="x")',
    "an unknown override": 'client.with_options(credentals="x")',
    "a positional argument": 'Client("x")',
    "a number as text": 'create(messages=[], temperature="hot")',
    "half a token": "create(messages=[], max_tokens=1.5)",
    "a stream that is text": 'create(messages=[], stream="yes")',
    "a format without a schema": 'create(messages=[], response_format={"type": "json_schema"})',
    "openai's format": 'create(messages=[], response_format={"type": "json_object"})',
    "a function without a name": 'create(messages=[], functions=[{"description": "d"}])',
    "a forced word": 'create(messages=[], function_call="force")',
    "an answer that was not awaited": "async_client.models.list().data",
    "a part of the other world": 'AsyncClient(token_manager=StaticTokenManager("t"))',
    "an unknown option": "client.models.list(timeuot=1)",
    "a stream as an answer": "answer: ChatCompletion = create(messages=[], stream=True)",
    "an unknown attribute of an error": "error.status",
    "a text that may be missing": "create(messages=[]).choices[0].message.content.upper()",
    "a role of v1 in v2": 'client.v2.chat.completions.create(messages=[{"role": "function", "content": "x"}])',
    "a keyword of v1 in v2": "client.v2.chat.completions.create(messages=[], temperature=1)",
    "a mistyped option of the model": 'client.v2.chat.completions.create(messages=[], model_options={"tempo": 1})',
    "a text as a result": 'client.v2.chat.completions.create(messages=[{"role": "tool", "content": [{"text": "x"}]}])',
    "a form that is no type": 'client.chat.completions.parse(messages=[], response_format={"type": "text"})',
    "a number to parse": "client.v2.chat.completions.parse(messages=[], response_format=5)",
    "no type to parse": "client.v2.chat.completions.parse(messages=[])",
    "a value that may be missing": "client.v2.chat.completions.parse(messages=[], response_format=str).parsed.upper()",
    "questions as text": 'bulk.map(client, ["Раз", "Два"])',
    "an async client for threads": "bulk.map(async_client, [])",
    "a client of threads for tasks": "bulk.amap(client, [])",
    "an unknown argument of a run": "bulk.map(client, [], concurency=2)",
    "a result of another endpoint": "next(bulk.map(client, [], endpoint='embeddings.create')).unwrap().choices",
}
RIGHT = {
    "a usual call": 'create(messages=[{"role": "user", "content": "x"}], temperature=1, extra_body={"modle": "x"})',
    "a new model": 'create(messages=[], model="GigaChat-of-tomorrow")',
    "a new tool": 'client.v2.chat.completions.create(messages=[], tools=["tool_of_tomorrow"])',
    "options that are not given": "create(messages=[], extra_body=None, extra_headers=None, max_retries=None)",
    "a union to parse": "client.chat.completions.parse(messages=[], response_format=int | None)",
    "a document": 'client.get("/x", cast_to=dict)["a"].upper()',
    "usual bulk work": "bulk.map(client, ({'messages': [], 'temperature': number} for number in range(3)))",
    "a usual client": 'Client(credentials="x", scope="s")',
}
LINES = WRONG | RIGHT
NUMBERS = {name: HEAD.count("\n") + 1 + index for index, name in enumerate(LINES)}


def run(folder: Path, *command: str) -> str:
    file = folder / "snippets.py"
    file.write_text(HEAD + "\n".join(LINES.values()) + "\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", *command, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def lines_of_mypy(folder: Path) -> set[int]:
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\nplugins = pydantic.mypy\n", encoding="utf-8")
    cache_dir = str(folder / "cache")
    output = run(folder, "mypy", "--config-file", str(folder / "mypy.ini"), "--cache-dir", cache_dir)
    assert "snippets.py" in output
    return {int(number) for number in re.findall(r"snippets\.py:(\d+):(?:\d+:)? error: ", output)}


def lines_of_pyright(folder: Path) -> set[int]:
    output = run(folder, "pyright", "--outputjson", "--pythonpath", sys.executable)
    found = json.loads(output)["generalDiagnostics"]
    assert {Path(item["file"]).name for item in found} == {"snippets.py"}
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[int]]:
    """Give the lines a checker complains about; it runs once, on all the snippets together."""
    checkers = {"mypy": lines_of_mypy, "pyright": lines_of_pyright}
    return cache(lambda checker: checkers[checker](tmp_path_factory.mktemp(checker)))


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_mistakes_are_errors_for_the_checker_and_nothing_else_is(
    checker: str, lines: Callable[[str], set[int]]
) -> None:
    found = lines(checker)
    assert [name for name in WRONG if NUMBERS[name] not in found] == []
    assert found - {NUMBERS[name] for name in WRONG} == set()
