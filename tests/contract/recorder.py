"""Listens to the whole test suite: what the SDK sends, and what the emulator answers, is judged by the document.

A pytest plugin that `tests/conftest.py` registers. It wraps httpx's transports and the emulator's application from
outside. What the document does not allow fails the test in which it was sent. A test that leaves the contract on
purpose says so, and why: `@pytest.mark.off_contract("an old gateway's answer")`; a mark that is not needed fails too.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import _app, _fault_choice, _state

from .deviations import is_allowed
from .exchange import Exchange, Violation, answer_violations, plain_path, request_violations
from .shape import shape_of

# What differs from one exchange to the next and says nothing: ids, times, tokens.
_VOLATILE = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{9,}|[\w.-]{200,}")
_LARGE = 1 << 16


class Sample:
    """A body, or the beginning and the end of a very large one: tests send files that fit into no memory."""

    HEAD, TAIL = 4 << 20, 1 << 16

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def add(self, piece: bytes) -> None:
        room = self.HEAD - len(self._head)
        self._size += len(piece)
        self._head += piece[:room]
        self._tail += piece[room:][-self.TAIL :] if len(piece) > room else b""
        del self._tail[: -self.TAIL]

    def body(self, content_type: str) -> tuple[bytes, bool]:
        """Give the body, and whether it can be judged: what is in files is not, lines are without those cut."""
        whole = bytes(self._head + self._tail)
        if self._size == len(whole) or content_type.startswith("multipart/"):
            return whole, True
        if content_type == "application/octet-stream":
            return bytes(self._head[: self._head.rfind(b"\n") + 1] + self._tail[self._tail.find(b"\n") + 1 :]), True
        return b"", False


Judge = Callable[[Exchange], list[Violation]]


class Recorder:
    """Takes exchanges from any thread; judges each kind of request and each kind of answer once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: dict[bytes, tuple[Violation, ...]] = {}
        self._waiting: dict[bytes, tuple[Judge, Exchange]] = {}
        self.listeners: list[Callable[[Exchange], None]] = []

    def note(self, exchange: Exchange) -> None:
        """Keep an exchange until the end of the test, unless ones like it were judged and found good."""
        halves: list[tuple[bytes, Judge]] = []
        if exchange.is_ours:
            halves.append((_request_key(exchange), request_violations))
        if exchange.status is not None:
            halves.append((_answer_key(exchange), answer_violations))
        with self._lock:
            for key, judge in halves:
                if self._verdicts.get(key) != ():
                    self._waiting.setdefault(key, (judge, exchange))
        for listener in self.listeners:
            listener(exchange)

    def judge(self) -> list[Violation]:
        """Judge what was kept, and forget it."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        found: list[Violation] = []
        for key, (judge, exchange) in waiting.items():
            if key not in self._verdicts:
                self._verdicts[key] = self._verdict(judge, exchange)
            found += self._verdicts[key]
        return list(dict.fromkeys(found))

    def _verdict(self, judge: Judge, exchange: Exchange) -> tuple[Violation, ...]:
        """Judge half an exchange, unless one of the same shape was judged and found good."""
        shape = (_request_key if judge is request_violations else _answer_key)(_in_shape(exchange))
        if self._verdicts.get(shape) != ():
            self._verdicts[shape] = tuple(one for one in judge(exchange) if not is_allowed(one, exchange))
        return self._verdicts[shape]


def _in_shape(exchange: Exchange) -> Exchange:
    return replace(
        exchange,
        body=b"shape" + shape_of(exchange.body, exchange.content_type),
        answer=b"shape" + shape_of(exchange.answer, exchange.answer_type),
    )


def _request_key(exchange: Exchange) -> bytes:
    """Give the same for requests about which the document says the same."""
    headers = {name.lower(): value for name, value in exchange.headers}
    parts = [
        "request",
        exchange.operation.id if exchange.operation else f"{exchange.method} {plain_path(exchange.path)}",
        exchange.query,
        str(exchange.is_body_known),
        headers.get("authorization", "").partition(" ")[0],
        headers.get("rquid", ""),
        exchange.content_type.partition("boundary=")[0],
    ]
    return _digest(parts, exchange.body)


def _answer_key(exchange: Exchange) -> bytes:
    """Give the same for answers about which the document says the same."""
    operation = exchange.operation
    parts = ["answer", operation.id if operation else "", str(exchange.status), exchange.answer_type]
    return _digest(parts, exchange.answer)


def _digest(parts: Iterable[str], body: bytes) -> bytes:
    digest = hashlib.blake2b(_VOLATILE.sub(b"#", "\0".join(parts).encode()), digest_size=16)
    digest.update(body if len(body) > _LARGE else _VOLATILE.sub(b"#", body))
    return digest.digest()


# ---- the SDK's requests, wherever they go ----


def _as_sent(request: httpx.Request) -> Exchange | None:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = _in_words(request.headers.raw)
    body, is_known = b"", False
    with suppress(httpx.RequestNotRead):
        sample = Sample()
        sample.add(request.content)
        body, is_known = sample.body(request.headers.get("Content-Type", ""))
        announced = "Transfer-Encoding" in request.headers or request.headers.get("Content-Length", "0") != "0"
        is_known = is_known and bool(body) is announced  # else it is read while it is sent
    exchange = Exchange(request.method, path, query, headers, body, is_known)
    return exchange if exchange.is_ours and exchange.operation else None  # unknown paths are the emulator's to tell


def _wrapped_transport(original: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    def send(self: Any, request: httpx.Request) -> Any:
        exchange = _as_sent(request)
        if exchange is not None:
            recorder.note(exchange)
        return original(self, request)

    return send


def _in_words(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


# ---- the emulator's answers ----

_current: ContextVar[Exchange | None] = ContextVar("exchange that the emulator is at", default=None)


def _wrapped_app(original: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await original(self, scope, receive, send)
            return
        exchange = _as_received(scope)
        _current.set(exchange)
        received, answered = Sample(), Sample()

        async def receive_and_note() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                received.add(message.get("body", b""))
                if not message.get("more_body", False):
                    exchange.body, exchange.is_body_known = received.body(exchange.content_type)
            return message

        async def send_and_note(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.answer_headers = _in_words(message["headers"])
            else:
                answered.add(message.get("body", b""))
                if not message.get("more_body", False):
                    _finish(exchange, answered, recorder, is_made_up=_knows(self._state, exchange))
            await send(message)

        await original(self, scope, receive_and_note, send_and_note)

    return call


def _as_received(scope: Any) -> Exchange:
    headers = _in_words(scope["headers"])
    path, query = scope["raw_path"].decode("ascii"), scope["query_string"].decode("latin-1")
    return Exchange(scope["method"], path, query, headers, is_body_known=False)


def _knows(state: _state.State, exchange: Exchange) -> bool:
    """Say whether the test has scripted something for the path of a request, now or before."""
    key = exchange.method, plain_path(exchange.path)
    return key in state._scripted or key in state._handlers


def _finish(exchange: Exchange, answered: Sample, recorder: Recorder, *, is_made_up: bool) -> None:
    exchange.answer, is_known = answered.body(exchange.answer_type)
    if exchange.is_scripted or not is_known:
        exchange.status, exchange.answer_headers, exchange.answer = None, [], b""
    if exchange.operation or not is_made_up:
        recorder.note(exchange)


def _wrapped_script(original: Callable[..., Any]) -> Callable[..., Any]:
    def scripted(self: Any, request: Any) -> Any:
        reply = original(self, request)
        exchange = _current.get()
        if exchange is not None and reply is not None:
            exchange.is_scripted = True
        return reply

    return scripted


def _wrapped_fault(original: Callable[..., Any]) -> Callable[..., Any]:
    def note(self: Any, fault: Any, turn: Any) -> Any:
        exchange = _current.get()
        if exchange is not None and fault.kind not in ("latency", "slow_body"):  # these two leave the answer as it is
            exchange.is_scripted = True
        return original(self, fault, turn)

    return note


# ---- pytest ----


class ContractPlugin:
    """Judges what each test has sent and got."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._patch = pytest.MonkeyPatch()

    def pytest_sessionstart(self) -> None:
        for kind, name in (
            (httpx.HTTPTransport, "handle_request"),
            (httpx.AsyncHTTPTransport, "handle_async_request"),
            (httpx.MockTransport, "handle_request"),
            (httpx.MockTransport, "handle_async_request"),
        ):
            self._patch.setattr(kind, name, _wrapped_transport(getattr(kind, name), self.recorder))
        self._patch.setattr(_app.App, "__call__", _wrapped_app(_app.App.__call__, self.recorder))
        self._patch.setattr(_state.State, "scripted", _wrapped_script(_state.State.scripted))
        self._patch.setattr(_fault_choice.Faults, "note", _wrapped_fault(_fault_choice.Faults.note))

    def pytest_sessionfinish(self) -> None:
        self._patch.undo()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            reason_of(item.get_closest_marker("off_contract"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        try:
            yield
        except BaseException:  # one failure is enough, but this may be its cause
            item.add_report_section("call", "contract", "\n".join(map(str, self.recorder.judge())))
            raise
        self._check(item, must_be_needed=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        yield
        self._check(item, must_be_needed=False)

    def _check(self, item: pytest.Item, *, must_be_needed: bool) -> None:
        found = self.recorder.judge()
        is_off = item.get_closest_marker("off_contract") is not None
        if found and not is_off:
            lines = ["off the contract (tests/fixtures/openapi.yaml):", *(f"  {one}" for one in found)]
            pytest.fail("\n".join(lines), pytrace=False)
        if is_off and must_be_needed and not found:
            pytest.fail("the mark off_contract is not needed: nothing here is off the contract", pytrace=False)


def reason_of(mark: pytest.Mark | None) -> str | None:
    """Give the reason for which a test leaves the contract; None if it does not.

    Raises:
        pytest.UsageError: The mark gives no reason.
    """
    if mark is None:
        return None
    if len(mark.args) != 1 or mark.kwargs or not isinstance(mark.args[0], str) or not mark.args[0].strip():
        raise pytest.UsageError("off_contract takes one argument, the reason")
    return mark.args[0]
