"""No secret in the repr of any object, and none in the logs of anything at DEBUG."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from _async.servers import RawServer, plain_answer
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

import gigachat_sdk._async.auth
import gigachat_sdk._sync.auth
from gigachat_sdk import AccessToken, AsyncClient, Client, MemoryTokenStore
from gigachat_sdk._calls import oauth_call, password_call
from gigachat_sdk._settings import Arguments, Environment
from gigachat_sdk._token import store_key
from gigachat_sdk.testing import Emulator

from .leaks import COOKIE, KEY, NEW_TOKEN, PASSWORD, PROXY_PASSWORD, TOKEN, found_in
from .running import MESSAGES, part


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryTokenStore:
    made = MemoryTokenStore()
    for module in (gigachat_sdk._async.auth, gigachat_sdk._sync.auth):
        monkeypatch.setattr(module, "process_store", made)
    return made


CLIENTS: dict[str, dict[str, Any]] = {
    "a key": {"credentials": KEY, "proxy": f"http://me:{PROXY_PASSWORD}@127.0.0.1:1"},
    "a password": {"user": "user", "password": PASSWORD, "base_url": "https://gigachat.example.com/v1"},
    "a token": {"access_token": TOKEN, "default_headers": {"Authorization": f"Bearer {TOKEN}"}},
    "an access token": {"access_token": AccessToken(TOKEN, 1.0)},
}


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("identity", CLIENTS)
def test_the_inside_of_a_client(flavour: str, identity: str) -> None:
    client = part(flavour, "Client")(**CLIENTS[identity])
    copy = client.with_options(timeout=1)
    session = client._session
    objects = [
        client, copy, session, session.config, session.config.auth, session.config.tls, session.transport,
        session.transport.http, session.tokens, client._arguments, client._environment, client.chat,
        client.chat.completions, client.models,
    ]  # fmt: skip
    for one in [*objects, vars(client), vars(session.transport)]:
        for text in (repr(one), str(one), f"{one}", f"{one!r:>10}"):
            assert found_in(text) == [], type(one)


def managers() -> Iterator[Any]:
    for flavour in ("sync", "async"):
        yield part(flavour, "OAuthTokenManager")(KEY, access_token=AccessToken(TOKEN))
        yield part(flavour, "PasswordTokenManager")("user", PASSWORD)
        yield part(flavour, "StaticTokenManager")(TOKEN)
        yield part(flavour, "CallableTokenManager")(str)


def test_parts(store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)
    name = store_key("oauth", "https://a", KEY, "scope")
    store.set(name, AccessToken(TOKEN, 1.0))
    arguments = Arguments({"credentials": KEY, "password": PASSWORD, "proxy": PROXY_PASSWORD})
    key, password = arguments.get("credentials"), arguments.get("password")
    objects = [
        store, name, AccessToken(TOKEN, 1.0), arguments, Environment.current(), key, oauth_call(key, "s", "https://a"),
        password_call("user", password, "https://a"), *managers(),
    ]  # fmt: skip
    for one in objects:
        for text in (repr(one), str(one), f"{one}"):
            assert found_in(text) == [], type(one)
    assert repr(AccessToken(TOKEN, 1.0)) == "AccessToken(value=[hidden], expires_at=1.0)"
    assert repr(store) == "MemoryTokenStore(1 tokens)"


def test_answers_and_streams() -> None:
    head = f"Set-Cookie: session={COOKIE}\r\n"

    def answer(connection: object, request: bytes) -> list[bytes]:
        if b"stream" in request:
            return [plain_answer(b'data: {"choices":[]}\n\ndata: [DONE]\n\n', kind="text/event-stream", head=head)]
        return [plain_answer(b'{"choices":[]}', head=head)]

    with RawServer(answer) as server, Client(access_token=TOKEN, base_url=server.url) as client:
        completion = client.chat.completions.create(messages=MESSAGES)
        stream = client.chat.completions.create(messages=MESSAGES, stream=True)
        chunks = list(stream)
        objects: list[Any] = [
            completion,
            completion.response,
            completion.response.headers,
            stream,
            stream.response,
            *chunks,
        ]
        for one in [*objects, chunks[0].response, stream._answer, stream._reader]:
            assert found_in(repr(one) + str(one)) == [], type(one)
        assert found_in(completion.to_json()) == []
        assert completion.response.headers["set-cookie"] == "[hidden]"


# ---- logs ----


class Everything(logging.Handler):
    """Keeps what a handler could write of a record: the message, its arguments, its exception."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.names: set[str] = set()
        self.blocks = b""  # what was logged as bytes

    def emit(self, record: logging.LogRecord) -> None:
        self.names.add(record.name)
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, bytes | bytearray | memoryview):
                self.blocks += bytes(argument)
        self.texts.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r} {record.__dict__!r}")


