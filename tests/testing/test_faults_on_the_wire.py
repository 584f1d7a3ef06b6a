"""Faults of bytes as a client meets them: over HTTP, over HTTPS, and over HTTP/2."""

import json
import socket
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Fault
from gigachat_sdk.testing._fault_reply import BROKEN_DATA, GARBAGE

from .conftest import WAYS, Way
from .faulty import BODY, CHAT, ask, events, kinds, raw_exchange
from .test_limits_are_kept import wait_until
from .test_the_server_starts_and_stops import address

SAID = "Вы написали: Привет, как дела?"


# ---- cuts ----


@pytest.mark.parametrize("way", ["http", "https"])
@pytest.mark.parametrize(("how", "ending"), [("reset", "reset"), ("close", "closed"), ("stream", "reset")])
@pytest.mark.parametrize("kind", ["reset_before_head", "reset_in_body", "reset_between_events", "reset_in_event"])
def test_a_cut_is_a_reset_or_an_end(emulator: Emulator, kind: Any, how: Any, ending: str) -> None:
    emulator.inject(Fault(kind, how=how))
    got, ended = raw_exchange(emulator, stream=True)
    assert ended == ending
    assert bool(got) is (kind != "reset_before_head")
    assert b"[DONE]" not in got
    assert kinds(emulator) == [kind]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["reset", "close", "stream"])
