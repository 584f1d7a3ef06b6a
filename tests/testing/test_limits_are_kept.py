import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.testing import _app as app

from .conftest import open_client

Ask = Callable[..., httpx.Response]
CHAT = "/v1/chat/completions"
BODY = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}]}


def slow_stream() -> Reply:
    return Reply(chunks=[b"data: {}\n\n"] * 2, chunk_delay=60.0)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, a short while at most, for something that the server's thread does on its own."""
    tick = threading.Event()
    for _ in range(3000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("http2", [False, True])
def test_one_request_too_many_is_refused(http2: bool) -> None:
    with Emulator(https=True, concurrency=1) as emulator, open_client(emulator, http2=http2) as http:
        emulator.reply(CHAT, slow_stream())
        with http.stream("POST", "/chat/completions", json=BODY) as response:
            body = response.iter_raw()
            assert next(body) == b"data: {}\n\n"
            assert emulator.in_flight == 1
            refused = http.post("/chat/completions", json=BODY)
            assert (refused.status_code, refused.text) == (429, '{"status":429,"message":"Too many requests"}\n')
            assert http.get("/models").status_code == 200
        http.close()  # over HTTP/2 the end of one stream is not told to the server
        wait_until(lambda: emulator.in_flight == 0)
        with open_client(emulator, http2=http2) as another:
            assert another.post("/chat/completions", json=BODY).status_code == 200
        assert emulator.max_in_flight == 2


def test_a_place_is_free_again_once_the_answer_is_read(ask: Ask, emulator: Emulator) -> None:
    for number in range(50):
        assert ask(stream=bool(number % 2)).status_code == 200
    assert (emulator.in_flight, emulator.max_in_flight) == (0, 1)


@pytest.mark.parametrize("http2", [False, True])
def test_one_request_after_another_never_meets_the_limit(http2: bool) -> None:
    with Emulator(https=True, concurrency=1) as emulator, open_client(emulator, http2=http2) as http:
        for number in range(50):
            assert http.post("/chat/completions", json={**BODY, "stream": bool(number % 2)}).status_code == 200


def test_a_refused_token_takes_no_place() -> None:
    with Emulator(concurrency=0) as emulator, open_client(emulator, headers={}) as stranger:
        assert stranger.post("/chat/completions", json=BODY).status_code == 401
        assert emulator.max_in_flight == 0


def test_a_client_that_goes_away_during_a_delay_frees_its_place(emulator: Emulator, http: httpx.Client) -> None:
    emulator.reply(CHAT, Reply(delay=60.0))
    with pytest.raises(httpx.ReadTimeout):
        http.post("/chat/completions", json=BODY, timeout=0.5)
    wait_until(lambda: bool(emulator.requests) and emulator.in_flight == 0)
    assert emulator.requests[0].status is None


def test_a_client_that_goes_away_before_its_body_is_forgotten(emulator: Emulator, http: httpx.Client) -> None:
    def broken() -> Iterator[bytes]:
        yield b"{"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        http.post("/chat/completions", content=broken())
    assert http.get("/models").status_code == 200
    assert [one.method for one in emulator.requests] == ["GET"]


def test_a_body_over_the_limit_is_refused(
    emulator: Emulator, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MAX_BODY", 1000)
    for size, status in ((1000, 400), (1001, 413)):
        response = http.post("/chat/completions", content=b" " * size)
        assert response.status_code == status
    assert response.json() == {"status": 413, "message": "Payload too large"}
    assert [len(one.body) for one in emulator.requests] == [1000, 0]


def test_the_size_limit_can_be_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY", 1000)
    with Emulator(limits=False) as emulator, open_client(emulator) as http:
        assert http.post("/chat/completions", content=b" " * 1001).status_code == 400
        assert len(emulator.requests[0].body) == 1001
