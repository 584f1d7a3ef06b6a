import asyncio
import gc
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import open_client

CHAT = "/v1/chat/completions"
BODY = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}]}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert set(threading.enumerate()) <= before  # another test's may have ended meanwhile


def address(emulator: Emulator) -> tuple[str, int]:
    url = httpx.URL(emulator.base_url)
    assert url.port
    return url.host, url.port


def refused(emulator: Emulator) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address(emulator)) != 0


def test_it_listens_while_it_is_entered(kept_port: int) -> None:
    with Emulator(port=kept_port) as emulator:
        with socket.create_connection(address(emulator)):
            pass
        assert emulator.base_url == f"http://127.0.0.1:{address(emulator)[1]}/v1"
        assert emulator.auth_url == f"http://127.0.0.1:{address(emulator)[1]}/api/v2/oauth"
        assert repr(emulator) == f"<Emulator http://127.0.0.1:{address(emulator)[1]}>"
        assert emulator.ca_bundle_file is None
    assert refused(emulator)
    emulator.stop()


def test_it_has_no_address_before_its_start() -> None:
    emulator = Emulator()
    assert repr(emulator) == "<Emulator not started>"
    for name in ("base_url", "auth_url"):
        with pytest.raises(RuntimeError, match="before its start"):
            getattr(emulator, name)
    emulator.stop()


def test_it_starts_once() -> None:
    with Emulator() as emulator, pytest.raises(RuntimeError, match="running already"):
        emulator.start()


def test_it_comes_back_at_the_same_port_with_its_memory(kept_port: int) -> None:
    emulator = Emulator(https=True, port=kept_port)
    with emulator, open_client(emulator) as http:
        http.get("/models")
        url, context = emulator.base_url, ssl.create_default_context(cafile=emulator.ca_bundle_file)
        token = http.headers["authorization"]
    assert (emulator.base_url, refused(emulator)) == (url, True)
    with emulator:
        assert httpx.get(f"{url}/models", verify=context, headers={"Authorization": token}).status_code == 200
    assert len(emulator.requests) == 2


