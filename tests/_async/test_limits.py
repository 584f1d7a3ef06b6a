"""`max_concurrency` and `limiter`: how many requests of a client are in flight, and when a slot comes back."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from noting_limiter import Late, Watching

from gigachat_sdk import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncCallableTokenManager,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LimiterTimeoutError,
    LocalLimiter,
    MemoryTokenStore,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Fault, Reply
from gigachat_sdk.types import AttemptRequest, AttemptResponse

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
Send = Callable[[AttemptRequest], Awaitable[AttemptResponse]]


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


async def test_a_client_has_no_limit_unless_asked(client: AsyncClient) -> None:
    assert client.limiter is None


async def test_a_number_makes_a_limiter_that_copies_share(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, max_concurrency=3)
    assert isinstance(client.limiter, LocalLimiter)
    assert client.limiter.limits == {"*": 3}
    assert client.with_options(timeout=5, verify_ssl_certs=False).limiter is client.limiter
    assert client.with_options(base_url="https://gateway.example/v1").limiter is client.limiter
    assert client.with_options(max_concurrency=3).limiter is client.limiter
    other = client.with_options(max_concurrency=2).limiter
    assert isinstance(other, LocalLimiter)
    assert other.limits == {"*": 2}
    account = client.with_options(credentials="b3RoZXI6YWNjb3VudA==").limiter
    assert isinstance(account, LocalLimiter)
    assert account is not client.limiter


async def test_a_given_limiter_is_shared_by_whoever_is_given_it(connect: Connect, emulator: Emulator) -> None:
    limiter = LocalLimiter(1)
    client = connect(emulator, limiter=limiter)
    assert client.limiter is connect(emulator, limiter=limiter).limiter is limiter
    assert client.with_options(credentials="b3RoZXI6YWNjb3VudA==").limiter is limiter
    replaced = client.with_options(max_concurrency=2).limiter
    assert isinstance(replaced, LocalLimiter)
    assert replaced.limits == {"*": 2}
    assert connect(emulator, max_concurrency=2).with_options(limiter=limiter).limiter is limiter


async def test_the_environment_may_give_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MAX_CONCURRENCY", "4")
    async with AsyncClient(access_token="token") as client:
        assert isinstance(client.limiter, LocalLimiter)
        assert client.limiter.limits == {"*": 4}
    async with AsyncClient(access_token="token", max_concurrency=5) as client:
        assert isinstance(client.limiter, LocalLimiter)
        assert client.limiter.limits == {"*": 5}
    limiter = LocalLimiter(1)
    async with AsyncClient(access_token="token", limiter=limiter) as client:
        assert client.limiter is limiter
    monkeypatch.setenv("GIGACHAT_MAX_CONCURRENCY", "0")
    with pytest.raises(ConfigurationError, match="GIGACHAT_MAX_CONCURRENCY: give a number over 0, not 0"):
        AsyncClient(access_token="token")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency: give a number over 0, not 0"),
        ({"max_concurrency": "2"}, "max_concurrency: expected a number, got str"),
        (
            {"limiter": LocalLimiter(1), "max_concurrency": 1},
            "max_concurrency, limiter: a limiter brings its own limit; give one of them",
        ),
    ],
)
async def test_what_limits_nothing_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(access_token="token", **options)
    assert caught.value.message == message


async def test_a_number_is_pickled_and_a_limiter_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_ACCESS_TOKEN", "token")
    async with AsyncClient(max_concurrency=2) as client, pickle.loads(pickle.dumps(client)) as copy:
        assert copy.limiter.limits == {"*": 2}
    async with AsyncClient(limiter=LocalLimiter(1)) as client:
        with pytest.raises(ConfigurationError, match="limiter belongs to this process"):
            pickle.dumps(client)


async def test_a_slot_comes_back_when_the_answer_is_read(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    for _ in range(3):
        await ask(client)
    await client.models.list()
    assert limiter.asked == [("GigaChat", 0)] * 3 + [(None, 0)]
    assert limiter.held == 0


async def test_a_stream_holds_its_slot_to_its_end(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    stream = await ask(client, stream=True)
    assert limiter.held == 1
    with pytest.raises(LimiterTimeoutError) as caught:
        await ask(client)
    assert caught.value.request is not None
    assert caught.value.request.url == f"{emulator.base_url}/chat/completions"
    async for _ in stream:
        pass
    assert limiter.held == 0
    await ask(client)


async def test_a_stream_that_is_closed_or_left_gives_it_back(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    stream = await ask(client, stream=True)
    await stream.aclose()
    assert limiter.held == 0
    async with await ask(client, stream=True) as stream:
        async for _ in stream:
            break
    assert limiter.held == 0


async def test_a_stream_that_breaks_gives_it_back(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    emulator.inject(Fault("reset_between_events", path=CHAT))
    with pytest.raises(StreamInterruptedError):
        async for _ in await ask(client, stream=True):
            pass
    assert limiter.held == 0


async def test_a_download_holds_its_slot_to_its_end(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    file = await client.files.create(file=("a.txt", b"text", "text/plain"))
    content = await client.files.content(file.id)
    assert limiter.held == 1
    assert await content.read() == b"text"
    assert limiter.held == 0


async def test_errors_give_the_slot_back(connect: Connect, emulator: Emulator, delays: list[float]) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter, max_retries=1)
    emulator.reply(CHAT, Reply.error(400, "no"))
    with pytest.raises(BadRequestError):
        await ask(client)
    emulator.inject(Fault("reset_before_head", path=CHAT, times=2))
    with pytest.raises(APIConnectionError):
        await ask(client)
    emulator.clear_faults()
    emulator.reply(CHAT, Reply(json={"a": 1}), Reply.error(429, "later"))
    with pytest.raises(APIResponseValidationError):
        await ask(client, stream=True)
    with pytest.raises(RateLimitError):
        await ask(client, stream=True, max_retries=0)
    with pytest.raises(NotFoundError):
        await client.models.retrieve("nothing")
    assert limiter.held == 0


async def test_a_retry_waits_without_a_slot_and_takes_another(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    limiter, held = Watching(), list[int]()
    client = connect(emulator, limiter=limiter, on_retry=lambda info: held.append(limiter.held))
    emulator.reply(CHAT, Reply.error(429, "a"), Reply.error(500, "b"))
    await ask(client)
    assert held == [0, 0]
    assert limiter.asked == [("GigaChat", 0)] * 3


async def test_a_refused_token_is_renewed_without_a_slot(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()
    client = connect(emulator, limiter=limiter)
    await ask(client)
    emulator.revoke_tokens()
    await ask(client)
    assert (emulator.oauth_requests, limiter.held) == (2, 0)
    assert len(limiter.asked) == 3  # buying tokens takes none
    emulator.reply(CHAT, Reply.error(401, "no"), Reply.error(401, "no"))
    with pytest.raises(AuthenticationError):
        await ask(client)
    assert limiter.held == 0


async def test_limits_may_differ_by_model(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching({"GigaChat-2-Max": 1, "*": 1})
    client = connect(emulator, limiter=limiter)
    stream = await ask(client, stream=True, model="GigaChat-2-Max")
    await ask(client)
    await client.embeddings.create(input="text")
    await ask(client, extra_body={"model": "GigaChat-2"})
    with pytest.raises(LimiterTimeoutError):
        await client.v2.chat.completions.create(messages=MESSAGES, model="GigaChat-2-Max:latest")
    await stream.aclose()
    assert [model for model, _ in limiter.asked] == [
        "GigaChat-2-Max",
        "GigaChat",
        "Embeddings",
        "GigaChat-2",
        "GigaChat-2-Max:latest",
    ]


async def test_429_tells_an_adaptive_limiter(connect: Connect, emulator: Emulator, delays: list[float]) -> None:
    limiter = LocalLimiter(8, adaptive=True)
    client = connect(emulator, limiter=limiter)
    emulator.reply(CHAT, Reply.error(429, "later"))
    await ask(client)
    assert "*: 4 of 8" in repr(limiter)
    assert 4.0 < limiter._buckets["*"].window.width < 4.1  # type: ignore[union-attr]  # it has one


async def test_the_deadline_of_a_call_ends_its_wait(connect: Connect, emulator: Emulator) -> None:
    limiter = LocalLimiter(1)
    client = connect(emulator, limiter=limiter)
    await ask(client)
    with limiter.acquire(), pytest.raises(APITimeoutError) as caught:
        await ask(client, deadline=0.3)
    assert caught.value.message == "the deadline of 0.3 s has passed while it waited for a slot of the limiter"
    assert not caught.value.sent
    assert caught.value.request is not None
    assert (limiter.held, limiter.waiting) == (0, 0)


async def test_the_token_is_looked_at_again_after_a_wait(connect: Connect, emulator: Emulator) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append(emulator.issue_token())
        if len(asked) == 4:
            raise KeyError("token")
        return asked[-1]

    limiter = Late()
    manager = AsyncCallableTokenManager(token)
    client = connect(token_manager=manager, limiter=limiter, base_url=emulator.base_url)
    await client.models.list()
    assert len(asked) == 2
    assert emulator.requests[-1].headers["authorization"] == f"Bearer {asked[1]}"
    with pytest.raises(KeyError):
        await client.models.list()
    assert limiter.held == 0


async def test_a_middleware_that_sends_twice_holds_one_slot(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()

    async def twice(request: AttemptRequest, send: Send) -> AttemptResponse:
        await send(request)
        assert limiter.held <= 1
        return await send(request)

    client = connect(emulator, limiter=limiter, middleware=[twice])
    await ask(client)
    assert limiter.held == 0
    stream = await ask(client, stream=True)
    assert limiter.held == 1
    async for _ in stream:
        pass
    assert limiter.held == 0


async def test_a_middleware_that_fails_or_does_not_send_gives_the_slot_back(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    limiter, plan = Watching(), list[str]()

    async def wayward(request: AttemptRequest, send: Send) -> AttemptResponse:
        what = plan.pop()
        if what == "before":
            raise KeyError(what)
        await send(request)
        if what == "after":
            raise KeyError(what)
        emulator.inject(Fault("reset_before_head", path=CHAT))
        return await send(request)

    client = connect(emulator, limiter=limiter, middleware=[wayward], max_retries=0)
    for what in ("before", "after"):
        plan.append(what)
        with pytest.raises(KeyError, match=what):
            await ask(client, stream=True)
        assert limiter.held == 0
    plan.append("second")
    with pytest.raises(APIConnectionError):
        await ask(client, stream=True)
    assert limiter.held == 0


async def test_a_dropped_stream_gives_its_slot_back_at_once(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching(timeout=None)
    client = connect(emulator, limiter=limiter)
    stream = await ask(client, stream=True)
    assert limiter.held == 1
    del stream
    gc.collect()
    await ask(client)  # waits until it is back, and no longer
    assert limiter.held == 0


async def test_a_second_send_that_cannot_be_begun_gives_its_slot_back(connect: Connect, emulator: Emulator) -> None:
    limiter = Watching()

    async def closing(request: AttemptRequest, send: Send) -> AttemptResponse:
        await send(request)
        await clients[-1].aclose()
        return await send(request)

    clients = [connect(emulator, limiter=limiter, middleware=[closing])]
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await ask(clients[-1])
    assert len(limiter.asked) == 2
    assert limiter.held == 0
    clients.append(connect(emulator, middleware=[closing]))
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await ask(clients[-1])


async def test_a_middleware_that_sends_again_after_a_failure_takes_a_slot_for_it(
    connect: Connect, emulator: Emulator
) -> None:
    limiter = Watching()

    async def again(request: AttemptRequest, send: Send) -> AttemptResponse:
        try:
            return await send(request)
        except APIConnectionError:
            return await send(request)

    client = connect(emulator, limiter=limiter, middleware=[again], max_retries=0)
    emulator.inject(Fault("reset_before_head", path=CHAT, times=1))
    stream = await ask(client, stream=True)
    assert len(limiter.asked) == 2
    assert limiter.held == 1
    await stream.aclose()
    assert limiter.held == 0


async def test_a_class_is_no_limiter_and_no_store() -> None:
    wrong: Any = LocalLimiter
    with pytest.raises(ConfigurationError, match="limiter: expected an object, got the class LocalLimiter; make one"):
        AsyncClient(access_token="token", limiter=wrong)
    wrong = MemoryTokenStore
    with pytest.raises(ConfigurationError, match="token_store: expected an object, got the class MemoryTokenStore"):
        AsyncClient(access_token="token", token_store=wrong)


async def test_a_call_takes_no_limit(client: AsyncClient) -> None:
    with pytest.raises(TypeError, match=r"create\(\) takes no max_concurrency: it is a setting of the client"):
        await ask(client, max_concurrency=3)


async def test_429_of_the_token_endpoint_says_nothing_of_requests_in_flight(connect: Connect) -> None:
    with Emulator() as emulator:
        client = connect(emulator, max_retries=0)
        emulator.reply("/api/v2/oauth", Reply.error(429, "too many tokens"))
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
        assert "in flight" not in caught.value.message
    with Emulator() as emulator:
        client = connect(emulator, max_retries=0)
        emulator.reply(CHAT, Reply.error(429, "too many"))
        with pytest.raises(RateLimitError, match="An individual may have 1 request in flight"):
            await ask(client)
