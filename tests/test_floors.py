"""Imports of `gigachat_sdk` go down only, and the floors keep to their trades."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "gigachat_sdk"

# The floors, from the ground up. A name stands for a module, or for a package with all that is in it; "" is
# gigachat_sdk/__init__.py. A module imports from lower floors, from names before its own on its floor, and within its
# own name. On a floor that is a set, members see each other. No cycles anywhere. Imports for type checkers count too.
FLOORS: tuple[tuple[str, ...] | frozenset[str], ...] = (
    ("_version", "_constants"),
    ("types",),
    ("errors",),
    frozenset(  # pure: no I/O, no sleeping, clock and randomness passed in
        {
            "_accumulate",
            "_accumulate_threads",
            "_accumulate_v2",
            "_body",
            "_calls",
            "_calls_v2",
            "_cast",
            "_config",
            "_context",
            "_decompress",
            "_endpoints",
            "_events",
            "_failures",
            "_headers",
            "_json",
            "_logging",
            "_options",
            "_parse",
            "_quota",
            "_request",
            "_parse_v2",
            "_response",
            "_response_v2",
            "_retry",
            "_schema",
            "_settings",
            "_tls",
            "_token",
            "_unanswered",
            "_token_failures",
        }
    ),
    ("_uploads", "_downloads", "_batches"),  # files are opened and read here
    ("_deadline", "_concurrency", "_lifetimes", "_turn", "_use"),
    # What workers share: tokens and places, in memory, in files, in Redis.
    (
        *(
            "_shared_lock",
            "_file_lock",
            "_file_places",
            "_redis_address",
            "_redis_faults",
            "_redis",
            "_sealing",
            "_redis_lock",
        ),
        *("stores", "_file_store", "_redis_store", "limits", "_watch"),
        *("_redis_tick", "_redis_bucket", "_redis_keeper", "_redis_limiter"),
    ),
    *(
        (
            f"{tree}.network",
            f"{tree}.bodies",
            f"{tree}.pool",
            f"{tree}.answer",
            f"{tree}.http",
            f"{tree}.attempts",
            f"{tree}.transport",
            f"{tree}.auth",
            f"{tree}.session",
            f"{tree}.streaming",
            f"{tree}.completion_stream",
            f"{tree}.binary",
            f"{tree}.unknown",
            f"{tree}.tools",
            f"{tree}.resources",
            f"{tree}.client",
            tree,  # its __init__.py
        )
        for tree in ("_async", "_sync")
    ),
    ("",),
    ("bulk",),
    ("testing", "cli", "__main__"),
)
WITHOUT_SUBMODULES = frozenset({"", "_async", "_sync"})
PURE = frozenset({"_version", "_constants", "types", "errors"}.union(*(f for f in FLOORS if isinstance(f, frozenset))))

# What only some may import. `httpx` in few places keeps a later move of the HTTP layer cheap; the written tree waits,
# locks and shields through `_concurrency`, so that its sync half can be generated.
HTTP = frozenset(
    f"{tree}.{name}" for tree in ("_async", "_sync") for name in ("network", "bodies", "pool", "answer", "http")
)
LOOPS = frozenset(
    {
        "_concurrency",
        "_lifetimes",
        "_shared_lock",
        "_file_lock",
        "_redis",
        "_sealing",
        "_redis_lock",
        "stores",
        "_file_store",
        "_redis_store",
        "limits",
        "_redis_keeper",
        "_turn",
        "_use",
        *("_async.attempts", "_sync.attempts"),  # sends of one attempt may come from several threads, in either tree
        "bulk",
        "testing",
        "cli",
    }
)
USERS_OF: dict[str, frozenset[str]] = {
    # types and `_config` for `Timeout`, `_settings` for addresses, `_tls` for roots, the clients for a type
    "httpx": HTTP
    | {
        "types.request_options",
        "_config",
        "_failures",
        "_settings",
        "_tls",
        "_async.client",
        "_sync.client",
        "testing",
        "cli",
    },
    "httpcore": HTTP,
    "h11": frozenset({"testing"}),
    "h2": frozenset({"testing"}),
    "anyio": LOOPS,
    "asyncio": LOOPS,
    "sniffio": LOOPS,
    "threading": LOOPS,
    "trio": LOOPS,
    "socket": HTTP | {"_concurrency", "testing", "cli"},
    "pytest": frozenset({"testing"}),
}
EXTRAS = frozenset({"click", "cryptography", "hypercorn", "ray", "redis", "rich", "starlette", "tomli", "trustme"})
USERS_OF_EXTRAS = frozenset(
    {
        *("_redis_address", "_redis_faults", "_redis", "_sealing", "_redis_store", "_redis_limiter"),
        *("bulk", "testing", "cli"),
    }
)
SLEEPERS = frozenset({"_concurrency"})
CLOCKS = frozenset({"monotonic", "monotonic_ns", "perf_counter", "time", "time_ns"})


class Import(NamedTuple):
    """One imported module."""

    target: str  # without the leading `gigachat_sdk.` when `own`
    own: bool
    line: int
    early: bool  # executed when the importing module is: at its top level, and not for type checkers only


def read_package() -> dict[str, str]:
    """Return the sources of the package by module name, `__init__.py` being its package's name."""
    sources: dict[str, str] = {}
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return sources


