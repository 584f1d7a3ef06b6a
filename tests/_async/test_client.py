"""The client: how its settings reach the requests, what copies share, when it is closed, what can be pickled."""

from __future__ import annotations

import pickle
import platform
from typing import Any

import httpx
import pytest
import respx

import gigachat_sdk
from gigachat_sdk import (
    DEFAULT_AUTH_URL,
    DEFAULT_BASE_URL,
    AsyncClient,
    AuthenticationError,
    ConfigurationError,
    MissingCredentialsError,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect
from .servers import RawServer

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Привет!"}]
KEY = "Y2xpZW50OnNlY3JldA=="


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


# ---- settings ----


def test_defaults() -> None:
    client = AsyncClient(credentials=KEY)
    assert (client.base_url, client.auth_url, client.model) == (DEFAULT_BASE_URL, DEFAULT_AUTH_URL, "GigaChat")
    assert (client.timeout, client.max_retries) == (httpx.Timeout(120, connect=10), 2)
    assert repr(client) == "AsyncClient(base_url='https://api.giga.chat/v1', model='GigaChat')"


def test_nobody_says_who_you_are() -> None:
    with pytest.raises(MissingCredentialsError, match="set GIGACHAT_CREDENTIALS"):
        AsyncClient()


def test_the_environment_counts_where_there_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CREDENTIALS": KEY, "MODEL": "A", "MAX_RETRIES": "7", "TIMEOUT": "3"}.items():
        monkeypatch.setenv(f"GIGACHAT_{name}", value)
    client = AsyncClient(model="B")
    assert (client.model, client.max_retries, client.timeout) == ("B", 7, httpx.Timeout(3))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("credential", "; did you mean 'credentials'?"),
        ("max_retry", "; did you mean 'max_retries'?"),
        ("verify_ssl", "; did you mean 'verify_ssl_certs'?"),
        ("zzz", ""),
    ],
)
def test_an_unknown_keyword_is_a_type_error(name: str, advice: str) -> None:
    with pytest.raises(TypeError) as caught:
        AsyncClient(credentials=KEY, **{name: 1})
    assert str(caught.value) == f"AsyncClient() got an unexpected keyword argument {name!r}{advice}"
    with pytest.raises(TypeError, match=rf"with_options\(\) got an unexpected keyword argument '{name}'"):
        AsyncClient(credentials=KEY).with_options(**{name: 1})


def test_arguments_are_keywords() -> None:
    with pytest.raises(TypeError):
        AsyncClient(KEY)


async def test_every_request_names_its_sender(client: AsyncClient, emulator: Emulator) -> None:
    await ask(client)
    expected = f"gigachat-sdk/{gigachat_sdk.__version__} python/{platform.python_version()}"
    assert [request.headers["user-agent"].startswith(expected) for request in emulator.requests] == [True, True]


async def test_headers_call_wins_over_client_and_client_over_sdk(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, default_headers={"X-A": "client", "X-B": "client", "user-agent": "mine"})
    await ask(client, extra_headers={"x-a": "call", "ACCEPT": "*/*"})
    headers = emulator.requests_to(CHAT)[0].headers
    assert (headers["x-a"], headers["x-b"], headers["user-agent"]) == ("call", "client", "mine")
    assert (headers["accept"], headers["content-type"]) == ("*/*", "application/json")


async def test_none_takes_a_header_away(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, default_headers={"X-A": "client", "Accept": None})
    await ask(client, extra_headers={"X-a": None, "accept-encoding": None})
    headers = emulator.requests_to(CHAT)[0].headers
    assert headers.keys() & {"x-a", "accept", "accept-encoding"} == set()


@pytest.mark.off_contract("sends query parameters that no operation has")
async def test_default_headers_and_query_stay_with_the_api(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, default_headers={"X-A": "1"}, default_query={"q": 1, "r": None, "s": True})
    await ask(client, extra_query={"q": "2", "t": ["a", "b"]})
    await client.models.list(extra_query={"q": None})
    oauth, chat, models = emulator.requests
    assert (oauth.query, "x-a" in oauth.headers) == ("", False)
    assert (chat.query, chat.headers["x-a"]) == ("q=2&s=true&t=a&t=b", "1")
    assert models.query == "s=true"


async def test_an_authorization_by_hand_wins(connect: Connect, emulator: Emulator) -> None:
    token = emulator.issue_token()
    client = connect(emulator, default_headers={"Authorization": f"Bearer {token}"})
    await ask(client)
    assert emulator.oauth_requests == 0
    with pytest.raises(AuthenticationError):
        await ask(client, extra_headers={"authorization": "Bearer other"})