@pytest.mark.parametrize("https", [False, True])
def test_a_taken_port_is_an_error_that_leaves_nothing(https: bool, kept_port: int) -> None:
    with socket.create_server(("127.0.0.1", kept_port)):
        emulator = Emulator(https=https, port=kept_port)
        with pytest.raises(OSError, match="in use"):
            emulator.start()
        assert emulator.ca_bundle_file is None
    with emulator:
        assert not refused(emulator)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"port": "x"}, TypeError, "port must be a whole number, got str"),
        ({"port": True}, TypeError, "port must be a whole number, got bool"),
        ({"port": -1}, ValueError, "port must be 0 or more, and 65535 at most"),
        ({"port": 65536}, ValueError, "port must be 0 or more, and 65535 at most"),
        ({"concurrency": "1"}, TypeError, "concurrency must be a whole number, got str"),
        ({"concurrency": -1}, ValueError, "concurrency must be 0 or more$"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Emulator(**settings)


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start_server(*_: object, **__: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(asyncio, "start_server", start_server)
    with pytest.raises(OSError, match="no"):
        Emulator().start()


def test_stopping_waits_for_nobody() -> None:
    """Idle connections, open streams, half a request, half a TLS handshake: all end at once."""
    with Emulator(https=True) as emulator, open_client(emulator) as first, open_client(emulator, http2=True) as second:
        for http in (first, second):
            http.get("/models")
        emulator.reply(CHAT, Reply(chunks=[b"a"] * 2, chunk_delay=60.0), times=2)
        requests = [http.build_request("POST", "/chat/completions", json=BODY) for http in (first, second)]
        streams = [http.send(request, stream=True) for http, request in zip((first, second), requests, strict=True)]
        bodies = [stream.iter_raw() for stream in streams]
        assert [next(body) for body in bodies] == [b"a", b"a"]
        with socket.create_connection(address(emulator)) as silent, socket.create_connection(address(emulator)) as half:
            context = ssl.create_default_context(cafile=emulator.ca_bundle_file)
            with context.wrap_socket(half, server_hostname="localhost") as tls:
                tls.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                done = threading.Event()
                stopping = threading.Thread(target=lambda: (emulator.stop(), done.set()))
                stopping.start()
                assert done.wait(30)
                stopping.join()
                assert silent.recv(1) == b""
        for stream, body in zip(streams, bodies, strict=True):
            with pytest.raises(httpx.TransportError):
                next(body)
            stream.close()


def test_two_run_side_by_side() -> None:
    with Emulator() as first, Emulator() as second, open_client(first) as http:
        assert first.base_url != second.base_url
        http.get("/models")
        assert (len(first.requests), len(second.requests)) == (1, 0)


def test_tls_is_by_the_emulators_own_authority() -> None:
    with Emulator(https=True) as emulator:
        path = Path(str(emulator.ca_bundle_file))
        assert path.read_text().startswith("-----BEGIN CERTIFICATE-----")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(emulator.base_url)
        with open_client(emulator) as http:
            assert http.get("/models").status_code == 200
            assert http.get(emulator.base_url.replace("127.0.0.1", "localhost") + "/models").status_code == 200
    assert not path.exists()


@pytest.mark.parametrize(("http2", "version"), [(True, "2"), (False, "1.1")])
def test_http2_is_offered_unless_it_is_off(http2: bool, version: str) -> None:
    with Emulator(https=True, http2=http2) as emulator, open_client(emulator, http2=True) as http:
        response = http.post("/chat/completions", json={**BODY, "stream": True})
        assert response.http_version == f"HTTP/{version}"
        assert response.text.endswith("data: [DONE]\n\n")
        assert emulator.requests[0].http_version == version
        assert emulator.requests[0].json()["stream"]


def test_http2_works_without_tls_by_prior_knowledge() -> None:
    with Emulator() as emulator, open_client(emulator, http2=True, http1=False) as http:
        assert http.get("/models").http_version == "HTTP/2"


def test_a_websocket_is_refused() -> None:
    with Emulator() as emulator, open_client(emulator) as http:
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version": "13",
        }
        assert http.get("/models", headers=upgrade).status_code == 500


def test_mutual_tls_takes_the_place_of_a_token(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Emulator(https=True, client_ca=tmp_path / "ca.pem") as emulator:
        context = ssl.create_default_context(cafile=emulator.ca_bundle_file)
        with httpx.Client(base_url=emulator.base_url, verify=context) as stranger, pytest.raises(httpx.TransportError):
            stranger.get("/models")
        authority.issue_cert("client").configure_cert(context)
        with httpx.Client(base_url=emulator.base_url, verify=context) as known:
            assert known.get("/models").status_code == 200
            assert known.get("/models", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_client_certificates_need_tls() -> None:
    with pytest.raises(ValueError, match="https=True"):
        Emulator(client_ca="ca.pem")


def test_it_is_quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.INFO), Emulator(https=True) as emulator:
        with pytest.raises(httpx.ConnectError):
            httpx.get(emulator.base_url)
        with socket.create_connection(address(emulator)) as sock:
            sock.sendall(b"not TLS\r\n\r\n")
            sock.recv(100)
    assert [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))] == []
    assert capfd.readouterr() == ("", "")


def test_what_goes_wrong_in_the_loop_is_told_to_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    def handler(_: RecordedRequest) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "something odd"})

    with caplog.at_level(logging.DEBUG, "gigachat_sdk.testing"), Emulator() as emulator, open_client(emulator) as http:
        emulator.on("/v1/models", handler, method="GET")
        assert http.get("/models").status_code == 200
    assert "something odd" in caplog.text


def test_a_script_leaves_no_warning_and_no_thread_behind() -> None:
    script = (
        "import gc, httpx, ssl\n"
        "from gigachat_sdk.testing import Emulator\n"
        "emulator = Emulator(https=True)\n"
        "emulator.start()\n"
        "context = ssl.create_default_context(cafile=emulator.ca_bundle_file)\n"
        "client = httpx.Client(verify=context, http2=True)\n"
        "print(client.get(emulator.base_url + '/models').status_code)\n"
        "emulator.stop()\n"
        "client.close()\n"
        "gc.collect()\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("401\n", "")
