"""The generator of the sync tree: its rules, its modes, and that the tree on disk is what it writes."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unasync", ROOT / "scripts" / "unasync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["unasync"] = module
    spec.loader.exec_module(module)
    return module


unasync = load()
CONVERSIONS = [
    # keywords
    ("async def get(self) -> None:\n    await self._get()\n", "def get(self) -> None:\n    self._get()\n"),
    ("async with a as b, c as d:\n", "with a as b, c as d:\n"),
    ("async  for x in y:\n", "for x in y:\n"),
    ("[x async for x in y if await z(x)]\n", "[x for x in y if z(x)]\n"),
    ("return await (a or b)\n", "return (a or b)\n"),
    ("return (await a).b\n", "return (a).b\n"),
    ("x = await_time\n", "x = await_time\n"),
    # prefixes
    ("class AsyncClient(_AsyncBase): ...\n", "class Client(_Base): ...\n"),
    ("AsyncIterator[AsyncGenerator[int, None]]\n", "Iterator[Generator[int, None]]\n"),
    ("async_sleep(_AsyncThing)\n", "sleep(_Thing)\n"),
    ("MyAsyncClient, Async, Asyncio, async_, _async_\n", "MyAsyncClient, Async, Asyncio, async_, _async_\n"),
    # names
    ("from .._async.client import AsyncClient\n", "from .._sync.client import Client\n"),
    ("async def __aenter__(self):\n", "def __enter__(self):\n"),
    ("__aexit__, __aiter__, __anext__\n", "__exit__, __iter__, __next__\n"),
    ("raise StopAsyncIteration\n", "raise StopIteration\n"),
    ("await r.aget(); await r.aclose()\n", "r.get(); r.close()\n"),
    ("preaclose, acloser\n", "preaclose, acloser\n"),
    # types
    ("f: Callable[[], Awaitable[int]]\n", "f: Callable[[], int]\n"),
    ("f: Awaitable[dict[str, list[Awaitable[int]]]] | None\n", "f: dict[str, list[int]] | None\n"),
    ("MyAwaitable[int]\n", "MyAwaitable[int]\n"),
    # strings, whatever the interpreter calls them
    ('__all__ = ["AsyncClient", "stream"]\n', '__all__ = ["Client", "stream"]\n'),
    (
        'f"{await x.aget()!r} of {AsyncClient.name:>{width}} {{AsyncClient}}"\n',
        'f"{x.get()!r} of {Client.name:>{width}} {{Client}}"\n',
    ),
    ('"\\nAsyncClient\\taclose\\\\aget"\n', '"\\nClient\\tclose\\\\get"\n'),
    ('rb"AsyncClient"\n', 'rb"Client"\n'),
    # prose
    ('"""An AsyncClient; an `AsyncStream`."""\n', '"""A Client; a `Stream`."""\n'),
    ('"""An AsyncIterator, an `async with` block."""\n', '"""An Iterator, a `with` block."""\n'),
    ('"""An async call of an AsyncClient."""\n', '"""A sync call of a Client."""\n'),
    ("# `await client.chat.create(...)`, then `async for`\n", "# `client.chat.create(...)`, then `for`\n"),
    ('"""Use `await client.aclose()` on the async client."""\n', '"""Use `client.close()` on the sync client."""\n'),
    ('"""Вызовите await client.aclose()."""\n', '"""Вызовите client.close()."""\n'),
    # tests
    ("pytestmark = pytest.mark.anyio\n\nx = 1\n", "\nx = 1\n"),
]


@pytest.mark.parametrize(("source", "expected"), CONVERSIONS)
def test_convert(source: str, expected: str) -> None:
    assert unasync.convert(source) == expected


def test_used_rules_are_counted_and_the_others_listed() -> None:
    used: Counter[str] = Counter()
    unasync.convert("class AsyncClient:\n    async def aclose(self): await self.http.aclose()\n", used)
    assert used == Counter({"aclose": 2, "Async": 1, **dict.fromkeys(unasync.PHRASES, 0)})
    unused = unasync.unused_rules(used)
    rules = [*unasync.PHRASES, *unasync.PREFIXES, *unasync.NAMES]
    assert unused == [rule for rule in rules if rule not in {"Async", "aclose"}]


def test_rules_are_not_shadowed_by_each_other() -> None:
    assert [name for name in unasync.NAMES if unasync.convert_name(name) != unasync.NAMES[name]] == []
    assert [name for name in unasync.NAMES.values() if unasync.convert_name(name) != name] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import asyncio\n", ["forbidden: a.py:1: asyncio"]),
        ("import os, trio.lowlevel as t\n", ["forbidden: a.py:1: trio.lowlevel"]),
        ("def f():\n    from asyncio.events import x\n", ["forbidden: a.py:2: asyncio.events"]),
        ("from anyio.abc import TaskGroup\n", ["forbidden: a.py:1: TaskGroup"]),
        ("anyio.create_task_group()\n", ["forbidden: a.py:1: create_task_group"]),
        ("x: TaskGroup\n", ["forbidden: a.py:1: TaskGroup"]),
        ('"""import asyncio"""  # TaskGroup\nfrom . import trio_like\n', []),
    ],
)
def test_forbidden(source: str, lines: list[str]) -> None:
    assert unasync.forbidden(source, "a.py") == lines


SOURCE = """\
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from .._concurrency import async_sleep
from .b import AsyncB

__all__ = ["AsyncZ", "B"]


