"""Every kind of fault as a client meets it: over HTTP, over HTTPS, and over HTTP/2."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import anyio
import httpx
import pytest

from gigachat_sdk.testing import Emulator, Fault, RecordedRequest, Reply
from gigachat_sdk.testing._fault_reply import BROKEN_DATA, GARBAGE

from .conftest import Clock, open_client
from .test_limits_are_kept import wait_until
from .test_the_server_starts_and_stops import address
from .test_tokens_are_issued_and_checked import oauth

CHAT = "/v1/chat/completions"
BODY = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет, как дела?"}]}
SAID = "Вы написали: Привет, как дела?"
Way = Literal["http", "https", "http2"]
WAYS: tuple[Way, ...] = ("http", "https", "http2")


@pytest.fixture
def way() -> Way:
    return "http"


@pytest.fixture
def emulator(way: Way, clock: Clock) -> Iterator[Emulator]:
    with Emulator(https=way != "http", clock=clock) as running:
        yield running


@pytest.fixture
def http(emulator: Emulator, way: Way) -> Iterator[httpx.Client]:
    with open_client(emulator, http2=way == "http2", timeout=10) as client:
        yield client


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


# ---- time ----


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let nobody in the emulator sleep, and write down how long it would have been."""
    naps: list[float] = []
    checkpoint = anyio.lowlevel.checkpoint

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await checkpoint()

    monkeypatch.setattr(anyio, "sleep", sleep)
    return naps


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_late(emulator: Emulator, http: httpx.Client, naps: list[float]) -> None:
    emulator.inject(Fault("latency", seconds=50, times=2), Fault("status", status=503, times=1))
    assert http.post("/chat/completions", json=BODY).status_code == 503
    assert http.post("/chat/completions", json=BODY).status_code == 200
    assert http.post("/chat/completions", json=BODY).status_code == 200
    assert [nap for nap in naps if nap] == [50, 50]
    assert kinds(emulator) == ["status", "latency", "latency"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_comes_slowly(emulator: Emulator, http: httpx.Client, naps: list[float], stream: bool) -> None:
    whole, _ = ask(http, stream=stream)
    emulator.inject(Fault("slow_body", seconds=3, chunk_size=7))
    assert ask(http, stream=stream) == (whole, None)
    slept = [nap for nap in naps if nap]
    assert set(slept) == {3}
    assert len(slept) >= len(whole) // 7
    assert kinds(emulator) == ["slow_body"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_silence_lasts_until_the_client_leaves(emulator: Emulator, http: httpx.Client, stream: bool) -> None:
    whole, _ = ask(http, stream=stream)
    emulator.inject(Fault("stalled"))
    got, error = ask(http, stream=stream, timeout=0.2)
    assert isinstance(error, httpx.ReadTimeout)
    assert got == (whole.partition(b"\n\n")[0] + b"\n\n" if stream else whole[: len(whole) // 2])
    http.close()
    wait_until(lambda: emulator.in_flight == 0)


def test_a_request_in_silence_keeps_its_place(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("stalled", after_bytes=0, times=1))
    with http.stream("POST", "/chat/completions", json=BODY) as response:
        assert response.status_code == 200
        assert emulator.in_flight == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_silence_can_end(emulator: Emulator, http: httpx.Client, naps: list[float], stream: bool) -> None:
    whole, _ = ask(http, stream=stream)
    emulator.inject(Fault("stalled", seconds=9))
    assert ask(http, stream=stream) == (whole, None)
    assert [nap for nap in naps if nap] == [9]


# ---- instead of an answer ----


@pytest.mark.parametrize("way", WAYS)
def test_an_error_comes_instead(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("status", status=429, retry_after=3, times=1), Fault("status", status=502, html=True, nth=1))
    first, second, third = (http.post("/chat/completions", json=BODY) for _ in range(3))
    assert (first.status_code, first.headers["retry-after"], first.json()["status"]) == (429, "3", 429)
    assert first.headers["x-request-id"]
    assert (second.status_code, second.headers["content-type"]) == (502, "text/html")
    assert third.status_code == 200
    assert [request.status for request in emulator.requests] == [429, 502, 200]


def upload(http: httpx.Client) -> httpx.Response:
    return http.post("/files", files={"file": ("a.txt", b"text", "text/plain")}, data={"purpose": "general"})


def test_an_error_means_that_nothing_was_done_and_a_reset_does_not(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("status", path="/v1/files", method="POST", times=1))
    assert upload(http).status_code == 500
    assert http.get("/files").json()["data"] == []
    emulator.inject(Fault("reset_before_head", path="/v1/files", method="POST", times=1))
    with pytest.raises(httpx.ReadError):
        upload(http)
    assert len(http.get("/files").json()["data"]) == 1


def test_a_scripted_reply_waits_behind_an_error_and_is_cut_as_any_other(emulator: Emulator, http: httpx.Client) -> None:
    emulator.reply(CHAT, Reply(json={"a": 1}))
    emulator.inject(Fault("status", times=1), Fault("truncated_json", after_bytes=3))
    assert http.post("/chat/completions", json=BODY).status_code == 500
    assert http.post("/chat/completions", json=BODY).content == b'{"a'


def test_a_token_is_revoked(emulator: Emulator, http: httpx.Client) -> None:
    other = {"Authorization": f"Bearer {emulator.issue_token()}"}
    emulator.inject(Fault("revoke_token", times=1))
    answers = [http.get("/models"), http.get("/models"), http.get("/models", headers=other)]
    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert answers[0].content == answers[1].content
    assert kinds(emulator) == ["revoke_token"]


def test_without_a_token_there_is_none_to_revoke(emulator: Emulator) -> None:
    emulator.inject(Fault("revoke_token", path="/api/*"), Fault("garbage_event"))
    assert oauth(emulator).status_code == 200
    assert emulator.faults_done == []


# ---- which requests ----


def test_a_request_without_a_good_token_meets_nothing(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("garbage", times=1), Fault("latency", seconds=0, times=1))
    assert http.get("/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert emulator.faults_done == []
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/models")


def test_a_refused_request_meets_what_any_answer_meets(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("truncated_json", after_bytes=1))
    response = http.get("/models/nothing")
    assert (response.status_code, response.content) == (404, b"{")


def test_tokens_are_hit_when_they_are_named(emulator: Emulator, http: httpx.Client) -> None:
    emulator.inject(Fault("status", status=503))
    assert oauth(emulator).status_code == 200
    emulator.inject(Fault("status", status=429, path="/api/v2/oauth", times=1))
    assert [oauth(emulator).status_code for _ in range(2)] == [429, 200]


def met_by(http: httpx.Client, number: int) -> str | None:
    try:
        status = http.get("/models", headers={"X-Request-ID": f"call {number}"}).status_code
    except httpx.ReadError:
        return "reset_before_head"
    return None if status == 200 else "status"


def test_what_was_done_can_be_counted(http: httpx.Client, emulator: Emulator) -> None:
    emulator.inject(Fault("status", path="/v1/models", probability=0.4), Fault("reset_before_head", probability=0.3))
    met = [(number, met_by(http, number)) for number in range(40)]
    done = emulator.faults_done
    assert [(record.request, record.kind) for record in done] == [(number, kind) for number, kind in met if kind]
    assert [record.number for record in done] == list(range(1, len(done) + 1))
    assert [record.request_id for record in done] == [f"call {record.request}" for record in done]
    assert {record.path for record in done} == {"/v1/models"}
    assert 15 < len(done) < 38


def test_profiles_come_with_the_emulator(tmp_path: Any) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[[faults]]\nkind = "status"\nstatus = 503\ntimes = 1\n')
    given: tuple[Any, ...] = ([Fault("status", status=503, times=1)], str(file), file)
    for faults in given:
        with Emulator(faults=faults) as emulator, open_client(emulator) as http:
            assert [http.get("/models").status_code for _ in range(2)] == [503, 200]


def test_injecting_nothing_is_a_mistake() -> None:
    emulator = Emulator()
    with pytest.raises(ValueError, match="no faults are given"):
        emulator.inject()
    wrong: Any = "latency"
    with pytest.raises(TypeError, match="expected a Fault, got str"):
        emulator.inject(wrong)
    emulator.inject(Fault("refuse"))
    emulator.clear_faults()
    assert emulator.faults_done == []


def test_an_answering_function_may_inject(emulator: Emulator, http: httpx.Client) -> None:
    def handler(_: RecordedRequest) -> Reply | None:
        emulator.inject(Fault("status", path="/v1/models/GigaChat"))
        return None

    emulator.on("/v1/models", handler, method="GET")
    assert http.get("/models").status_code == 200
    assert http.get("/models/GigaChat").status_code == 500


# ---- the end ----


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("latency", seconds=60),
        Fault("slow_body", seconds=60),
        Fault("stalled"),
        Fault("endless_stream"),
        Fault("endless_comments", seconds=60),
    ],
)
def test_stopping_waits_for_no_fault(emulator: Emulator, http: httpx.Client, fault: Fault) -> None:
    emulator.inject(fault)
    ended: list[Exception | None] = []
    asking = threading.Thread(target=lambda: ended.append(ask(http, stream=True)[1]))
    asking.start()
    wait_until(lambda: bool(emulator.faults_done))
    emulator.stop()
    asking.join(5)
    assert isinstance(ended[0], httpx.TransportError)


def test_a_client_that_does_not_say_goodbye_is_not_waited_for() -> None:
    """TLS ends when both sides have said so; a client may never."""
    with Emulator(https=True) as emulator:
        emulator.inject(Fault("reset_before_head", how="close"))
        context = ssl.create_default_context(cafile=emulator.ca_bundle_file)
        with (
            socket.create_connection(address(emulator)) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            token = emulator.issue_token()
            tls.sendall(
                f"GET /v1/models HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            )
            assert tls.recv(1) == b""
            emulator.stop()


def test_faults_leave_no_warning_and_no_thread_behind() -> None:
    script = (
        "import gc, httpx, ssl, threading\n"
        "from gigachat_sdk.testing import Emulator, Fault\n"
        "cuts = ['reset_before_head', 'reset_in_body', 'garbage', 'wrong_content_length']\n"
        "for how in ('reset', 'close', 'stream'):\n"
        "    faults = [Fault(kind, times=1, **({'how': how} if 'reset' in kind else {})) for kind in cuts]\n"
        "    emulator = Emulator(https=True, faults=[*faults, Fault('refuse', seconds=0.01, nth=2)])\n"
        "    emulator.start()\n"
        "    headers = {'Authorization': 'Bearer ' + emulator.issue_token()}\n"
        "    context = ssl.create_default_context(cafile=emulator.ca_bundle_file)\n"
        "    for http2 in (False, True):\n"
        "        client = httpx.Client(verify=context, http2=http2, headers=headers)\n"
        "        for _ in range(4):\n"
        "            try:\n"
        "                client.get(emulator.base_url + '/models')\n"
        "            except Exception:\n"
        "                pass\n"
        "        client.close()\n"
        "    emulator.stop()\n"
        "gc.collect()\n"
        "print(threading.active_count())\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.stderr) == ("1\n", "")
