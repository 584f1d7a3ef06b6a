"""Runs the same call with the sync client, on asyncio and on trio, and gives the error it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import trio

import gigachat_sdk
from gigachat_sdk import AsyncClient, Client

FLAVOURS = ("sync", "asyncio", "trio")
MESSAGES: Any = [{"role": "user", "content": "x"}]


def part(flavour: str, name: str) -> Any:
    """Give a public name as the flavour has it: `OAuthTokenManager` or `AsyncOAuthTokenManager`."""
    return getattr(gigachat_sdk, name if flavour == "sync" else f"Async{name}")


def in_loop(flavour: str, main: Callable[[], Any]) -> Any:
    return asyncio.run(main()) if flavour == "asyncio" else trio.run(main)


def error_of_call(flavour: str, options: dict[str, Any], call: dict[str, Any], *, is_closed: bool = False) -> Any:
    """Make a client, send one chat request, and return what it raises."""
    return (
        _sync_error(options, call, is_closed) if flavour == "sync" else _async_error(flavour, options, call, is_closed)
    )


def _sync_error(options: dict[str, Any], call: dict[str, Any], is_closed: bool) -> BaseException | None:
    with Client(**options) as client:
        if is_closed:
            client.close()
        try:
            answer = client.chat.completions.create(**{"messages": MESSAGES, **call})
            for _ in answer:  # type: ignore[union-attr]
                pass
        except BaseException as error:
            return error
    return None


def _async_error(flavour: str, options: dict[str, Any], call: dict[str, Any], is_closed: bool) -> BaseException | None:
    async def main() -> BaseException | None:
        async with AsyncClient(**options) as client:
            if is_closed:
                await client.aclose()
            try:
                answer = await client.chat.completions.create(**{"messages": MESSAGES, **call})
                async for _ in answer:  # type: ignore[union-attr]
                    pass
            except BaseException as error:
                return error
        return None

    result: BaseException | None = in_loop(flavour, main)
    return result
