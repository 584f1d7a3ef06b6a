"""Names that are imported when they are first used: all of them are there, and none is imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gigachat_sdk
from gigachat_sdk import types
from gigachat_sdk.types import v2

LATE = ["assistants", "batches", "files", "threads", "threads_params", "v2"]


@pytest.mark.parametrize("package", [gigachat_sdk, types, v2], ids=lambda package: package.__name__)
def test_every_public_name_is_there(package: object) -> None:
    names: list[str] = package.__all__  # type: ignore[attr-defined]  # a module
    assert len(names) == len(set(names))
    assert [name for name in names if getattr(package, name, None) is None] == []


def test_a_name_that_is_not_there_is_told_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match=r"^module 'gigachat_sdk' has no attribute 'Clinet'"):
        gigachat_sdk.Clinet  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Thraed'"):
        from gigachat_sdk.types import Thraed  # noqa: F401


def test_what_few_programs_need_is_imported_when_it_is_used() -> None:
    script = (
        "import sys, gigachat_sdk\n"
        f"names = {LATE!r}\n"
        "assert not [name for name in names if f'gigachat_sdk.types.{name}' in sys.modules], sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('gigachat_sdk._sync.resources.files')]\n"
        "client = gigachat_sdk.Client(access_token='t')\n"
        "client.files, client.v2\n"
        "assert 'gigachat_sdk.types.files' in sys.modules and 'gigachat_sdk.types.v2' in sys.modules\n"
        "assert gigachat_sdk.types.v2.ChatCompletion\n"
        "assert gigachat_sdk.Thread is gigachat_sdk.types.Thread\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_star_imports_bring_everything() -> None:
    names: dict[str, object] = {}
    exec("from gigachat_sdk.types import *", names)
    assert set(types.__all__) <= names.keys()
