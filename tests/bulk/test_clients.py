"""Whose client asks: the user's own, whether something limits it or not."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, Client, ConfigurationError, LocalLimiter
from gigachat_sdk._watch import LOOK, pauses, watched, watching
from gigachat_sdk.testing import Emulator

from .conftest import Engine, asked, asking, numbered, texts

limits = pytest.mark.parametrize("settings", [{}, {"max_concurrency": 2}])


@limits
def test_a_copy_that_is_closed_ends_the_run(engine: Engine, emulator: Emulator, settings: dict[str, Any]) -> None:
    def closed(client: Client | AsyncClient) -> Any:
        if isinstance(client, Client):
            with client.with_options(timeout=9) as copy:
                return copy

        async def aclosed() -> AsyncClient:
            async with client.with_options(timeout=9) as copy:
                return copy

        return aclosed()

    results, error = engine.run(numbered(9), settings=settings, shape=closed)
    assert isinstance(error, ConfigurationError)
    assert (results, asked(emulator)) == ([], [])


class Tagged(Client):
    tag: str

    @property
    def chat(self) -> Any:
        assert self.tag == "mine"
        return super().chat


class AsyncTagged(AsyncClient):
    tag: str

    @property
    def chat(self) -> Any:
        assert self.tag == "mine"
        return super().chat


@limits
def test_a_client_of_a_class_with_a_state_of_its_own(engine: Engine, settings: dict[str, Any]) -> None:
    def tagged(client: Any) -> Any:
        client.__class__ = Tagged if isinstance(client, Client) else AsyncTagged
        client.tag = "mine"
        return client

    assert texts(engine.results(numbered(3), settings=settings, shape=tagged)) == ["0", "1", "2"]


@limits
def test_methods_of_a_client_s_own_are_called(engine: Engine, settings: dict[str, Any]) -> None:
    seen: list[str] = []

    def traced(client: Any) -> Any:
        create = client.chat.completions.create

        def traced_create(**keywords: Any) -> Any:
            seen.append(keywords["messages"][0]["content"])
            return create(**keywords)

        client.chat.completions.create = traced_create
        return client

    assert texts(engine.results(numbered(3), settings=settings, shape=traced)) == ["0", "1", "2"]
    assert sorted(seen) == ["0", "1", "2"]


@limits
def test_settings_are_read_once(engine: Engine, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def built(client: Any) -> Any:
        for module in ("_async", "_sync"):
            monkeypatch.setattr(f"gigachat_sdk.{module}.client.resolve", pytest.fail)
        return client

    assert texts(engine.results([asking("0")], settings=settings, shape=built)) == ["0"]


def test_a_client_may_do_two_runs_after_each_other(engine: Engine) -> None:
    limiter = LocalLimiter(2)
    for _ in range(2):
        assert texts(engine.results(numbered(3), settings={"limiter": limiter})) == ["0", "1", "2"]
    assert limiter.held == 0


# ---- how a limiter is watched ----


def test_a_limiter_is_watched_within_a_call_only() -> None:
    limiter, other = LocalLimiter(1), LocalLimiter(1)
    with watching(lambda given: other, pytest.fail):
        assert watched(limiter) is other
        with watching(lambda given: given, pytest.fail):
            assert watched(limiter) is limiter
        left = copy_context()  # as a task has it that outlives the call
    assert watched(limiter) is limiter
    assert left.run(watched, limiter) is limiter


class EndingError(Exception):
    """Of a run that is ending."""


def test_whoever_watches_ends_what_waits() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 4:
            raise EndingError

    with watching(lambda given: given, look):
        assert watched(None) is None
        assert list(pauses(LOOK)) == [LOOK]
        waited = pauses(60)
        assert [next(waited), next(waited)] == [LOOK, LOOK]
        with pytest.raises(EndingError):
            next(waited)
    assert (list(pauses(60)), watched(None)) == ([60], None)