class AsyncZ:
    \"""An AsyncZ.\"""

    async def pages(
        self, make: Callable[[], Awaitable[int]], *, a_rather_long_name: int, another: int
    ) -> AsyncIterator[AsyncB]:
        await async_sleep(1)
        async with self.opened(self) as me:
            yield me


B = 1
"""
GENERATED = """\
# Generated by scripts/unasync.py from gigachat_sdk/_async/client.py; do not edit.
from __future__ import annotations

from collections.abc import Callable, Iterator

from .._concurrency import sleep
from .b import B

__all__ = ["B", "Z"]


class Z:
    \"""A Z.\"""

    def pages(self, make: Callable[[], int], *, a_rather_long_name: int, another: int) -> Iterator[B]:
        sleep(1)
        with self.opened(self) as me:
            yield me


B = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with one async module of the package and one async test module."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    unasync.write(tmp_path / "gigachat_sdk/_async/client.py", SOURCE)
    unasync.write(
        tmp_path / "tests/_async/test_client.py",
        "import pytest\n\nfrom gigachat_sdk import AsyncZ\n\npytestmark = pytest.mark.anyio\n\n\n"
        "async def test_z() -> None:\n    await AsyncZ().aclose()\n",
    )
    return tmp_path


@pytest.fixture
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rules go unused."""
    monkeypatch.setattr(unasync, "unused_rules", lambda used: [])


def test_write_then_check(project: Path, loose: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert unasync.main(["--check"], project) == 1
    assert "missing: gigachat_sdk/_sync/client.py\nmissing: tests/_sync/test_client.py\n" in capsys.readouterr().err
    assert not (project / "gigachat_sdk/_sync").exists()

    assert unasync.main([], project) == 0
    assert capsys.readouterr().out == "wrote gigachat_sdk/_sync/client.py\nwrote tests/_sync/test_client.py\n"
    assert (project / "gigachat_sdk/_sync/client.py").read_text(encoding="utf-8") == GENERATED
    assert (project / "tests/_sync/test_client.py").read_text(encoding="utf-8") == (
        "# Generated by scripts/unasync.py from tests/_async/test_client.py; do not edit.\n\n"
        "from gigachat_sdk import Z\n\n\ndef test_z() -> None:\n    Z().close()\n"
    )
    assert unasync.main(["--check"], project) == 0
    assert unasync.main([], project) == 0
    assert capsys.readouterr().out == ""


def test_stale_files_and_orphans(project: Path, loose: None, capsys: pytest.CaptureFixture[str]) -> None:
    unasync.main([], project)
    stale, orphan = project / "gigachat_sdk/_sync/client.py", project / "tests/_sync/sub/test_gone.py"
    stale.write_text(GENERATED + "\n", encoding="utf-8")
    unasync.write(orphan, "")
    capsys.readouterr()
    assert unasync.main(["--check"], project) == 1
    assert "stale: gigachat_sdk/_sync/client.py\norphan: tests/_sync/sub/test_gone.py\n" in capsys.readouterr().err
    assert orphan.exists()
    assert unasync.main([], project) == 0
    assert capsys.readouterr().out == "wrote gigachat_sdk/_sync/client.py\ndeleted tests/_sync/sub/test_gone.py\n"
    assert not orphan.exists()


def test_orphans_of_a_tree_that_is_gone(project: Path, loose: None) -> None:
    unasync.main([], project)
    shutil.rmtree(project / "gigachat_sdk/_async")
    shutil.rmtree(project / "tests/_async")
    assert unasync.main(["--check"], project) == 1
    assert unasync.main([], project) == 0
    assert list((project / "gigachat_sdk").rglob("*.py")) == []


def test_an_unused_rule_and_a_forbidden_name_fail_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unasync.write(project / "tests/_async/test_tasks.py", "import asyncio\n\nasyncio.run(x)\n")
    assert unasync.main([], project) == 1
    capsys.readouterr()
    assert unasync.main(["--check"], project) == 1
    error = capsys.readouterr().err
    assert "forbidden: tests/_async/test_tasks.py:1: asyncio\n" in error
    assert "unused rule: '__aexit__'" in error
    assert "unused rule: 'aclose'" not in error


def test_names_of_files_are_converted_and_may_not_meet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unasync.write(project / "gigachat_sdk/_async/async_pool.py", "")
    assert "gigachat_sdk/_sync/pool.py" in unasync.generate(project)[0]
    unasync.write(project / "gigachat_sdk/_async/pool.py", "")
    assert unasync.main([], project) == 1
    assert "two files want to become gigachat_sdk/_sync/pool.py" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["async def f(aclose, close): ...\n", "x = [await for]\n"])
def test_a_text_that_is_no_python(project: Path, capsys: pytest.CaptureFixture[str], source: str) -> None:
    unasync.write(project / "gigachat_sdk/_async/client.py", source)
    assert unasync.main([], project) == 1
    assert "client.py, line " in capsys.readouterr().err
    assert not (project / "gigachat_sdk/_sync").exists()


def test_nothing_to_do(tmp_path: Path) -> None:
    assert unasync.main(["--check"], tmp_path) == 0
    assert unasync.main([], tmp_path) == 0


def test_usage(tmp_path: Path) -> None:
    assert unasync.main(["--help"], tmp_path) == 2


def test_the_trees_on_disk_are_fresh() -> None:
    texts, _, problems = unasync.generate()
    assert [*unasync.compare(texts), *problems] == []
