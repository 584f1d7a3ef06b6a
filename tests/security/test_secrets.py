"""No secret reaches a message, a repr, an attribute, a pickle, a traceback or a local of the SDK's frames.

The tables are the acceptance check: who the client is, times what goes wrong.
"""

from __future__ import annotations

import pickle
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme
from _async.servers import STREAM_HEAD, Connection, RawServer, http_chunk, plain_answer, port_that_refuses
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gigachat_sdk import AccessToken, APIError, AsyncClient, ConfigurationError, GigaChatError

from .leaks import (
    BASIC_PASSWORD,
    CLIENT_SECRET,
    COOKIE,
    KEY,
    KEY_PASSWORD,
    NEW_TOKEN,
    PASSWORD,
    PROXY_PASSWORD,
    TOKEN,
    leaks_of_error,
)
from .running import FLAVOURS, error_of_call, part

flavours = pytest.mark.parametrize("flavour", FLAVOURS)


# ---- the API fails ----

GOOD_TOKEN = f'{{"access_token":"{NEW_TOKEN}","expires_at":4000000000000}}'.encode()
EVENT = http_chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
STREAM = {"stream": True}


class Service:
    """Sells tokens, and answers everything else with what a case says."""

    def __init__(self, answer: bytes | None, token_answer: bytes | None = None) -> None:
        self.answer = answer
        self.token_answer = plain_answer(GOOD_TOKEN) if token_answer is None else token_answer
        self.is_over = threading.Event()

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        is_for_token = b"/oauth" in request.split(b"\r\n")[0] or b"/token" in request.split(b"\r\n")[0]
        answer = self.token_answer if is_for_token else self.answer
        if answer is None:
            self.is_over.wait(10)
        else:
            yield answer
        # What is no whole answer ends with the connection.
        connection.is_over = answer is None or b"chunked" in answer or b"Content-Length: 9999" in answer


def refusal(status: str, message: str = "no") -> bytes:
    body = f'{{"status":{status[:3]},"message":"{message}"}}'.encode()
    return plain_answer(body, status, head=f"Set-Cookie: session={COOKIE}; Path=/\r\nX-Request-Id: 1\r\n")