def floor_name(module: str) -> str | None:
    """Return the name in FLOORS that stands for a module."""
    names = [name for floor in FLOORS for name in floor]
    if module in names:
        return module
    while "." in module:
        module = module.rpartition(".")[0]
        if module in names and module not in WITHOUT_SUBMODULES:
            return module
    return None


def walk(node: ast.AST, early: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node below one, and whether it is executed together with the module."""
    for child in ast.iter_child_nodes(node):
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        yield child, early
        yield from walk(child, early and not late)


def imports(module: str, source: str, is_package: bool, modules: frozenset[str]) -> Iterator[Import]:
    """Yield what a module imports; `from package import module` means the module."""
    for node, early in walk(ast.parse(source, module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, rest = alias.name.partition(".")
                own = head == PACKAGE
                yield Import(rest if own else alias.name, own, node.lineno, early)
        elif isinstance(node, ast.ImportFrom):
            base, own = node.module or "", node.level > 0
            if own:
                parents = [*module.split("."), ""] if is_package and module else module.split(".")
                base = ".".join([*parents[: len(parents) - node.level], *([base] if base else [])])
            elif base.partition(".")[0] == PACKAGE:
                base, own = base.partition(".")[2], True
            for alias in node.names:
                longer = f"{base}.{alias.name}".lstrip(".")
                is_module = own and (longer in modules or (not base and floor_name(longer) is not None))
                yield Import(longer if is_module else base, own, node.lineno, early)


def complaints_about_imports(sources: dict[str, str]) -> list[str]:
    """Return a line for each import that does not go down, or is not the importing module's business."""
    modules = frozenset(sources)
    places = {name: (i, list(floor).index(name)) for i, floor in enumerate(FLOORS) for name in floor}
    packages = {m.rpartition(".")[0] for m in modules if m} | {""}
    lines: list[str] = []
    for module, source in sources.items():
        name = floor_name(module)
        if name is None:
            lines.append(f"{module}: on no floor; find its place in FLOORS of tests/test_floors.py")
            continue
        for target, own, line, _ in imports(module, source, module in packages, modules):
            head = target.partition(".")[0]
            complaint = ""
            if own:
                other = floor_name(target)
                trees = {module.partition(".")[0], head}
                if other is None:
                    complaint = "is on no floor"
                elif trees == {"_async", "_sync"}:
                    complaint = "is the other half"
                elif other != name and places[other] >= places[name]:
                    same = places[other][0] == places[name][0]
                    if not (same and isinstance(FLOORS[places[name][0]], frozenset)):
                        complaint = "is further up"
            elif head in EXTRAS and name not in USERS_OF_EXTRAS:
                complaint = "belongs to an extra"
            elif head in USERS_OF and not {name, module} & USERS_OF[head]:
                complaint = "is for " + ", ".join(sorted(USERS_OF[head]))
            if complaint:
                shown = f"{PACKAGE}.{target}".rstrip(".") if own else target
                lines.append(f"{module or '__init__'}:{line}: {shown} {complaint}")
    return lines


def complaints_about_calls(sources: dict[str, str]) -> list[str]:
    """Return a line for each sleep outside of `_concurrency`, and each clock or die in a pure module."""
    lines: list[str] = []
    for module, source in sources.items():
        name = floor_name(module)
        tree = ast.parse(source, module)
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            uses: list[tuple[str, str]] = []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                uses = [(node.module or "", alias.name) for alias in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                is_sleep = node.attr == "sleep"
                uses = [(node.value.id, node.attr)] if is_sleep or id(node) in called else []
            for owner, attribute in uses:
                sleeps = owner == "time" and attribute == "sleep" and name not in SLEEPERS
                reads_clock = owner == "time" and attribute in CLOCKS and name in PURE
                rolls = owner == "random" and attribute != "Random" and name in PURE
                if sleeps or reads_clock or rolls:
                    lines.append(f"{module or '__init__'}:{getattr(node, 'lineno', 0)}: {owner}.{attribute}")
    return lines


def cycle(sources: dict[str, str]) -> list[str]:
    """Return modules that import each other in a ring when they are executed, or nothing."""
    modules = frozenset(sources)
    packages = {m.rpartition(".")[0] for m in modules if m} | {""}
    edges = {
        module: {i.target for i in imports(module, source, module in packages, modules) if i.own and i.early}
        for module, source in sources.items()
    }
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, set())):
            if ring := visit(target, [*path, module]):
                return ring
        done.add(module)
        return []

    for module in sorted(edges):
        if ring := visit(module, []):
            return ring
    return []


