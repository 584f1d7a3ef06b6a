"""A wrong value is told in a few words, however long it is, and also where Python cannot write it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, GigaChatError
from gigachat_sdk.testing import Emulator

pytestmark = pytest.mark.anyio

MESSAGES: Any = [{"role": "user", "content": "Привет!"}]


class Mute:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


LONG = "x" * 10**6
VALUES: dict[str, Any] = {"long": LONG, "mute": Mute(), "deep": deep(), "huge": 10**5000, "many": [LONG]}

Ask = Callable[[AsyncClient, Any], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "stream of chat": lambda client, value: client.chat.completions.create(messages=MESSAGES, stream=value),
    "stream of v2": lambda client, value: client.v2.chat.completions.create(messages=MESSAGES, stream=value),
    "stream of a run": lambda client, value: client.threads.messages.run(messages=MESSAGES, stream=value),
    "cast_to": lambda client, value: client.get("/things", cast_to=value),
    "stream_cls": lambda client, value: client.post("/things", stream_cls=value),
    "response_format": lambda client, value: client.chat.completions.parse(messages=MESSAGES, response_format=value),
    "timeout": lambda client, value: client.models.list(timeout=value),
    "limit of messages": lambda client, value: client.threads.messages.list("t", limit=value),
    "http2 of the client": lambda client, value: client.with_options(http2=value).aclose(),
    "deadline of the client": lambda client, value: client.with_options(deadline=value).aclose(),
    "limit of threads": lambda client, value: client.threads.list(limit=value),
    "method": lambda client, value: client.batches.create(requests=[{"messages": MESSAGES}], method=value),
}


@pytest.mark.parametrize("value", list(VALUES))
@pytest.mark.parametrize("asked", list(ASKED))
async def test_a_wrong_value_is_told_in_a_few_words(
    client: AsyncClient, emulator: Emulator, asked: str, value: str
) -> None:
    with pytest.raises(GigaChatError) as caught:
        await ASKED[asked](client, VALUES[value])
    assert len(str(caught.value)) < 400
    assert emulator.requests == []


@pytest.mark.parametrize("path", [f"//{LONG}", f"/{LONG}?", f"/../{LONG}"])
async def test_a_wrong_path_is_told_in_a_few_words(client: AsyncClient, path: str) -> None:
    with pytest.raises(GigaChatError, match=r"^path: '/") as caught:
        await client.get(path, cast_to=dict)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", [f"{LONG} ", f"\ud800{LONG}"])
async def test_a_wrong_name_is_told_in_a_few_words(client: AsyncClient, emulator: Emulator, name: str) -> None:
    nothing: Any = object()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.models.list(extra_headers={name: "a"}),
        lambda: client.models.list(extra_headers={name: nothing}),
        lambda: client.models.list(extra_query={name: nothing}),
        lambda: client.models.list(extra_query={name: "\ud800"}),
        lambda: client.models.list(extra_query={name: 10**5000}),
    ]
    for call in calls:
        with pytest.raises(GigaChatError) as caught:
            await call()
        assert len(str(caught.value)) < 400
    assert emulator.requests == []
