"""What tests of faults ask, and how they see what came of it."""

import json
import socket
import ssl
from typing import Any

import httpx

from gigachat_sdk.testing import Emulator

from .test_the_server_starts_and_stops import address

CHAT = "/v1/chat/completions"
BODY = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет, как дела?"}]}


def ask(http: httpx.Client, *, stream: bool = False, **more: Any) -> tuple[bytes, Exception | None]:
    """Ask, and give what came of the body, and how it ended."""
    got = b""
    try:
        with http.stream("POST", "/chat/completions", json={**BODY, "stream": stream}, **more) as response:
            for piece in response.iter_raw():
                got += piece
    except Exception as error:
        return got, error
    return got, None


def events(http: httpx.Client) -> list[bytes]:
    """Give the events of a stream that nothing happens to."""
    got, error = ask(http, stream=True)
    assert error is None
    return [event + b"\n\n" for event in got.split(b"\n\n")[:-1]]


def kinds(emulator: Emulator) -> list[str]:
    return [record.kind for record in emulator.faults_done]


def raw_exchange(emulator: Emulator, *, stream: bool = False) -> tuple[bytes, str]:
    """Ask by hand, and give all bytes that came, and whether a reset or an orderly end came after them."""
    body = json.dumps({**BODY, "stream": stream}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nAuthorization: Bearer {emulator.issue_token()}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    got = b""
    with socket.create_connection(address(emulator), timeout=10) as sock:
        if emulator.ca_bundle_file is not None:
            context = ssl.create_default_context(cafile=emulator.ca_bundle_file)
            sock = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        with sock:
            sock.sendall(head.encode() + body)
            try:
                while piece := sock.recv(65536):
                    got += piece
            except (ConnectionResetError, ssl.SSLEOFError):  # OpenSSL says of a reset that TLS did not end
                return got, "reset"
    return got, "closed"
