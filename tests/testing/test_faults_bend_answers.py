"""What a fault makes of an answer, before any byte is sent."""

import json
from typing import Any

import pytest

from gigachat_sdk.testing import Fault, Reply
from gigachat_sdk.testing._fault_reply import BROKEN_DATA, GARBAGE, HEARTBEAT, Bent, bend, instead

WHOLE = Reply(json={"а": [1, 2, 3]})  # 14 bytes
STREAM = Reply.sse([{"n": 1}, {"n": 2}])
EVENTS = [b'data: {"n":1}\n\n', b'data: {"n":2}\n\n', b"data: [DONE]\n\n"]  # 15, 15 and 14 bytes
NAMED = Reply.named_sse([("some.delta", 1), ("some.done", 2)])
FILE = Reply(chunks=[b"123", b"456"], headers={"Content-Type": "image/jpeg", "content-length": "6"})
TEXT = Reply(body="text", headers={"Content-Type": "text/plain"})
EMPTY = Reply(status=503)


def done(fault: Fault, reply: Reply, *, http2: bool = False) -> Bent:
    bent = bend(fault, reply, http2=http2)
    assert bent is not None
    return bent


def body(reply: Reply) -> bytes:
    assert reply.chunks is not None
    return b"".join(reply.chunks)


# ---- instead of an answer ----


def test_an_error_has_the_body_of_the_service() -> None:
    assert instead(Fault("status", status=503)) == Reply.error(503, "Service Unavailable")
    assert instead(Fault("status", status=599)) == Reply.error(599, "Error")
    assert instead(Fault("revoke_token")) == Reply.error(401, "Token has expired")


@pytest.mark.parametrize(
    ("given", "header"),
    [(1, "1"), (0, "0"), (0.5, "0.5"), (3600, "3600"), ("Fri, 31 Dec 2027 23:59:59 GMT",) * 2],
)
def test_an_error_says_when_to_come_back(given: Any, header: str) -> None:
    assert (instead(Fault("status", status=429, retry_after=given)).headers or {})["Retry-After"] == header


def test_an_error_can_be_the_page_of_a_proxy() -> None:
    reply = instead(Fault("status", status=502, html=True, retry_after=1))
    assert reply.status == 502
    assert str(reply.body).startswith("<html>")
    assert "<h1>502 Bad Gateway</h1>" in str(reply.body)
    assert reply.headers == {"Content-Type": "text/html", "Retry-After": "1"}


# ---- where it happens ----


@pytest.mark.parametrize(
    ("fault", "reply", "at"),
    [
        (Fault("reset_before_head"), WHOLE, None),
        (Fault("garbage"), EMPTY, None),
        (Fault("reset_in_body"), WHOLE, 7),
        (Fault("reset_in_body", after_bytes=0), WHOLE, 0),
        (Fault("reset_in_body", after_bytes=5), WHOLE, 5),
        (Fault("reset_in_body", after_bytes=500), WHOLE, 13),
        (Fault("reset_in_body"), FILE, 3),
        (Fault("reset_in_body"), Reply(chunks=[b"12", b"34"]), 2),
        (Fault("reset_in_body"), Reply(chunks=[b"12", b"34"], headers={"Content-Length": "soon"}), 2),
        (Fault("reset_in_body"), STREAM, 22),
        (Fault("reset_in_body", after_bytes=43), STREAM, 30),  # in its last event nobody would see it
        (Fault("reset_between_events"), STREAM, 15),
        (Fault("reset_between_events", after_events=0), STREAM, 0),
        (Fault("reset_between_events", after_events=2), STREAM, 30),
        (Fault("reset_between_events", after_events=9), STREAM, 30),
        (Fault("reset_in_event"), STREAM, 22),
        (Fault("reset_in_event", after_events=0), STREAM, 7),
        (Fault("reset_in_event", after_events=9), STREAM, 37),
        (Fault("stalled"), STREAM, 15),
        (Fault("stalled", after_events=0), STREAM, 0),
        (Fault("stalled"), WHOLE, 7),
        (Fault("stalled", after_bytes=1), TEXT, 1),
        (Fault("slow_body"), STREAM, 0),
        (Fault("endless_stream"), STREAM, 15),
        (Fault("endless_comments"), NAMED, 27),
    ],
)
def test_it_happens_where_it_was_asked_for(fault: Fault, reply: Reply, at: int | None) -> None:
    bent = done(fault, reply)
    assert bent.at == at
    acts = {"g": "garbage", "r": "cut", "st": "silence", "sl": "slow", "e": "repeat"}
    assert bent.act == next(act for begin, act in acts.items() if fault.kind.startswith(begin))


@pytest.mark.parametrize(
    ("kinds", "replies"),
    [
        (["reset_between_events", "reset_in_event", "garbage_event", "no_done"], [WHOLE, FILE, TEXT, EMPTY]),
        (["endless_stream", "endless_comments"], [WHOLE, FILE, TEXT, EMPTY, Reply.sse([])]),
        (["reset_in_body", "stalled", "slow_body"], [EMPTY]),
        (["truncated_json"], [STREAM, FILE, TEXT, EMPTY, Reply(json=5), Reply(body="null")]),
    ],
)
def test_it_leaves_alone_what_it_does_not_fit(kinds: list[Any], replies: list[Reply]) -> None:
    assert [bend(Fault(kind), reply, http2=False) for kind in kinds for reply in replies] == [None] * (
        len(kinds) * len(replies)
    )