def test_what_came_before_a_cut(emulator: Emulator, http: httpx.Client, way: Way, how: Any) -> None:
    is_exact = way != "http2" or how == "stream"  # else httpx may fail at its acknowledgement of what it has read
    whole = events(http)
    said, _ = ask(http)
    expected = {
        Fault("reset_before_head", how=how): b"",
        Fault("reset_in_body", how=how): b"".join(whole)[: len(b"".join(whole)) // 2],
        Fault("reset_in_body", how=how, after_bytes=0): b"",
        Fault("reset_between_events", how=how, after_events=2): b"".join(whole[:2]),
        Fault("reset_in_event", how=how, after_events=2): b"".join(whole[:2]) + whole[2][: len(whole[2]) // 2],
    }
    for fault, came in expected.items():
        emulator.clear_faults()
        emulator.inject(fault)
        got, error = ask(http, stream=True)
        assert isinstance(error, httpx.TransportError)
        assert got == came if is_exact else came.startswith(got), fault
    emulator.clear_faults()
    emulator.inject(Fault("reset_in_body", how=how, after_bytes=10**6))
    got, error = ask(http)
    assert isinstance(error, httpx.TransportError)
    assert got == said[:-1] if is_exact else said[:-1].startswith(got)
    assert emulator.in_flight == 0


@pytest.mark.parametrize("way", ["http2"])
@pytest.mark.parametrize(("how", "reaches_others"), [("stream", False), ("reset", True), ("close", True)])
def test_over_http2_a_stream_can_be_reset_alone(
    emulator: Emulator, http: httpx.Client, how: Any, reaches_others: bool
) -> None:
    emulator.inject(Fault("reset_before_head", how=how, path="/v1/models", times=1))
    emulator.inject(Fault("stalled", path=CHAT, times=1, after_events=1))
    with http.stream("POST", "/chat/completions", json={**BODY, "stream": True}) as other:
        body = other.iter_raw()
        next(body)
        mine = other.extensions["network_stream"].get_extra_info("client_addr")
        with pytest.raises(httpx.TransportError) as cut:
            http.get("/models")
        assert ("StreamReset" in str(cut.value)) is not reaches_others
        if reaches_others:
            with pytest.raises(httpx.TransportError):
                next(body)
        else:
            answer = http.get("/models")
            assert answer.status_code == 200
            assert answer.extensions["network_stream"].get_extra_info("client_addr") == mine
    assert kinds(emulator) == ["stalled", "reset_before_head"]


# ---- no HTTP, and HTTP that is not true ----


@pytest.mark.parametrize("way", ["http", "https"])
def test_garbage_comes_instead_of_an_answer(emulator: Emulator) -> None:
    emulator.inject(Fault("garbage"))
    assert raw_exchange(emulator) == (GARBAGE, "closed")
    assert emulator.requests[0].status is None


@pytest.mark.parametrize("way", WAYS)
def test_a_client_knows_garbage(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("garbage", times=1))
    assert isinstance(ask(http)[1], httpx.RemoteProtocolError)
    assert ask(http)[1] is None


@pytest.mark.parametrize("way", ["http", "https"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("off_by", [7, -7])
def test_a_content_length_is_wrong(emulator: Emulator, stream: bool, off_by: int) -> None:
    emulator.inject(Fault("wrong_content_length", off_by=off_by))
    got, ended = raw_exchange(emulator, stream=stream)
    head, _, body = got.partition(b"\r\n\r\n")
    declared = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert ended == "closed"
    assert b"transfer-encoding" not in head.lower()
    assert (declared > len(body)) is (off_by > 0)
    assert len(body) - declared == (14 if stream and off_by < 0 else -off_by)  # [DONE] is longer
    if stream:
        assert body.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(body)["choices"][0]["message"]["content"] == SAID


@pytest.mark.parametrize("way", ["http2"])
@pytest.mark.parametrize("off_by", [7, -7])
def test_a_client_of_http2_knows_a_wrong_content_length(emulator: Emulator, http: httpx.Client, off_by: int) -> None:
    emulator.inject(Fault("wrong_content_length", off_by=off_by))
    _, error = ask(http)
    assert "Expected" in str(error)
    assert kinds(emulator) == ["wrong_content_length"]


@pytest.mark.parametrize("way", WAYS)
def test_json_is_truncated(emulator: Emulator, http: httpx.Client) -> None:
    said, _ = ask(http)
    emulator.inject(Fault("truncated_json", after_bytes=20))
    response = http.post("/chat/completions", json=BODY)
    assert (response.status_code, response.content) == (200, said[:20])
    assert response.headers["content-length"] == "20"
    assert response.headers["content-type"].startswith("application/json")


# ---- streams ----


@pytest.mark.parametrize("way", WAYS)
def test_an_event_is_no_json(emulator: Emulator, http: httpx.Client) -> None:
    whole = events(http)
    emulator.inject(Fault("garbage_event", after_events=2))
    assert ask(http, stream=True) == (b"".join([*whole[:2], BROKEN_DATA, *whole[2:]]), None)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_ends_without_its_end(emulator: Emulator, http: httpx.Client) -> None:
    whole = events(http)
    emulator.inject(Fault("no_done"))
    assert ask(http, stream=True) == (b"".join(whole[:-1]), None)


def test_a_stream_of_v2_ends_without_its_end(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("no_done", path="/v2/chat/completions"))
    message = {"role": "user", "content": [{"text": "Привет"}]}
    url = str(http.base_url).replace("/v1/", "/v2/") + "chat/completions"
    response = http.post(url, json={"model": "GigaChat", "messages": [message], "stream": True})
    assert response.status_code == 200, response.text
    assert "event: response.message.delta" in response.text
    assert "response.message.done" not in response.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "repeated"), [("endless_stream", None), ("endless_comments", b": heartbeat\n\n")])
def test_a_stream_never_ends(emulator: Emulator, http: httpx.Client, kind: Any, repeated: bytes | None) -> None:
    first = events(http)[0]
    emulator.inject(Fault(kind, seconds=0))
    got = b""
    with http.stream("POST", "/chat/completions", json={**BODY, "stream": True}) as response:
        for piece in response.iter_raw():
            got += piece
            if len(got) > 50_000:
                assert emulator.in_flight == 1
                break
    http.close()
    rest = got.removeprefix(first)
    assert rest != got
    unit = repeated or first
    assert rest.startswith(unit * (len(rest) // len(unit)))
    wait_until(lambda: emulator.in_flight == 0)
    assert kinds(emulator) == [kind]


def test_an_endless_stream_waits_for_who_reads_slowly(emulator: Emulator) -> None:
    emulator.inject(Fault("endless_stream", seconds=0))
    request = httpx.Request("POST", f"{emulator.base_url}/chat/completions", json={**BODY, "stream": True})
    headers = {**request.headers, "authorization": f"Bearer {emulator.issue_token()}", "user-agent": "x"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(address(emulator))
        sock.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        server: Any = emulator._server
        wait_until(lambda: bool(server._connections))
        [connection] = server._connections.values()
        transport = connection.writer.transport

        def rests() -> bool:
            sizes: set[int] = set()
            for _ in range(20):  # each is a round of the server's loop
                server.follow(cleared=False)
                sizes.add(transport.get_write_buffer_size())
            return sizes != {0} and len(sizes) == 1

        wait_until(rests)
        assert transport.get_write_buffer_size() < 128 * 1024