@pytest.fixture
def everything() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(https=True, credentials=KEY) as running:
        yield running


def use(client: Client) -> None:
    with client:
        client.chat.completions.create(messages=MESSAGES)
        list(client.chat.completions.create(messages=MESSAGES, stream=True))
        with pytest.raises(gigachat_sdk.NotFoundError):
            client.models.retrieve("nobody")


async def async_use(client: AsyncClient) -> None:
    async with client:
        await client.chat.completions.create(messages=MESSAGES)
        async for _ in await client.chat.completions.create(messages=MESSAGES, stream=True):
            pass
        with pytest.raises(gigachat_sdk.NotFoundError):
            await client.models.retrieve("nobody")


def assert_quiet(everything: Everything, emulator: Emulator, *expected: str) -> None:
    tokens = {request.headers["authorization"].partition(" ")[2] for request in emulator.requests}
    assert KEY in tokens
    for text in everything.texts:
        assert not [token for token in tokens if token in text or (token[40:80] and token[40:80] in text)], text[:200]
        assert found_in(text) == []
    huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    for token in tokens:  # HTTP/2 sends headers in a code that everybody can read; the last byte may be padded
        for scheme in ("Basic", "Bearer"):
            assert huffman.encode(f"{scheme} {token}".encode())[:-1] not in everything.blocks
    assert {"gigachat_sdk", *expected} <= everything.names


@pytest.mark.parametrize("http2", [False, True])
def test_logs_of_a_sync_client(emulator: Emulator, everything: Everything, http2: bool) -> None:
    use(emulator.client(http2=http2))
    expected = ("httpcore.http2",) if http2 else ("httpcore.http11",)
    assert_quiet(everything, emulator, "httpcore.connection", *expected)


@pytest.mark.parametrize("http2", [False, True])
def test_logs_of_an_async_client(emulator: Emulator, everything: Everything, http2: bool) -> None:
    asyncio.run(async_use(emulator.async_client(http2=http2)))
    assert_quiet(everything, emulator, "httpcore.http2" if http2 else "httpcore.http11")


def test_logs_of_a_client_over_plain_http2(everything: Everything) -> None:
    with Emulator(credentials=KEY) as emulator:
        use(emulator.client(http2=True))
        assert_quiet(everything, emulator, "httpcore.http2")


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_logs_of_a_given_http_client_that_speaks_http2(
    flavour: str, everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hpack", "hpack.hpack", "hpack.table"):  # what other tests have brought there
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
    with Emulator(https=True, credentials=KEY) as emulator:
        options: dict[str, Any] = {"http2": True, "verify": False}
        if flavour == "sync":
            with httpx.Client(**options) as given:
                use(emulator.client(http_client=given))
        else:

            async def main() -> None:
                async with httpx.AsyncClient(**options) as given:
                    await async_use(emulator.async_client(http_client=given))

            asyncio.run(main())
        assert_quiet(everything, emulator, "httpcore.http2")


def test_logs_behind_a_proxy(everything: Everything) -> None:
    with RawServer(lambda connection, request: [plain_answer(b'{"data":[]}')]) as server:
        proxy = server.url.replace("//", f"//me:{PROXY_PASSWORD}@")
        with Client(access_token=TOKEN, base_url=server.url, proxy=proxy) as client:
            client.models.list()
    assert all(found_in(text) == [] for text in everything.texts)


def test_logs_of_refusals(everything: Everything) -> None:
    refusal = plain_answer(b'{"message":"no"}', "401 Unauthorized", head=f"Set-Cookie: session={COOKIE}\r\n")
    malformed = plain_answer(f'{{"access_token":["{NEW_TOKEN}"]}}'.encode())
    for answer in (refusal, malformed):
        with RawServer(lambda connection, request, answer=answer: [answer]) as server:
            options: dict[str, Any] = {
                "base_url": server.url,
                "auth_url": server.url,
                "token_store": MemoryTokenStore(),
            }
            with Client(credentials=KEY, **options) as client, pytest.raises(gigachat_sdk.APIError):
                client.models.list()
    ours = [text for text in everything.texts if "gigachat_sdk" in text]
    assert ours
    assert all(found_in(text) == [] for text in ours)