async def test_the_model_of_a_call_that_names_none(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, model="GigaChat-2-Max")
    await ask(client)
    await ask(client, model="GigaChat-2")
    await ask(client.with_options(model="GigaChat"))
    assert [request.json()["model"] for request in emulator.requests_to(CHAT)] == [
        "GigaChat-2-Max",
        "GigaChat-2",
        "GigaChat",
    ]


async def test_an_address_may_end_in_a_slash(connect: Connect, emulator: Emulator) -> None:
    await ask(connect(emulator, base_url=emulator.base_url + "/"))
    assert [request.path for request in emulator.requests] == ["/api/v2/oauth", CHAT]


async def test_the_address_of_the_former_host_works_the_same(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, base_url=emulator.base_url.replace("/v1", "/api/v1"))
    assert (await ask(client)).choices
    assert emulator.requests[-1].path == "/api/v1/chat/completions"


# ---- copies ----


async def test_a_copy_shares_connections_and_tokens(client: AsyncClient, emulator: Emulator) -> None:
    copy = client.with_options(timeout=5, max_retries=0, model="GigaChat-2", default_headers={"X-A": "1"})
    assert type(copy) is AsyncClient
    await ask(client)
    await ask(copy)
    assert emulator.oauth_requests == 1
    assert (copy.timeout, copy.max_retries, copy.model) == (httpx.Timeout(5), 0, "GigaChat-2")
    assert (client.max_retries, client.model) == (2, "GigaChat")
    assert copy._session.transport.http is client._session.transport.http
    assert copy._session.tokens is client._session.tokens
    await copy.aclose()
    assert not client.is_closed
    await ask(client)


async def test_options_add_up_over_copies(client: AsyncClient) -> None:
    copy = client.with_options(model="A").with_options(max_retries=5)
    assert (copy.model, copy.max_retries) == ("A", 5)


@pytest.mark.parametrize(
    ("overrides", "shares_connections", "shares_tokens"),
    [
        ({}, True, True),
        ({"base_url": "https://other.example.com/v1"}, True, True),
        ({"auth_url": "https://other.example.com/oauth"}, True, False),
        ({"credentials": "b3RoZXI6a2V5"}, True, False),
        ({"access_token": "t"}, True, False),
        ({"scope": "GIGACHAT_API_CORP"}, True, False),
        ({"token_store": gigachat_sdk.MemoryTokenStore()}, True, False),
        ({"proxy": "http://127.0.0.1:1"}, False, False),
        ({"verify_ssl_certs": False}, False, False),
        ({"http2": True}, True, True),
    ],
)
async def test_what_a_copy_shares(
    connect: Connect, overrides: dict[str, Any], shares_connections: bool, shares_tokens: bool
) -> None:
    client = connect(credentials=KEY)
    copy = client.with_options(**overrides)
    assert (copy._session.transport.http is client._session.transport.http) == shares_connections
    assert (copy._session.tokens is client._session.tokens) == shares_tokens
    await copy.aclose()
    assert (client.is_closed, copy.is_closed) == (False, True)


async def test_a_copy_with_a_password_and_another_address_has_tokens_of_its_own(connect: Connect) -> None:
    client = connect(user="u", password="p", base_url="https://a.example.com/v1")
    copy = client.with_options(base_url="https://b.example.com/v1")
    assert copy._session.tokens is not client._session.tokens


async def test_a_copy_by_someone_else_forgets_who_the_parent_was(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator)
    await ask(client)
    copy = client.with_options(user="user", password="password")
    await ask(copy)
    assert [request.path for request in emulator.requests][2:] == ["/v1/token", CHAT]


async def test_a_copy_of_a_closed_client_is_closed(client: AsyncClient) -> None:
    copy = client.with_options(model="A")
    await client.aclose()
    assert copy.is_closed
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await ask(copy)


async def test_a_copy_refuses_what_a_client_refuses(client: AsyncClient) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        client.with_options(base_url="nonsense")


# ---- opening and closing ----


async def test_a_client_that_is_never_used_opens_nothing(connect: Connect) -> None:
    with RawServer(lambda connection, request: []) as server:
        client = connect(credentials=KEY, base_url=server.url, auth_url=server.url)
        await client.aclose()
        await client.aclose()
        assert server.connections == 0


async def test_a_client_is_a_context_manager(emulator: Emulator) -> None:
    async with emulator.async_client() as client:
        await ask(client)
        assert not client.is_closed
    assert client.is_closed
    with pytest.raises(ConfigurationError, match="make a new one, or use it inside its 'with' block"):
        await ask(client)


# ---- a given HTTP client ----


