"""`_events.py`: bytes to events after WHATWG's rules, the same events however the bytes are split."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigachat_sdk import GigaChatError
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._events import DONE, Event, EventDecoder, EventTooLargeError
from gigachat_sdk._response import ChunkReader
from gigachat_sdk.types import ChatCompletionChunk, Headers, RequestInfo, ResponseInfo

LIMIT = 40
TOO_LARGE = "too large"


def decode(pieces: list[bytes], limit: int = 1 << 20) -> list[Any]:
    """Return the events of a whole body, `TOO_LARGE` at the end where it was given up."""
    decoder = EventDecoder(limit)
    events: list[Any] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except EventTooLargeError:
        events.append(TOO_LARGE)
    # Whether `[DONE]` comes with the name that stood before it makes no difference.
    return [Event("", DONE) if event is not TOO_LARGE and event.data == DONE else event for event in events]


def data(*texts: str) -> list[Event]:
    return [Event("", text.encode()) for text in texts]


TABLE: dict[str, tuple[bytes, list[Event]]] = {
    # line ends
    "LF": (b"data: 1\n\ndata: 2\n\n", data("1", "2")),
    "CR": (b"data: 1\r\rdata: 2\r\r", data("1", "2")),
    "CRLF": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", data("1", "2")),
    "CRLF in a longer event": (b"data: 1\r\ndata: 2\r\n\r\n", data("1\n2")),
    "mixed ends": (b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n", data("1", "2", "3")),
    "CR LF LF": (b"data: 1\r\n\n", data("1")),
    "LF CR is two ends": (b"data: 1\n\rdata: 2\n\n", data("1", "2")),
    "only ends": (b"\n\r\r\n\n\n", []),
    "nothing": (b"", []),
    # fields
    "no space after the colon": (b"data:1\n\n", data("1")),
    "one space is taken away": (b"data:  1 \n\n", data(" 1 ")),
    "a tab is text": (b"data:\t1\n\n", data("\t1")),
    "colons are text": (b"data: a: b\n\n", data("a: b")),
    "several data lines": (b"data: 1\ndata\ndata:2\ndata: \n\n", data("1\n\n2\n")),
    "an empty data line": (b"data:\n\n", data("")),
    "an empty data line with a space": (b"data: \n\n", data("")),
    "data without a colon": (b"data\n\n", data("")),
    "two empty data lines": (b"data\ndata\n\n", data("\n")),
    "a comment": (b": ping\n\n", []),
    "a comment without text": (b":\n\n", []),
    "a comment between": (b"data: 1\n: ping\ndata: 2\n\n", data("1\n2")),
    "a comment before": (b": ping\ndata: 1\n\n", data("1")),
    "an unknown field": (b"size: 5\ndata: 1\nsize\n\n", data("1")),
    "an unknown field alone": (b"size: 5\n\ndata: 1\n\n", data("1")),
    "upper case is another field": (b"DATA: 1\nData: 2\n\n", []),
    "a space before is another field": (b" data: 1\n\n", []),
    # names
    "a name": (b"event: delta\ndata: 1\n\n", [Event("delta", b"1")]),
    "a name after": (b"data: 1\nevent:delta\n\n", [Event("delta", b"1")]),
    "the last name counts": (b"event: a\nevent: b\ndata: 1\n\n", [Event("b", b"1")]),
    "a name holds for one event": (b"event: a\ndata: 1\n\ndata: 2\n\n", [Event("a", b"1"), Event("", b"2")]),
    "a name without data is no event": (b"event: a\n\ndata: 1\n\n", data("1")),
    "a name that is none": (b"event: message\ndata: 1\n\nevent:  \ndata: 2\n\n", [Event("", b"1"), Event(" ", b"2")]),
    "names and none": (
        b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\ndata: \n\nevent: c\n: ping\ndata: 3\n\nevent: d\ndata:4\n\n",
        [Event("a", b"1"), Event("", b"2"), Event("b", b""), Event("c", b"3"), Event("d", b"4")],
    ),
    "a name that is UTF-8": ("event: имя\ndata: 1\n\n".encode(), [Event("имя", b"1")]),
    # id, retry
    "an id": (b"id: 5\ndata: 1\n\n", data("1")),
    "an id alone is no event": (b"id: 5\n\ndata: 1\n\nid\n\n", data("1")),
    "an id with NUL": (b"id: a\x00b\ndata: 1\n\n", data("1")),
    "retry": (b"retry: 10\ndata: 1\n\nretry: x\n\nretry: 5\n\n", data("1")),
    # text
    "U+2028 and friends": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
        data("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"),
    ),
    "the same in a longer event": (
        "event: e\ndata: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\ndata: h\n\n".encode(),
        [Event("e", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\nh".encode())],
    ),
    "Cyrillic and beyond": ("data: Привет \U0001f600\n\n".encode(), data("Привет \U0001f600")),
    "NUL": (b"data: a\x00b\n\n", data("a\x00b")),
    "a byte order mark": (b"\xef\xbb\xbfdata: 1\n\n", data("1")),
    "a byte order mark before a comment": (b"\xef\xbb\xbf: ping\n\ndata: 1\n\n", data("1")),
    "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n", []),
    "a later byte order mark": (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", data("1")),
    # the end
    "[DONE]": (b"data: 1\n\ndata: [DONE]\n\n", data("1", "[DONE]")),
    "[DONE] at the end of its line": (b"data: [DONE]\n", data("[DONE]")),
    "[DONE] at the end of the body": (b"data: [DONE]", data("[DONE]")),
    "[DONE] without a space": (b"data:[DONE]", data("[DONE]")),
    "[DONE] and CR": (b"data: [DONE]\r", data("[DONE]")),
    "[DONE] after a byte order mark": (b"\xef\xbb\xbfdata: [DONE]", data("[DONE]")),
    "[DONE] after a comment": (b": ping\ndata: [DONE]\n", data("[DONE]")),
    "[DONE] with a name": (b"event: done\ndata: [DONE]\n\n", data("[DONE]")),
    "[DONE] with a name at the end of its line": (b"event: done\nid: 1\ndata: [DONE]\n", data("[DONE]")),
    "[DONE] as one line of several": (b"data: a\ndata: [DONE]", []),
    "[DONE] in a text": (b'data: "[DONE]"\n\n', data('"[DONE]"')),
    "almost [DONE]": (b"data: [DONE", []),
    "an open event is dropped": (b"data: 1\n\ndata: 2\n", data("1")),
    "an open line is dropped": (b"data: 1\n\ndata: 2", data("1")),
}
BOUND: dict[str, tuple[bytes, list[Any]]] = {
    "at the bound": (b"data: " + b"x" * (LIMIT - 6) + b"\n\n", data("x" * (LIMIT - 6))),
    "at the bound after a byte order mark": (
        b"\xef\xbb\xbfdata: " + b"x" * (LIMIT - 6) + b"\n\n",
        data("x" * (LIMIT - 6)),
    ),
    "over the bound": (b"data: " + b"x" * (LIMIT - 5) + b"\n\n", [TOO_LARGE]),
    "over the bound in lines": (b"data: 12345\n" * 5 + b"\n", [TOO_LARGE]),
    "over the bound with comments": (b": ping 12345\n" * 5 + b"\n", [TOO_LARGE]),
    "over the bound without an end": (b"data: " + b"x" * LIMIT, [TOO_LARGE]),
    "many small ones": (b"data: 12345\n\n" * 9, data(*["12345"] * 9)),
    "one before": (b"data: 1\n\ndata: " + b"x" * LIMIT + b"\n\ndata: 2\n\n", [*data("1"), TOO_LARGE]),
}


@pytest.mark.parametrize("name", TABLE)
def test_events_of_a_body(name: str) -> None:
    body, events = TABLE[name]
    assert decode([body]) == events
    assert decode([b"", body, b""]) == events
    if not body.startswith(b"\xef\xbb\xbf"):
        assert decode([b":\n\n", body]) == events  # the decoder is quicker once the first line has passed


@pytest.mark.parametrize("name", BOUND)
def test_events_over_the_bound_are_given_up(name: str) -> None:
    body, events = BOUND[name]
    assert decode([body], LIMIT) == events


@pytest.mark.parametrize("name", [*TABLE, *BOUND])
def test_the_same_events_wherever_the_body_is_split(name: str) -> None:
    body, events = TABLE.get(name) or BOUND[name]
    limit = 1 << 20 if name in TABLE else LIMIT
    for first in range(len(body) + 1):
        assert decode([body[:first], body[first:]], limit) == events, first
        assert decode([body[:first], b"", body[first:]], limit) == events, first
    for first in range(0, len(body), 3):
        for second in range(first, len(body) + 1):
            assert decode([body[:first], body[first:second], body[second:]], limit) == events, (first, second)
    assert decode([body[at : at + 1] for at in range(len(body))], limit) == events


def test_an_event_comes_with_the_byte_that_completes_it() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1\r") == []
    assert decoder.feed(b"\n\r") == data("1")  # not only with the LF that may follow
    assert decoder.feed(b"\ndata: [DONE]") == []
    assert decoder.feed(b"\n") == data("[DONE]")
    assert decoder.finish() == []


def test_bytes_that_are_no_utf_8_are_treated_alike_in_short_and_long_events() -> None:
    [short], [long] = decode([b"data: a\xffb\n\n"]), decode([b": c\ndata: a\xffb\n\n"])
    assert short.data.decode("utf-8", "replace") == long.data.decode("utf-8", "replace") == "a\ufffdb"


@pytest.mark.parametrize("body", [b"data: a\xffb\n\n", b"event: e\xff\ndata: a\xffb\n\n", b"event: e\ndata: \xd0\n\n"])
def test_bytes_that_are_no_utf_8_make_no_difference_between_ways_to_arrive(body: bytes) -> None:
    assert decode([b":\n\n", body]) == decode([b":\n\n", body[:-1], body[-1:]]) == decode([body])


def test_the_error_names_the_bound() -> None:
    with pytest.raises(EventTooLargeError, match="an event of the stream is larger than 40 bytes"):
        EventDecoder(LIMIT).feed(b"\n" + b"x" * 41)


SNIPPETS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"data", b"event: e", b"id: \x00", b"retry: 1", b": "),
    *(b"[DONE]", b"data: [DONE]", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xd0\x9f", b"\xff", b"{", b'"', b"x" * 20),
    *(b'{"choices":[{"delta":{"content":"a"}}]}', b'{"status":500,"message":"m"}', b"[" * 300, b"event: error"),
    *(
        b"\n\nevent: e\ndata: ",
        b"event: response.message.done\n",
        b'data: {"messages":[{"content":[{"text":"a"}]}]}\n\n',
    ),
]
BODIES = st.lists(st.sampled_from(SNIPPETS) | st.binary(max_size=8), max_size=20).map(b"".join)


def split(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def after_the_rules(body: bytes) -> list[Event]:
    """Interpret a body as the standard words it, slowly."""
    events: list[Event] = []
    name, lines = "", list[str]()
    for line in re.split("\r\n|\n|\r", body.decode("utf-8", "replace").removeprefix("\ufeff"))[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if lines:
                events.append(Event("" if name == "message" else name, "\n".join(lines).encode()))
            name, lines = "", []
        elif field == "data":
            lines.append(value)
        elif field == "event":
            name = value
    return events


@settings(max_examples=500, deadline=None)
@given(BODIES.filter(lambda body: b"[DONE]" not in body), st.lists(st.integers(0, 1000), max_size=8))
def test_any_body_is_read_after_the_rules(body: bytes, places: list[int]) -> None:
    readable = [event._replace(data=event.data.decode("utf-8", "replace").encode()) for event in decode([body])]
    assert readable == after_the_rules(body)
    pieces = [b":\n\n", *split(body, places)]
    if not body.startswith(b"\xef\xbb\xbf"):
        assert decode(pieces) == decode([body])


@settings(max_examples=500, deadline=None)
@given(BODIES, st.lists(st.integers(0, 1000), max_size=8), st.sampled_from([16, LIMIT, 1 << 20]))
def test_any_body_gives_the_same_events_however_it_is_split(body: bytes, places: list[int], limit: int) -> None:
    assert decode(split(body, places), limit) == decode([body], limit)


@settings(max_examples=2000, deadline=None)
@given(BODIES | st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=8), st.sampled_from([LIMIT, 1 << 20]))
def test_no_body_raises_anything_else(body: bytes, places: list[int], limit: int) -> None:
    """Not in the decoder but `EventTooLargeError`, and the reader returns chunks and errors of ours alone."""
    accumulator = ChatCompletionAccumulator()
    response = ResponseInfo(200, Headers())
    reader = ChunkReader(ChatCompletionChunk, accumulator, RequestInfo("POST", "https://host"), response)
    for event in decode(split(body, places), limit):
        if event is not TOO_LARGE:
            result = reader.read(event)
            assert result is None or isinstance(result, ChatCompletionChunk | GigaChatError)
    assert accumulator.text == "".join(choice.message.content or "" for choice in whole(accumulator))
    assert isinstance(reader.interrupted("cut"), GigaChatError)
    assert isinstance(reader.unreadable("bytes"), GigaChatError)


def whole(accumulator: ChatCompletionAccumulator) -> list[Any]:
    partial = accumulator.partial()
    return [] if partial is None else [choice for choice in partial.choices if choice.index == 0]
