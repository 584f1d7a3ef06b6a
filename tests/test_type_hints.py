"""Annotations of everything public can be read at run time: by documentation tools, by frameworks, by pydantic."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
import typing_extensions

import gigachat_sdk
import gigachat_sdk.bulk
import gigachat_sdk.testing
import gigachat_sdk.types
import gigachat_sdk.types.v2
from gigachat_sdk import AsyncClient, Client
from gigachat_sdk.types import BatchFile, FileContent, FileTypes

MODULES: list[Any] = [
    gigachat_sdk,
    gigachat_sdk.types,
    gigachat_sdk.types.v2,
    gigachat_sdk.testing,
    gigachat_sdk.bulk,
]


def named() -> Iterator[tuple[str, Any]]:
    """Yield what modules name in `__all__`, and the resources of the clients, which nobody names."""
    for module in MODULES:
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)
    for client in (Client, AsyncClient):
        yield from resources(client(access_token="t"), client.__name__)


def resources(owner: object, path: str) -> Iterator[tuple[str, Any]]:
    for name in dir(owner):
        resource: Any = None if name.startswith("_") else getattr(owner, name)
        if ".resources." in type(resource).__module__:
            yield f"{path}.{name}", type(resource)
            yield from resources(resource, f"{path}.{name}")


def described() -> Iterator[tuple[str, Any]]:
    """Yield each class and each function once, methods and getters of properties among them."""
    seen: set[object] = set()
    for name, item in named():
        if not (inspect.isclass(item) or inspect.isfunction(item)) or item in seen:
            continue
        seen.add(item)
        yield name, item
        for method in dir(item) if inspect.isclass(item) else ():
            member: Any = inspect.getattr_static(item, method, None)
            function = member.fget if isinstance(member, property) else getattr(member, "func", member)
            function = getattr(function, "__func__", function)
            is_ours = isinstance(function, types.FunctionType) and function.__module__.startswith("gigachat_sdk")
            if is_ours and (not method.startswith("_") or method == "__init__") and function not in seen:
                seen.add(function)
                yield f"{name}.{method}", function


DESCRIBED = dict(described())
LATE_SECTIONS = (
    *("models", "embeddings", "tokens", "functions", "files", "batches", "balance", "ai", "filter", "assistants"),
    *("threads", "v2"),
)


def test_the_walk_finds_what_is_public() -> None:
    assert {
        "gigachat_sdk.Client.with_options",
        "gigachat_sdk.testing.Emulator.async_client",
        "Client.files.create",
        "AsyncClient.v2.chat.completions.parse",
        "AsyncClient.threads.messages.run",
    } <= DESCRIBED.keys()
    assert len(DESCRIBED) > 500


# Their types come with the section of the API that is used, and every program would pay for importing them at once.
LATE = {
    *(f"gigachat_sdk.{client.__name__}.{name}" for client in (Client, AsyncClient) for name in LATE_SECTIONS),
    "gigachat_sdk.BatchTimeoutError.__init__",
}


def is_unreadable(item: object) -> bool:
    readers: list[Callable[..., object]] = [typing.get_type_hints, typing_extensions.get_type_hints]
    try:
        for read in readers:
            read(item, include_extras=True)
    except NameError:
        return True
    return False


def test_annotations_can_be_read() -> None:
    assert {name for name, item in DESCRIBED.items() if is_unreadable(item)} == LATE


@pytest.mark.parametrize("kind", [FileTypes, FileContent, BatchFile], ids=["FileTypes", "FileContent", "BatchFile"])
def test_pydantic_takes_files_of_every_kind(kind: Any) -> None:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    with Path(__file__).open("rb") as file:
        for value in ("a.txt", b"a", bytearray(b"a"), memoryview(b"a"), file):
            assert adapter.validate_python(value) is value
    assert str(adapter.validate_python(Path("a.txt"))) == "a.txt"
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python(5)


def test_pydantic_takes_files_with_names() -> None:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(FileTypes)
    for value in (("a.txt", b"a"), (None, b"a", "text/plain")):
        assert adapter.validate_python(value) == value
