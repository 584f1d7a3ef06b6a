"""Token managers: ready ones, functions, ones of your own, ones made by hand, and what clients share."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat_sdk import (
    AccessToken,
    AsyncCallableTokenManager,
    AsyncClient,
    AsyncOAuthTokenManager,
    AsyncPasswordTokenManager,
    AsyncStaticTokenManager,
    AsyncTokenManager,
    AuthenticationError,
    ConfigurationError,
    MemoryTokenStore,
    TokenStore,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect
from .servers import RawServer, plain_answer

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
OAUTH = "/api/v2/oauth"
KEY = "Y2xpZW50OnNlY3JldA=="


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **options)


def token_reply(value: str, expires_at: float | None) -> Reply:
    return Reply(json={"access_token": value, "expires_at": expires_at})


# ---- other ways ----


async def test_a_static_token(emulator: Emulator) -> None:
    token = emulator.issue_token()
    manager = AsyncStaticTokenManager(token)
    assert await manager.get_token() == AccessToken(token)
    await manager.invalidate(AccessToken(token))
    assert await manager.get_token() == AccessToken(token)
    assert await AsyncStaticTokenManager(AccessToken(token, 1.0)).get_token() == AccessToken(token, 1.0)


@pytest.mark.parametrize("token", ["", "a\nb", " a", "ы", None, 1])
async def test_what_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(ConfigurationError):
        AsyncStaticTokenManager(token)
    with pytest.raises(ConfigurationError):
        await AsyncCallableTokenManager(lambda: token).get_token()
    with pytest.raises(ConfigurationError):
        AsyncClient(access_token=AccessToken(token))


async def test_what_is_no_token_is_refused_inside_an_access_token_too() -> None:
    with pytest.raises(ConfigurationError):
        AsyncStaticTokenManager(AccessToken("a\nb"))
    with pytest.raises(ConfigurationError):
        await AsyncCallableTokenManager(lambda: AccessToken("a\nb")).get_token()


async def test_a_function_is_asked_before_every_request(connect: Connect, emulator: Emulator) -> None:
    asked: list[str] = []

    async def current() -> str:
        asked.append(emulator.issue_token())
        return asked[-1]

    client = connect(emulator, token_manager=AsyncCallableTokenManager(current))
    await ask(client)
    emulator.reply(CHAT, Reply.error(401, "x"))
    await ask(client)
    sent = [request.headers["authorization"][7:] for request in emulator.requests]
    assert len(sent) == len(set(sent)) == 3
    assert set(sent) <= set(asked)


async def test_a_function_with_the_same_token_after_a_refusal(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, token_manager=AsyncCallableTokenManager(lambda: AccessToken("same")))
    with pytest.raises(AuthenticationError):
        await ask(client)
    assert len(emulator.requests) == 1


async def test_a_manager_of_ones_own(connect: Connect, emulator: Emulator) -> None:
    class Mine:
        refused: tuple[AccessToken, ...] = ()

        async def get_token(self) -> AccessToken | None:
            return AccessToken(emulator.issue_token() if self.refused else "old")

        async def invalidate(self, token: AccessToken) -> None:
            self.refused += (token,)

    manager = Mine()
    assert isinstance(manager, AsyncTokenManager)
    await ask(connect(emulator, token_manager=manager))
    assert manager.refused == (AccessToken("old"),)


async def test_a_manager_may_send_no_token(connect: Connect, emulator: Emulator) -> None:
    class Nobody:
        async def get_token(self) -> None:
            return None

        async def invalidate(self, token: AccessToken) -> None:
            raise AssertionError

    with pytest.raises(AuthenticationError):
        await ask(connect(emulator, token_manager=Nobody()))
    assert "authorization" not in emulator.requests[0].headers


def test_what_is_no_manager_is_refused() -> None:
    for wrong in (object(), "x"):
        with pytest.raises(TypeError, match="token_manager: "):
            AsyncClient(token_manager=wrong)
    with pytest.raises(TypeError, match="function: expected a function, got str"):
        AsyncCallableTokenManager("x")


# ---- sharing ----


async def test_clients_of_a_process_share_tokens(connect: Connect, emulator: Emulator) -> None:
    for _ in range(3):
        await ask(connect(emulator))
    assert emulator.oauth_requests == 1


async def test_a_store_of_ones_own_is_not_shared(connect: Connect, emulator: Emulator) -> None:
    store = MemoryTokenStore()
    assert isinstance(store, TokenStore)
    for client in (connect(emulator), connect(emulator, token_store=store), connect(emulator, token_store=store)):
        await ask(client)
    assert emulator.oauth_requests == 2


@pytest.mark.off_contract("asks for a scope of the test's own, at an address with a query")
async def test_tokens_are_told_apart_by_all_that_decides_them(
    connect: Connect, process_store: MemoryTokenStore
) -> None:
    with Emulator(scope="any") as emulator:
        emulator.on("/v1/models", lambda request: Reply(json={"data": []}), method="GET")
        emulator.on(OAUTH, lambda request: token_reply(emulator.issue_token(), None))
        for options in (
            {"scope": "any"},
            {"scope": "any", "auth_url": emulator.auth_url + "?x=1"},
            {"user": "user", "password": "password"},
            {"user": "user", "password": "password", "base_url": emulator.base_url.replace("/v1", "/api/v1")},
        ):
            client = connect(emulator, **options)
            await client.models.list()
            await client.aclose()
    assert repr(process_store) == "MemoryTokenStore(4 tokens)"
    assert len([request for request in emulator.requests if request.method == "POST"]) == 4
    assert all(len(name) > 64 and emulator.credentials not in name for name in process_store._tokens)


# ---- managers made by hand ----


async def test_a_manager_made_by_hand_has_connections_of_its_own(connect: Connect, emulator: Emulator) -> None:
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url, timeout=3, max_retries=0)
    clients = [connect(emulator, token_manager=manager) for _ in range(2)]
    for client in clients:
        await ask(client)
    assert emulator.oauth_requests == 1
    await clients[0].aclose()
    emulator.revoke_tokens()
    await ask(clients[1])
    await manager.aclose()
    emulator.revoke_tokens()
    with pytest.raises(ConfigurationError, match="closed"):
        await ask(clients[1])


async def test_a_password_manager_made_by_hand(connect: Connect, emulator: Emulator) -> None:
    manager = AsyncPasswordTokenManager("user", "password", base_url=emulator.base_url)
    await ask(connect(emulator, token_manager=manager))
    assert emulator.requests[0].path == "/v1/token"
    assert repr(manager) == "AsyncPasswordTokenManager()"
    await manager.aclose()


def test_settings_of_a_manager_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="credentials: this is not base64"):
        AsyncOAuthTokenManager("no-base-64")
    with pytest.raises(ConfigurationError, match="auth_url"):
        AsyncOAuthTokenManager(KEY, auth_url="nonsense")
    with pytest.raises(TypeError, match="the token manager got an unexpected keyword argument 'timeot'; did you mean"):
        AsyncOAuthTokenManager(KEY, timeot=1)


async def test_the_environment_of_a_client_does_not_reach_the_key_of_a_manager(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "b3RoZXI6a2V5")
    monkeypatch.setenv("GIGACHAT_ACCESS_TOKEN", "t")
    manager = AsyncOAuthTokenManager(emulator.credentials, auth_url=emulator.auth_url)
    assert (await manager.get_token()).value != "t"
    await manager.aclose()


async def test_a_redirect_of_the_token_endpoint_takes_no_key_along(connect: Connect, emulator: Emulator) -> None:
    def answer(connection: object, request: bytes) -> list[bytes]:
        return [plain_answer(b"", "302 Found", head=f"Location: {emulator.auth_url}\r\n")]

    with RawServer(answer) as server:
        client = connect(emulator, auth_url=server.url + "/oauth")
        with pytest.raises(Exception, match=r"set base_url \(or auth_url\) to the address it names"):
            await ask(client)
        await client.aclose()
    assert emulator.requests == []