def test_what_the_acts_send() -> None:
    assert done(Fault("garbage"), WHOLE).data == GARBAGE
    assert done(Fault("endless_stream"), STREAM).data == EVENTS[0]
    assert done(Fault("endless_comments"), STREAM).data == HEARTBEAT


def test_a_body_that_is_cut_goes_out_in_two_pieces_with_its_head() -> None:
    """A request is answered when its last piece is sent, so a stalled one keeps its place."""
    reply = done(Fault("stalled", after_bytes=3), WHOLE).reply
    assert [len(piece) for piece in reply.chunks or ()] == [3, 11]
    assert body(reply) == '{"а":[1,2,3]}'.encode()
    assert reply.headers == {"Content-Type": "application/json; charset=utf-8", "Content-Length": "14"}
    assert done(Fault("stalled"), FILE).reply is FILE
    assert done(Fault("stalled"), Reply(body="ab", headers={"transfer-encoding": "chunked"})).reply.headers == {
        "transfer-encoding": "chunked"
    }
    assert done(Fault("stalled"), Reply(json=1, headers={"content-TYPE": "x"})).reply.headers == {
        "Content-Length": "1",
        "content-TYPE": "x",
    }


# ---- other bodies ----


@pytest.mark.parametrize("after_bytes", [None, 0, 1, 12, 13, 99])
@pytest.mark.parametrize(
    "reply", [WHOLE, Reply.error(500, "x"), Reply(body=b" [1]\n\n ", headers={"content-type": "application/JSON"})]
)
def test_truncated_json_is_no_json(reply: Reply, after_bytes: int | None) -> None:
    bent = done(Fault("truncated_json", after_bytes=after_bytes), reply)
    assert bent.act is None
    assert isinstance(bent.reply.body, bytes)
    with pytest.raises(ValueError, match=r"char \d+"):
        json.loads(bent.reply.body.decode("utf-8", "ignore"))
    assert any(
        name.lower() == "content-type" and "json" in str(value).lower()
        for name, value in (bent.reply.headers or {}).items()
    )


@pytest.mark.parametrize(("after_events", "place"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_an_event_that_is_none_comes_beside_the_others(after_events: int, place: int) -> None:
    bent = done(Fault("garbage_event", after_events=after_events), STREAM)
    assert list(bent.reply.chunks or ()) == [*EVENTS[:place], BROKEN_DATA, *EVENTS[place:]]
    with pytest.raises(ValueError, match="codec"):
        json.loads(BROKEN_DATA.removeprefix(b"data: "))


def test_in_v2_it_has_the_name_of_the_next_one() -> None:
    bent = done(Fault("garbage_event"), NAMED)
    assert (bent.reply.chunks or ())[1] == b"event: some.done\n" + BROKEN_DATA


def test_the_last_event_can_be_missing() -> None:
    assert list(done(Fault("no_done"), STREAM).reply.chunks or ()) == EVENTS[:-1]
    assert done(Fault("no_done"), NAMED).reply.chunks == (b"event: some.delta\ndata: 1\n\n",)
    assert done(Fault("no_done"), Reply.sse([])).reply.chunks == ()


# ---- the content length ----


def test_a_content_length_can_be_too_large() -> None:
    bent = done(Fault("wrong_content_length", off_by=5), WHOLE)
    assert (bent.act, bent.at, bent.data) == ("cut", 14, b"")
    assert (bent.reply.headers or {})["Content-Length"] == "19"
    bent = done(Fault("wrong_content_length", off_by=5), FILE)
    assert (bent.act, bent.at) == ("cut", 6)
    assert bent.reply.headers == {"Content-Type": "image/jpeg", "Content-Length": "11"}


@pytest.mark.parametrize(
    ("off_by", "reply", "declared"),
    [
        (-1, WHOLE, 13),
        (-100, WHOLE, 0),
        (-1, Reply.error(500, "x"), 27),  # the line end after the JSON would not be missed
        (-1, STREAM, 30),
        (-20, STREAM, 24),
    ],
)
def test_a_content_length_can_be_too_small(off_by: int, reply: Reply, declared: int) -> None:
    bent = done(Fault("wrong_content_length", off_by=off_by), reply)
    assert (bent.act, bent.at) == ("leftover", declared)
    assert (bent.reply.headers or {})["Content-Length"] == str(declared)
    assert bent.data == body(bent.reply)[declared:]


def test_a_content_length_too_small_needs_a_body_that_is_seen_not_to_be_whole() -> None:
    fault = Fault("wrong_content_length", off_by=-1)
    assert [bend(fault, reply, http2=http2) for reply in (FILE, TEXT, EMPTY) for http2 in (False, True)] == [None] * 6
    chunked = Reply(json=[1], headers={"Transfer-Encoding": "chunked"})
    assert bend(Fault("wrong_content_length"), chunked, http2=False) is None


@pytest.mark.parametrize("off_by", [-3, 3])
def test_http2_needs_nothing_but_the_header(off_by: int) -> None:
    bent = done(Fault("wrong_content_length", off_by=off_by), WHOLE, http2=True)
    assert bent.act is None
    assert body(bent.reply) == '{"а":[1,2,3]}'.encode()
    assert (bent.reply.headers or {})["Content-Length"] == str(14 + off_by)