def test_imports_go_down() -> None:
    assert complaints_about_imports(read_package()) == []


def test_nobody_sleeps_reads_the_clock_or_rolls_dice_where_it_is_not_his_trade() -> None:
    assert complaints_about_calls(read_package()) == []


def test_no_cycles() -> None:
    assert cycle(read_package()) == []


IN_LOOPS = ", ".join(sorted(LOOPS))


@pytest.mark.parametrize(
    ("module", "source", "complaints"),
    [
        ("errors", "from ._version import __version__\nfrom .types.chat import X\nimport json, os.path", []),
        ("errors", "from ._retry import x", ["errors:1: gigachat_sdk._retry is further up"]),
        ("errors", "from . import _retry", ["errors:1: gigachat_sdk._retry is further up"]),
        ("errors", "from . import __version__", ["errors:1: gigachat_sdk is further up"]),
        ("errors", "import gigachat_sdk._retry as r", ["errors:1: gigachat_sdk._retry is further up"]),
        ("errors", "from gigachat_sdk._retry import x", ["errors:1: gigachat_sdk._retry is further up"]),
        ("errors", "def f():\n    from ._retry import x", ["errors:2: gigachat_sdk._retry is further up"]),
        ("errors", "if TYPE_CHECKING:\n    from .cli import x", ["errors:2: gigachat_sdk.cli is further up"]),
        ("errors", "from ._elsewhere import x", ["errors:1: gigachat_sdk._elsewhere is on no floor"]),
        ("_version", "from ._constants import x", ["_version:1: gigachat_sdk._constants is further up"]),
        ("_constants", "from ._version import x", []),
        ("types.chat", "from ._base import x\nfrom ..types import y\nfrom .v2.z import z", []),
        ("types", "from ._base import x\nfrom . import chat", []),
        (
            "types.v2.chat",
            "from .._base import x\nfrom ...errors import y",
            ["types.v2.chat:2: gigachat_sdk.errors is further up"],
        ),
        ("_retry", "from ._options import x\nfrom ._token import y", []),
        ("_retry", "from ._concurrency import x", ["_retry:1: gigachat_sdk._concurrency is further up"]),
        ("_async.resources.chat", "from ..transport import x\nfrom ..._concurrency import y\nfrom ._base import z", []),
        (
            "_async.transport",
            "from .resources.chat import x",
            ["_async.transport:1: gigachat_sdk._async.resources.chat is further up"],
        ),
        ("_sync.client", "from .._async.auth import x", ["_sync.client:1: gigachat_sdk._async.auth is the other half"]),
        ("_async.client", "from .._sync import x", ["_async.client:1: gigachat_sdk._sync is the other half"]),
        ("_async.other", "", ["_async.other: on no floor; find its place in FLOORS of tests/test_floors.py"]),
        ("other", "", ["other: on no floor; find its place in FLOORS of tests/test_floors.py"]),
        ("", "from ._async.client import x\nfrom ._sync import y\nfrom . import types", []),
        ("", "from .testing import x", ["__init__:1: gigachat_sdk.testing is further up"]),
        (
            "testing.emulator",
            "import gigachat_sdk\nfrom starlette.routing import x\nimport httpx\nfrom ._faults import y",
            [],
        ),
        ("cli.main", "from ..testing import x\nimport click", []),
        ("_async.http", "import httpx\nimport httpcore", []),
        ("_retry", "import httpx", ["_retry:1: httpx is for " + ", ".join(sorted(USERS_OF["httpx"]))]),
        ("types.request_options", "import httpx", []),
        ("_retry", "from random import Random\nimport threading", [f"_retry:2: threading is for {IN_LOOPS}"]),
        ("_async.auth", "import anyio", [f"_async.auth:1: anyio is for {IN_LOOPS}"]),
        ("stores", "def f():\n    import redis.asyncio", ["stores:2: redis.asyncio belongs to an extra"]),
    ],
)
def test_the_rule_of_floors(module: str, source: str, complaints: list[str]) -> None:
    others = {"": "", "types": "", "types._base": "", "types.v2": "", "_async": "", "_async.resources": "", "cli": ""}
    assert complaints_about_imports({**others, module: source}) == complaints