@pytest.mark.off_contract("sends query parameters that no operation has")
async def test_a_given_http_client_is_used_for_everything_and_stays_open(connect: Connect, emulator: Emulator) -> None:
    async with httpx.AsyncClient(headers={"X-Mine": "1"}, cookies={"c": "1"}, params={"p": "1"}) as given:
        client = connect(emulator, http_client=given)
        await ask(client)
        await client.aclose()
        assert not given.is_closed
    assert [request.headers.get("x-mine") for request in emulator.requests] == ["1", "1"]
    assert emulator.requests[1].headers["user-agent"].startswith("gigachat-sdk/")
    assert emulator.requests[1].query == "p=1"


async def test_a_given_http_client_that_is_closed(connect: Connect, emulator: Emulator) -> None:
    async with httpx.AsyncClient() as given:
        client = connect(emulator, http_client=given)
    with pytest.raises(ConfigurationError, match="closed"):
        await ask(client)


async def test_a_given_http_client_follows_no_redirects(connect: Connect, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(status=302, headers={"Location": emulator.base_url + "/models"}))
    async with httpx.AsyncClient(follow_redirects=True) as given:
        client = connect(emulator, http_client=given)
        with pytest.raises(gigachat_sdk.APIStatusError, match="redirects are not followed"):
            await ask(client)
    assert emulator.requests_to("/v1/models") == []


async def test_timeouts_of_a_given_http_client(connect: Connect) -> None:
    async with httpx.AsyncClient(timeout=7) as given:
        assert connect(access_token="t", http_client=given).timeout == httpx.Timeout(7)
        assert connect(access_token="t", http_client=given, timeout=3).timeout == httpx.Timeout(3)
    async with httpx.AsyncClient() as usual:
        assert connect(access_token="t", http_client=usual).timeout == httpx.Timeout(120, connect=10)


@pytest.mark.parametrize(
    "beside",
    [{"verify_ssl_certs": True}, {"ca_bundle_file": "x.pem"}, {"proxy": "http://h:1"}, {"http2": True}],
)
async def test_a_given_http_client_brings_its_own_settings(beside: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as given:
        name = next(iter(beside))
        with pytest.raises(ConfigurationError, match=rf"^{name}: an http_client brings its own"):
            AsyncClient(access_token="t", http_client=given, **beside)


def test_an_http_client_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"http_client: expected an httpx\.AsyncClient, got str"):
        AsyncClient(access_token="t", http_client="x")


async def test_respx_sees_the_requests(connect: Connect, respx_mock: respx.MockRouter) -> None:
    oauth = respx_mock.post(DEFAULT_AUTH_URL).respond(json={"access_token": "tok", "expires_at": 4_000_000_000_000})
    chat = respx_mock.post(DEFAULT_BASE_URL + "/chat/completions").respond(json={"choices": []})
    async with httpx.AsyncClient() as given:
        client = connect(credentials=KEY, http_client=given)
        assert (await ask(client)).choices == []
    assert oauth.calls.last.request.headers["authorization"] == f"Basic {KEY}"
    assert chat.calls.last.request.headers["authorization"] == "Bearer tok"


# ---- pickling ----


async def test_a_client_of_the_environment_is_pickled_without_secrets(
    connect: Connect, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "b3RoZXI6a2V5")
    client = connect(base_url=emulator.base_url, auth_url=emulator.auth_url, model="A", timeout=httpx.Timeout(9))
    data = pickle.dumps(client)
    assert b"b3RoZXI6a2V5" not in data
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", emulator.credentials)
    copy: AsyncClient = pickle.loads(data)
    async with copy:
        assert (copy.model, copy.timeout) == ("A", httpx.Timeout(9))
        await ask(copy, model="GigaChat")
    monkeypatch.delenv("GIGACHAT_CREDENTIALS")
    with pytest.raises(MissingCredentialsError):
        pickle.loads(data)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"credentials": KEY}, "credentials"),
        ({"access_token": "t"}, "access_token"),
        ({"user": "u", "password": "p"}, "password"),
        ({"proxy": "http://u:p@h:1"}, "proxy"),
        ({"default_headers": {"AUTHORIZATION": "Bearer t"}}, "default_headers"),
    ],
)
def test_a_client_with_secrets_refuses_to_be_pickled(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], named: str
) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)
    with pytest.raises(ConfigurationError, match=named):
        pickle.dumps(AsyncClient(**options))


async def test_secrets_are_pickled_where_the_user_says_so(emulator: Emulator) -> None:
    client = emulator.async_client(allow_pickle_secrets=True)
    async with pickle.loads(pickle.dumps(client)) as copy:
        await ask(copy)
    assert emulator.oauth_requests == 1


async def test_parts_of_this_process_are_not_pickled(emulator: Emulator) -> None:
    client = AsyncClient(
        token_manager=gigachat_sdk.AsyncStaticTokenManager("t"), base_url=emulator.base_url, allow_pickle_secrets=True
    )
    with pytest.raises(ConfigurationError, match="token_manager belongs to this process"):
        pickle.dumps(client)