FAILURES: dict[str, tuple[bytes | None, dict[str, Any]]] = {
    "401": (refusal("401 Unauthorized"), {}),
    "404": (refusal("404 Not Found"), {}),
    "422": (refusal("422 Unprocessable Entity"), {}),
    "429": (refusal("429 Too Many Requests"), {}),
    "500": (refusal("500 Internal Server Error"), {}),
    "404 to a stream": (refusal("404 Not Found"), STREAM),
    "a page of HTML": (plain_answer(b"<html></html>", "502 Bad Gateway", "text/html"), {}),
    "a redirect": (plain_answer(b"", "302 Found", head="Location: https://elsewhere.example.com/\r\n"), {}),
    "no answer in time": (None, {"timeout": 0.05}),
    "no stream in time": (None, {"timeout": 0.05, **STREAM}),
    "the connection breaks": (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{", {}),
    "no HTTP": (b"nonsense\r\n\r\n Content-Length: 9999", {}),
    "truncated JSON": (plain_answer(b'{"choices":[{"mess'), {}),
    "JSON of another kind": (plain_answer(b'{"choices":"x"}'), {}),
    "a body that is not compressed": (plain_answer(b"x", head="Content-Encoding: gzip\r\n"), {}),
    "no stream": (plain_answer(b'{"choices":[]}'), STREAM),
    "a stream is cut": (STREAM_HEAD + EVENT, STREAM),
    "a stream ends early": (STREAM_HEAD + EVENT + http_chunk(b""), STREAM),
    "a stream brings an error": (STREAM_HEAD + http_chunk(b'data: {"status":500,"message":"x"}\n\n'), STREAM),
    "a stream brings nonsense": (STREAM_HEAD + http_chunk(b"data: {\n\n"), STREAM),
    "a wrong argument": (b"", {"messages": [{"role": "tool"}]}),
    "a wrong timeout": (b"", {"timeout": -1}),
    "a wrong retry setting": (b"", {"max_retries": -1}),
    "an unknown keyword": (b"", {"temperatur": 1}),
    "a body that is no JSON": (b"", {"extra_body": {"x": object()}}),
}

IDENTITIES: dict[str, dict[str, Any]] = {
    "a key": {"credentials": KEY},
    "a ready token": {"access_token": TOKEN},
    "a ready token beside a key": {"access_token": AccessToken(TOKEN), "credentials": KEY},
    "a password": {"user": "user", "password": PASSWORD},
    "a header by hand": {"access_token": "x", "default_headers": {"Authorization": f"Bearer {TOKEN}"}},
    "a key behind a proxy": {"credentials": KEY, "proxy": True},
}


def client_options(server: RawServer, identity: dict[str, Any]) -> dict[str, Any]:
    options = {"base_url": server.url, "auth_url": f"{server.url}/oauth", "max_retries": 0, **identity}
    if options.get("proxy") is True:
        options["proxy"] = server.url.replace("//", f"//me:{PROXY_PASSWORD}@")
    return options


def assert_no_leak(error: BaseException | None, kind: type[BaseException] = GigaChatError) -> None:
    assert isinstance(error, kind), repr(error)
    assert leaks_of_error(error) == []


@flavours
@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_call_that_fails(flavour: str, identity: str, failure: str) -> None:
    answer, call = FAILURES[failure]
    service = Service(answer)
    with RawServer(service) as server:
        try:
            error = error_of_call(flavour, client_options(server, IDENTITIES[identity]), call)
        finally:
            service.is_over.set()
    assert_no_leak(error, TypeError if failure == "an unknown keyword" else GigaChatError)


@flavours
@pytest.mark.parametrize("failure", ["401", "404", "no answer in time", "truncated JSON", "a stream is cut"])
def test_a_call_with_a_header_of_its_own_that_fails(flavour: str, failure: str) -> None:
    answer, call = FAILURES[failure]
    service = Service(answer)
    with RawServer(service) as server:
        options = client_options(server, {"access_token": "x"})
        try:
            error = error_of_call(flavour, options, {**call, "extra_headers": {"Authorization": f"Bearer {TOKEN}"}})
        finally:
            service.is_over.set()
    assert_no_leak(error)


# ---- the token endpoint fails ----

TOKEN_FAILURES: dict[str, bytes | None] = {
    "a wrong key": refusal("401 Unauthorized", "credentials doesn't match db data"),
    "a wrong scope": refusal("400 Bad Request", "scope from db not fully includes consumed scope"),
    "500": refusal("500 Internal Server Error"),
    "no answer in time": None,
    "a time that is none": plain_answer(f'{{"access_token":"{NEW_TOKEN}","expires_at":"soon"}}'.encode()),
    "a token in a list": plain_answer(f'{{"access_token":["{NEW_TOKEN}"]}}'.encode()),
    "another name": plain_answer(f'{{"accessToken":"{NEW_TOKEN}"}}'.encode()),
    "truncated JSON": plain_answer(f'{{"access_token":"{NEW_TOKEN}'.encode()),
    "a bare token": plain_answer(NEW_TOKEN.encode(), kind="text/plain"),
    "a list": plain_answer(f'["{NEW_TOKEN}"]'.encode()),
    "the connection breaks": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + GOOD_TOKEN[:60],
    "a token with a line end": plain_answer(f'{{"access_token":"{NEW_TOKEN}\\n"}}'.encode()),
    "a token outside ASCII": plain_answer(f'{{"access_token":"{NEW_TOKEN}ы"}}'.encode()),
}


@flavours
@pytest.mark.parametrize("identity", ["a key", "a password", "a key behind a proxy"])
@pytest.mark.parametrize("failure", TOKEN_FAILURES)
def test_a_token_endpoint_that_fails(flavour: str, identity: str, failure: str) -> None:
    service = Service(plain_answer(b'{"choices":[]}'), TOKEN_FAILURES[failure])
    with RawServer(service) as server:
        options = client_options(server, IDENTITIES[identity])
        if TOKEN_FAILURES[failure] is None:
            service.token_answer = None
            options["timeout"] = 0.3
        try:
            error = error_of_call(flavour, options, {})
        finally:
            service.is_over.set()
    assert_no_leak(error)


# ---- nobody is reached ----


@flavours
@pytest.mark.parametrize("identity", IDENTITIES)
def test_nobody_listens(flavour: str, identity: str) -> None:
    with RawServer(Service(None)) as server:
        options = client_options(server, IDENTITIES[identity])
    with port_that_refuses() as port:
        options = {name: value.replace(str(server.port), str(port)) if isinstance(value, str) else value
                   for name, value in options.items()}  # fmt: skip
        assert_no_leak(error_of_call(flavour, options, {}), APIError)


@flavours
@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_certificate_that_nobody_trusts(flavour: str, identity: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with RawServer(Service(None), context) as server:
        assert_no_leak(error_of_call(flavour, client_options(server, IDENTITIES[identity]), {}), APIError)


@flavours
@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_closed_client(flavour: str, identity: str) -> None:
    with RawServer(Service(None)) as server:
        options = client_options(server, IDENTITIES[identity])
        assert_no_leak(error_of_call(flavour, options, {}, is_closed=True), ConfigurationError)


@flavours
def test_a_proxy_that_refuses(flavour: str) -> None:
    answer = plain_answer(b"", "407 Proxy Authentication Required")
    with RawServer(lambda connection, request: [answer]) as server:
        options = {"credentials": KEY, "proxy": server.url.replace("//", f"//me:{PROXY_PASSWORD}@"), "max_retries": 0}
        assert_no_leak(error_of_call(flavour, options, {}), APIError)


# ---- interruptions ----


def raising(error: BaseException, *, only_api: bool) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        if only_api and "oauth" in request.url.path:
            return httpx.Response(200, content=GOOD_TOKEN)
        raise error

    return handle


@flavours
@pytest.mark.parametrize("only_api", [False, True])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interruption_inside_a_call(
    flavour: str, only_api: bool, interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.MockTransport(raising(interruption(), only_api=only_api))
    given: Any = httpx.Client(transport=transport) if flavour == "sync" else httpx.AsyncClient(transport=transport)
    error = error_of_call(flavour, {"credentials": KEY, "http_client": given}, {})
    assert_no_leak(error, interruption)
    if flavour == "sync":
        given.close()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_cancelled_call(identity: str) -> None:
    service = Service(None)
    errors: list[BaseException] = []

    async def main() -> None:
        async with AsyncClient(**client_options(server, IDENTITIES[identity])) as client:
            with trio.move_on_after(0.2):
                try:
                    await client.models.list()
                except BaseException as error:
                    errors.append(error)
                    raise

    with RawServer(service) as server:
        trio.run(main)
        service.is_over.set()
    assert_no_leak(errors[0], trio.Cancelled)


# ---- bad configuration ----

BAD_CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "a key with its scheme": {"credentials": f"Basic {KEY}"},
    "a key with a line end": {"credentials": f"{KEY}\n"},
    "a key with a space": {"credentials": f"{KEY[:8]} {KEY[8:]}"},
    "a secret instead of a key": {"credentials": f"{CLIENT_SECRET}!"},
    "a key outside ASCII": {"credentials": f"{KEY}ы"},
    "a key in bytes": {"credentials": KEY.encode()},
    "a key in a list": {"credentials": [KEY]},
    "a token with a line end": {"access_token": f"{TOKEN}\n"},
    "a token outside ASCII": {"access_token": f"{TOKEN}ы"},
    "a token with a surrogate": {"access_token": f"{TOKEN}\udcff"},
    "a token in bytes": {"access_token": TOKEN.encode()},
    "an access token with a line end": {"access_token": AccessToken(f"{TOKEN}\r\n")},
    "a password without a user": {"password": PASSWORD},
    "a password with a surrogate": {"user": "user", "password": f"{PASSWORD}\udcff"},
    "a password in bytes": {"user": "user", "password": PASSWORD.encode()},
    "a colon in the user": {"user": "us:er", "password": PASSWORD},
    "a key and a password": {"credentials": KEY, "user": "user", "password": PASSWORD},
    "a proxy of another scheme": {"credentials": KEY, "proxy": f"ftp://me:{PROXY_PASSWORD}@host:1"},
    "a proxy with a wrong port": {"credentials": KEY, "proxy": f"http://me:{PROXY_PASSWORD}@host:99999"},
    "a proxy with a space": {"credentials": KEY, "proxy": f"http://me:{PROXY_PASSWORD}@ho st:1"},
    "a proxy without a host": {"credentials": KEY, "proxy": f"http://me:{PROXY_PASSWORD}@"},
    "a proxy in bytes": {"credentials": KEY, "proxy": f"http://me:{PROXY_PASSWORD}@host:1".encode()},
    "a password in the address": {"credentials": KEY, "base_url": f"https://me:{PASSWORD}@host/v1"},
    "a password in the token endpoint": {"credentials": KEY, "auth_url": f"https://me:{PASSWORD}@host/v1"},
    "a header with a line end": {"default_headers": {"Authorization": f"Bearer {TOKEN}\n"}},
    "a header of another kind": {"default_headers": {"Authorization": TOKEN.encode()}},
    "a header beside a wrong one": {"default_headers": {"Authorization": f"Bearer {TOKEN}", "X-A": 1}},
    "an unknown keyword": {"credentials": KEY, "password": PASSWORD, "zzz": 1},
    "a wrong address": {"credentials": KEY, "base_url": "nonsense"},
    "a wrong timeout": {"credentials": KEY, "timeout": -1},
    "a wrong retry setting": {"credentials": KEY, "max_retries": "x"},
    "a manager beside a key": {"credentials": KEY, "token_manager": object()},
    "a password for no key": {"credentials": KEY, "key_file_password": KEY_PASSWORD, "key_file": "x.pem"},
    "a password for a missing key": {"credentials": KEY, "key_file_password": KEY_PASSWORD, "cert_file": "x.pem"},
}


def error_of(make: Callable[[], Any]) -> BaseException | None:
    try:
        make()
    except BaseException as error:
        return error
    return None


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("mistake", BAD_CONFIGURATIONS)
def test_a_client_that_cannot_be_built(flavour: str, mistake: str) -> None:
    options = BAD_CONFIGURATIONS[mistake]
    if "user" in options or "password" in options:
        options = {"base_url": "https://gigachat.example.com/v1", **options}
    kind = TypeError if mistake == "an unknown keyword" else ConfigurationError
    assert_no_leak(error_of(lambda: part(flavour, "Client")(**options)), kind)
    if mistake not in ("a key and a password", "a manager beside a key"):
        client = part(flavour, "Client")(access_token="x")
        assert_no_leak(error_of(lambda: client.with_options(**options)), kind)


ENVIRONMENT = [
    "a key with a line end", "a secret instead of a key", "a token outside ASCII", "a password without a user",
    "a proxy of another scheme", "a proxy with a wrong port", "a password in the address",
    "a password with a surrogate", "a password for no key",
]  # fmt: skip


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("mistake", ENVIRONMENT)
def test_an_environment_that_makes_no_client(flavour: str, mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BAD_CONFIGURATIONS[mistake].items():
        monkeypatch.setenv(f"GIGACHAT_{name.upper()}", value)
    assert_no_leak(error_of(part(flavour, "Client")), ConfigurationError)


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_half_built_client_can_be_shown(flavour: str) -> None:
    """A tool that reports errors shows `self` of the constructor's frame."""
    kind = part(flavour, "Client")
    assert kind.__name__ in repr(kind.__new__(kind))


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_key_file_whose_password_is_another(flavour: str, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("client@example.com")
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    encryption = BestAvailableEncryption(b"the right one")
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    options = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem", "key_file_password": KEY_PASSWORD}
    assert_no_leak(error_of(lambda: part(flavour, "Client")(**options)), ConfigurationError)


MANAGERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "a key with a line end": ("OAuthTokenManager", (f"{KEY}\n",), {}),
    "a key in bytes": ("OAuthTokenManager", (KEY.encode(),), {}),
    "a proxy of another scheme": ("OAuthTokenManager", (KEY,), {"proxy": f"ftp://me:{PROXY_PASSWORD}@h"}),
    "an unknown keyword": ("OAuthTokenManager", (KEY,), {"proxy": f"http://me:{PROXY_PASSWORD}@h", "zzz": 1}),
    "a password in the address": ("OAuthTokenManager", (KEY,), {"auth_url": f"https://me:{PASSWORD}@h/"}),
    "a password with a surrogate": ("PasswordTokenManager", ("user", f"{PASSWORD}\udcff"), {}),
    "an address that is none": ("PasswordTokenManager", ("user", PASSWORD), {"base_url": "nonsense"}),
    "a token with a line end": ("StaticTokenManager", (f"{TOKEN}\n",), {}),
    "an access token with a line end": ("StaticTokenManager", (AccessToken(f"{TOKEN}\n"),), {}),
    "a token in bytes": ("StaticTokenManager", (TOKEN.encode(),), {}),
}


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("mistake", MANAGERS)
def test_a_manager_that_cannot_be_built(flavour: str, mistake: str) -> None:
    name, arguments, options = MANAGERS[mistake]
    error = error_of(lambda: part(flavour, name)(*arguments, **options))
    assert_no_leak(error, TypeError if mistake == "an unknown keyword" else ConfigurationError)


@flavours
@pytest.mark.parametrize(
    "token", [f"{TOKEN}\n", f"{TOKEN}ы", TOKEN.encode(), AccessToken(f"{TOKEN}\n"), AccessToken(f"{TOKEN}ы")]
)
def test_a_function_whose_token_cannot_be_sent(flavour: str, token: Any) -> None:
    with RawServer(Service(plain_answer(b"{}"))) as server:
        manager = part(flavour, "CallableTokenManager")(lambda: token)
        error = error_of_call(flavour, {"base_url": server.url, "token_manager": manager}, {})
    assert_no_leak(error)


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_client_that_refuses_to_be_pickled(flavour: str, identity: str) -> None:
    with RawServer(Service(None)) as server:
        client = part(flavour, "Client")(**client_options(server, IDENTITIES[identity]))
        assert_no_leak(error_of(lambda: pickle.dumps(client)), ConfigurationError)


def test_the_search_finds_what_is_there() -> None:
    """The check of the check: each kind of place is really looked at."""
    error = GigaChatError(f"x {TOKEN}", body={"a": KEY})
    error.__context__ = ValueError(PASSWORD)
    found = " ".join(leaks_of_error(error))
    for place in (
        "str of GigaChatError",
        "attributes of GigaChatError",
        "pickle of GigaChatError",
        "str of ValueError",
    ):
        assert place in found
    assert BASIC_PASSWORD not in found


def test_the_search_looks_at_locals(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(secret: str) -> None:
        raise APIError("x")

    monkeypatch.setitem(broken.__globals__, "__name__", "gigachat_sdk.broken")
    error = error_of(lambda: broken(TOKEN))
    assert error is not None
    assert [leak for leak in leaks_of_error(error) if leak.startswith("local 'secret' of gigachat_sdk.broken.broken")]
