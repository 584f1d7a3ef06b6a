"""A pytest plugin: an emulator and clients for it as fixtures.

It loads by itself where `gigachat-sdk` is installed, and imports the emulator only when a fixture is used. The
fixtures need the extra: `pip install 'gigachat-sdk[emulator]'`.

Example:
    ```python
    def test_answer(gigachat_client, gigachat_emulator):
        gigachat_emulator.answer("Привет!")
        completion = gigachat_client.chat.completions.create(messages=[{"role": "user", "content": "Как дела?"}])
        assert completion.choices[0].message.content == "Привет!"
        assert len(gigachat_emulator.requests_to("/v1/chat/completions")) == 1
    ```
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gigachat_sdk import AsyncClient, Client
    from gigachat_sdk.testing import Emulator


@pytest.fixture
def gigachat_emulator() -> "Iterator[Emulator]":
    """A running emulator over plain HTTP, new for every test."""
    from gigachat_sdk.testing import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def gigachat_client(gigachat_emulator: "Emulator") -> "Iterator[Client]":
    """A `Client` of the test's emulator, closed after the test."""
    with gigachat_emulator.client() as client:
        yield client


@pytest.fixture
def gigachat_async_client(gigachat_emulator: "Emulator") -> "AsyncClient":
    """An `AsyncClient` of the test's emulator, not entered yet.

    The test closes it, since only the test has the event loop: `async with gigachat_async_client as client:`.
    """
    return gigachat_emulator.async_client()
