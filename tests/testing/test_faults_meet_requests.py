"""Faults of time and of whole answers, the requests that meet them, and the end of it all."""

import socket
import ssl
import subprocess
import sys
import threading
from typing import Any

import anyio
import httpx
import pytest

from gigachat_sdk.testing import Emulator, Fault, RecordedRequest, Reply
from gigachat_sdk.testing._line import Connection

from .conftest import WAYS, open_client
from .faulty import BODY, CHAT, ask, kinds
from .test_limits_are_kept import wait_until
from .test_the_server_starts_and_stops import address
from .test_tokens_are_issued_and_checked import oauth

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
    got, error = ask(http, stream=stream, timeout=3.0)  # for the head, too
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


def test_a_fault_is_noted_before_a_client_can_see_it(
    http: httpx.Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = list[int]()

    async def settle(connection: Connection, scope: Any) -> None:
        noted.append(len(emulator.faults_done))  # by now, all that the client waits for may be with it

    monkeypatch.setattr(Connection, "settle", settle)
    emulator.inject(Fault("wrong_content_length", off_by=-3, times=1))
    assert len(http.get("/models").content) > 0
    wait_until(lambda: noted == [1])


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
        # a connection that is refused in the middle of its handshake leaves a socket open in Python's own ssl
        "    for https in (False, True):\n"
        "      refuse = [] if https else [Fault('refuse', seconds=0.01, nth=2)]\n"
        "      emulator = Emulator(https=https, faults=[*faults, *refuse])\n"
        "      emulator.start()\n"
        "      headers = {'Authorization': 'Bearer ' + emulator.issue_token()}\n"
        "      context = ssl.create_default_context(cafile=emulator.ca_bundle_file)\n"
        "      for http2 in (False, True):\n"
        "          client = httpx.Client(verify=context, http2=http2, headers=headers)\n"
        "          for _ in range(4):\n"
        "              try:\n"
        "                  client.get(emulator.base_url + '/models')\n"
        "              except Exception:\n"
        "                  pass\n"
        "          client.close()\n"
        "      emulator.stop()\n"
        "gc.collect()\n"
        "print(threading.active_count())\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.stderr) == ("1\n", "")