@pytest.mark.parametrize(
    ("module", "source", "complaints"),
    [
        ("_concurrency", "import time\ntime.sleep(1)\nfrom time import sleep", []),
        ("_http", "import time\ntime.sleep(1)", ["_http:2: time.sleep"]),
        ("_http", "from time import monotonic, sleep", ["_http:1: time.sleep"]),
        ("_http", "def f(wait=time.sleep): ...", ["_http:1: time.sleep"]),
        ("_http", "time.time(), random.random()", []),
        ("_retry", "time.time()", ["_retry:1: time.time"]),
        ("_retry", "def f(clock=time.time): clock()", []),
        ("_retry", "random.Random(1).random()", []),
        ("types.chat", "random.uniform(1, 2)", ["types.chat:1: random.uniform"]),
    ],
)
def test_the_rule_of_trades(module: str, source: str, complaints: list[str]) -> None:
    assert complaints_about_calls({module: source}) == complaints


def test_the_rule_of_cycles() -> None:
    assert cycle({"": "from . import a, b", "a": "from . import b", "b": "def f():\n    from .a import x"}) == []
    assert cycle({"a": "from .b import x", "b": "if TYPE_CHECKING:\n    from .a import x"}) == []
    assert cycle({"a": "from .b import x", "b": "from .c import y", "c": "from . import b"}) == ["b", "c", "b"]


IMPORT = """
import json, os, stat, sys, threading

forbidden = json.loads(sys.argv[1])
events = []
sys.addaudithook(lambda name, _: events.append(name))


def descriptors():
    found = set()
    for number in range(256):
        try:
            found.add((number, stat.S_IFMT(os.fstat(number).st_mode)))
        except OSError:
            pass
    return found


def extras():
    return {name for name in sys.modules if name.partition(".")[0] in forbidden}


# httpx and httpcore import what they find of click, rich, h2 and trio: that is theirs
import anyio, httpx, httpx_sse, pydantic, sniffio, typing_extensions

loaded, opened, started = extras(), descriptors(), threading.enumerate()
events.clear()
import gigachat_sdk

json.dump(
    {
        "extras": sorted(extras() - loaded),
        "descriptors": sorted(descriptors() - opened),
        "threads": [str(thread) for thread in threading.enumerate() if thread not in started],
        "events": [name for name in events if name.startswith(("socket.", "_thread.", "subprocess.", "os.fork"))],
        "file": gigachat_sdk.__file__,
    },
    sys.stdout,
)
"""


def test_importing_does_nothing_else() -> None:
    names = sorted({*EXTRAS, "h2", "trio", "pytest", "rich"})
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT, json.dumps(names)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )
    assert process.returncode == 0, process.stderr
    seen = json.loads(process.stdout)
    assert Path(seen.pop("file")).name == "__init__.py"
    assert seen == {"extras": [], "descriptors": [], "threads": [], "events": []}
