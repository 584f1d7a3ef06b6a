"""Types of the clients, the models they list and the parts they take, checked by mypy and pyright and never run."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict, assert_type

from gigachat_sdk import (
    AccessToken,
    AsyncCallableTokenManager,
    AsyncClient,
    AsyncOAuthTokenManager,
    AsyncStaticTokenManager,
    AsyncStream,
    AsyncTokenManager,
    CallableTokenManager,
    ChatCompletionChunk,
    Client,
    ClientOptions,
    MemoryTokenStore,
    Model,
    ModelList,
    OAuthTokenManager,
    PasswordTokenManager,
    StaticTokenManager,
    Stream,
    TokenManager,
    TokenStore,
)


def construction(context: ssl.SSLContext, http_client: httpx.Client) -> None:
    assert_type(Client(), Client)
    Client(
        credentials="k", scope="GIGACHAT_API_CORP", model="GigaChat-2-Max", base_url="https://h", auth_url="https://h"
    )
    Client(credentials=SecretStr("k"), token_store=MemoryTokenStore(), allow_pickle_secrets=True)
    Client(access_token=AccessToken("t", expires_at=1.0), timeout=httpx.Timeout(1), max_retries=0)
    Client(user="u", password="p", timeout=None, proxy="http://h", http2="auto", verify_ssl_certs=False)
    Client(cert_file=Path("a"), key_file="b", key_file_password=SecretStr("p"), ca_bundle_file=Path("c"))
    Client(ssl_context=context, default_headers={"X-A": None}, default_query={"a": ["1"], "b": 2}, retry_statuses=[500])
    Client(token_manager=StaticTokenManager("t"), http_client=http_client, http2=True, retry_lost=False)
    options: ClientOptions = {"model": "GigaChat"}
    Client(**options)


def what_a_client_says(client: Client) -> None:
    assert_type(client.base_url, str)
    assert_type(client.auth_url, str)
    assert_type(client.model, str)
    assert_type(client.timeout, httpx.Timeout)
    assert_type(client.max_retries, int)
    assert_type(client.is_closed, bool)
    assert_type(client.with_options(timeout=1), Client)
    with client as entered:
        assert_type(entered, Client)
    client.close()


async def what_an_async_client_says(client: AsyncClient) -> None:
    assert_type(client.with_options(timeout=1), AsyncClient)
    async with client as entered:
        assert_type(entered, AsyncClient)
    await client.aclose()


class MyClient(Client):
    """A class of the user's own stays one."""


def subclasses(client: MyClient) -> None:
    assert_type(client.with_options(model="x"), MyClient)
    with client as entered:
        assert_type(entered, MyClient)


class Counted(BaseModel):
    tokens: int


class Row(TypedDict):
    tokens: int


def unknown_endpoints(client: Client, path: str, kind: type[Counted], counted: Counted) -> None:
    assert_type(client.get(path, cast_to=dict), dict[str, Any])
    assert_type(client.get(path, cast_to=dict[str, int]), dict[str, int])
    assert_type(client.get(path, cast_to=list), list[Any])
    assert_type(client.get(path, cast_to=list[Counted]), list[Counted])
    assert_type(client.get(path, cast_to=kind), Counted)
    assert_type(client.get(path, cast_to=Row), Row)
    assert_type(client.get(path, cast_to=bytes), bytes)
    assert_type(client.get(path, cast_to=dict[int, str], extra_headers=None), dict[int, str])
    assert_type(client.post(path, cast_to=dict, body=counted), dict[str, Any])
    assert_type(client.post(path, cast_to=list, body={"a": [counted]}), list[Any])
    assert_type(client.post(path, cast_to=Counted), Counted)
    assert_type(client.post(path, stream_cls=Stream[ChatCompletionChunk]), Stream[ChatCompletionChunk])
    assert_type(client.delete(path, cast_to=dict), dict[str, Any])
    assert_type(client.delete(path, cast_to=list), list[Any])
    assert_type(client.delete(path, cast_to=str), str)


async def unknown_endpoints_of_an_async_client(client: AsyncClient, path: str) -> None:
    assert_type(await client.get(path, cast_to=dict), dict[str, Any])
    assert_type(await client.post(path, cast_to=dict, max_retries=None, extra_query=None), dict[str, Any])
    assert_type(await client.post(path, stream_cls=AsyncStream[ChatCompletionChunk]), AsyncStream[ChatCompletionChunk])
    assert_type(await client.delete(path, cast_to=Counted), Counted)


def models(client: Client) -> None:
    page = client.models.list(timeout=1)
    assert_type(page, ModelList)
    assert_type(page.data, list[Model])
    assert_type(page[0], Model)
    assert_type(len(page), int)
    assert_type([model.id for model in page], list[str])
    for model in page:
        assert_type(model, Model)
    assert_type(client.models.retrieve("GigaChat"), Model)
    assert_type(client.models.retrieve("GigaChat").type, str | None)


async def models_awaited(client: AsyncClient) -> None:
    assert_type(await client.models.list(), ModelList)
    assert_type(await client.models.retrieve("GigaChat"), Model)


class MyManager:
    """A token manager by its shape."""

    def get_token(self) -> AccessToken | None:
        return None

    def invalidate(self, token: AccessToken) -> None: ...


def parts() -> None:
    managers: list[TokenManager] = [
        MyManager(),
        StaticTokenManager("t"),
        CallableTokenManager(lambda: "t"),
        OAuthTokenManager("k"),
        PasswordTokenManager("u", "p"),
    ]
    assert_type(managers[0].get_token(), AccessToken | None)
    store: TokenStore = MemoryTokenStore()
    assert_type(store.get("a"), AccessToken | None)
    Client(token_manager=MyManager(), token_store=store)


async def async_parts() -> None:
    async def get() -> str:
        return "t"

    managers: list[AsyncTokenManager] = [
        AsyncStaticTokenManager("t"),
        AsyncCallableTokenManager(get),
        AsyncOAuthTokenManager("k", scope="s"),
    ]
    assert_type(await managers[0].get_token(), AccessToken | None)


def leaving(client: Client, error: BaseException, traceback: TracebackType) -> None:
    client.__exit__(type(error), error, traceback)
    client.__exit__(None, None, None)
