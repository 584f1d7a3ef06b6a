"""Every operation of the API has a method on both clients, and every method an operation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest

import gigachat_sdk
from gigachat_sdk import AsyncClient, Client

from .document import Operation, operations
from .methods import HELPERS, METHODS

CLIENTS: list[type[Any]] = [Client, AsyncClient]
SOURCE = re.compile(r"Source: `([A-Z]+ /[^\s`?]+)(?:\?\S+)?`")


def method_of(kind: type[Any], name: str) -> tuple[Callable[..., Any], str]:
    """Find a method by its dotted name; and the docstring that names its source."""
    owner, _, method = name.rpartition(".")
    if owner[0].isupper():  # a token manager: the class is documented, its method is every manager's
        manager = getattr(gigachat_sdk, f"{'Async' if kind is AsyncClient else ''}{owner}")
        return getattr(manager, method), inspect.getdoc(manager) or ""
    found: Callable[..., Any] = dict(resource_methods(kind))[name]
    return found, inspect.getdoc(found) or ""


def resource_methods(kind: type[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Give all methods of all resources of a client, with their dotted names."""
    client = kind(access_token="t")
    for name, attribute in vars(kind).items():
        if isinstance(attribute, cached_property):
            yield from _methods(getattr(client, name), name)


def _methods(resource: Any, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, part in inspect.getmembers(type(resource), inspect.isfunction):
        if not name.startswith("_"):
            yield f"{path}.{name}", part
    below = {**vars(resource)}
    for name, attribute in vars(type(resource)).items():
        if isinstance(attribute, cached_property):
            below[name] = getattr(resource, name)
    for name, part in below.items():
        if not name.startswith("_") and ".resources." in type(part).__module__:
            yield from _methods(part, f"{path}.{name}")


def test_every_operation_has_an_entry() -> None:
    assert METHODS.keys() == operations().keys()
    assert len(set(METHODS.values())) == len(METHODS)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("operation", operations().values(), ids=str)
def test_an_operation_has_a_method_that_says_so(kind: type[Any], operation: Operation) -> None:
    method, doc = method_of(kind, METHODS[operation.id])
    assert callable(method)
    assert inspect.iscoroutinefunction(inspect.unwrap(method)) is (kind is AsyncClient)
    assert operation.source in SOURCE.findall(doc)
    assert len(SOURCE.findall(doc)) == 1


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_method_has_an_operation_or_a_reason(kind: type[Any]) -> None:
    found = {name for name, _ in resource_methods(kind)}
    assert found - set(METHODS.values()) == set(HELPERS)
    assert all(HELPERS.values())


@pytest.mark.parametrize("kind", CLIENTS)
def test_sources_are_operations(kind: type[Any]) -> None:
    known = {operation.source for operation in operations().values()}
    for name, method in resource_methods(kind):
        named = SOURCE.findall(inspect.getdoc(method) or "")
        assert named, f"{name} does not say which operation it sends"
        assert set(named) <= known, f"{name} names an operation that there is not"


def test_the_walk_finds_nested_resources() -> None:
    assert "chat.completions.create" in dict(resource_methods(Client))
    assert dict(resource_methods(AsyncClient)).keys() == dict(resource_methods(Client)).keys()
