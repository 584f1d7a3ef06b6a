"""Every operation is sent by both clients, with every field it takes, and what goes over the wire is as documented."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from functools import reduce
from typing import Any
from urllib.parse import parse_qsl

import anyio
import pytest

import gigachat_sdk
from gigachat_sdk import MemoryTokenStore
from gigachat_sdk.testing import Emulator

from .conftest import Wire
from .deviations import is_allowed
from .document import operations, request_fields
from .exchange import Exchange, parts, violations
from .methods import METHODS, NOT_SENT
from .scenarios import SCENARIOS, Scenario

FLAVOURS = ["sync", "asyncio", "trio"]
IDS = {"client_id": "me", "request_id": "r-1", "session_id": "s-1"}  # of every call; their headers are documented


class Caller:
    """Calls methods of one client by the ids of their operations, and checks what went over the wire."""

    def __init__(self, flavour: str, emulator: Emulator, wire: Wire) -> None:
        self._is_sync = flavour == "sync"
        self._wire = wire
        make = emulator.client if self._is_sync else emulator.async_client
        self._client: Any = make(access_token=emulator.issue_token(), credentials=None, scope=None, max_retries=0)
        self.exchanges: list[Exchange] = []

    async def __call__(self, operation: str, /, *args: Any, **kwargs: Any) -> Any:
        """Send an operation by its usual method, or by the one that stands after it."""
        operation, _, helper = operation.partition(" ")
        name = helper or METHODS[operation]
        result = await (self._token(name, *args, **kwargs) if name[0].isupper() else self._call(name, *args, **kwargs))
        taken = self._wire.take()
        assert [exchange.operation and exchange.operation.id for exchange in taken] == [operation]
        exchange = taken[0]
        assert exchange.status == 200, exchange.answer
        assert [one for one in violations(exchange) if not is_allowed(one, exchange)] == []
        self.exchanges += taken
        return result

    async def _call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        method = reduce(getattr, name.split("."), self._client)
        result = await _awaited(method(*args, **{**IDS, **kwargs}))
        if kwargs.get("stream"):
            return list(result) if self._is_sync else [chunk async for chunk in result]
        return await _awaited(result.read()) if name == "files.content" else result

    async def _token(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        kind = getattr(gigachat_sdk, f"{'' if self._is_sync else 'Async'}{name.partition('.')[0]}")
        manager = kind(*args, token_store=MemoryTokenStore(), **kwargs)
        try:
            return await _awaited(manager.get_token())
        finally:
            await _awaited(manager.close() if self._is_sync else manager.aclose())

    async def close(self) -> None:
        await _awaited(self._client.close() if self._is_sync else self._client.aclose())


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def run(flavour: str, scenarios: list[Scenario], wire: Wire) -> list[Exchange]:
    """Run scenarios with one kind of client, and give the exchanges."""

    async def main() -> list[Exchange]:
        with Emulator() as emulator:
            caller = Caller(flavour, emulator, wire)
            try:
                for scenario in scenarios:
                    await scenario.run(caller, emulator)
            finally:
                await caller.close()
            return caller.exchanges

    return anyio.run(main, backend="trio" if flavour == "trio" else "asyncio")


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_scenario_keeps_the_contract(scenario: Scenario, flavour: str, wire: Wire) -> None:
    assert run(flavour, [scenario], wire)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_operation_is_sent_and_answered_and_every_field_sent(flavour: str, wire: Wire) -> None:
    exchanges = run(flavour, SCENARIOS, wire)
    seen: dict[str, set[str]] = {}
    for exchange in exchanges:
        assert exchange.operation is not None
        seen.setdefault(exchange.operation.id, set()).update(said_by(exchange))
    assert seen.keys() == operations().keys()
    missing = {
        f"{operation}: {field}"
        for operation, sent in seen.items()
        for field in request_fields(operations()[operation]) - sent
    }
    assert missing == set(NOT_SENT)
    assert all(NOT_SENT.values())


def said_by(exchange: Exchange) -> Iterator[str]:
    """Give all that a request says, named as `request_fields` names it."""
    assert exchange.operation is not None
    given = {name.lower() for name, _ in exchange.headers}
    yield from (f"header {name}" for name in exchange.operation.parameters("header") if name.lower() in given)
    yield from (f"query {name}" for name, _ in parse_qsl(exchange.query))
    if exchange.content_type == "application/json":
        yield from fields_of(json.loads(exchange.body), "")
    elif exchange.content_type.startswith("multipart/"):
        for head, _ in parts(exchange.body, exchange.content_type):
            yield str(head.get_param("name", header="content-disposition"))
    elif exchange.content_type == "application/x-www-form-urlencoded":
        yield from (name for name, _ in parse_qsl(exchange.body.decode()))


def fields_of(document: Any, path: str) -> Iterator[str]:
    """Give the fields of a JSON document, named as those of a schema."""
    if isinstance(document, dict):
        for name, value in document.items():
            below = f"{path}.{name}" if path else name
            yield below
            yield from fields_of(value, below)
    elif isinstance(document, list):
        for item in document:
            yield from fields_of(item, f"{path}[]")
