"""The long runs, by hand: `make soak`."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigachat_sdk import GigaChatError
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._accumulate_v2 import ChatCompletionV2Accumulator
from gigachat_sdk._events import EventDecoder, EventTooLargeError
from gigachat_sdk._response import ChunkReader
from gigachat_sdk._response_v2 import EventReader
from gigachat_sdk.errors import StreamError, status_error
from gigachat_sdk.types import ChatCompletionChunk, Headers, RequestInfo, ResponseInfo, v2

pytestmark = pytest.mark.soak

TEXTS = [
    'data: ', 'data:', 'event: error', 'event: ', 'event: response.message.delta', 'event: response.message.done',
    'id: 1', ': ping', '[DONE]', '{"choices":[]}', '{"status":429}', '{"choices":[{"delta":{"content":"П"}}]}',
    '{"messages":[{"content":[{"text":"П"}]}]}', '\n', '\n\n', '\r', '\r\n', '\u2028', '\ufeff',
]  # fmt: skip
LINES = st.sampled_from([text.encode() for text in TEXTS])
BODIES = st.lists(st.one_of(LINES, st.binary(max_size=12)), max_size=20).map(b"".join)
LONG = settings(max_examples=200_000, deadline=None, suppress_health_check=list(HealthCheck))


def decode(pieces: list[bytes]) -> list[object]:
    decoder = EventDecoder(64)
    events: list[object] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except EventTooLargeError:
        events.append("too large")
    return events


@LONG
@given(body=BODIES, cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=6))
def test_any_body_in_any_pieces_gives_the_same_events_and_no_strange_error(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    events = decode([body])
    assert events == decode([body[start:end] for start, end in pairwise(places)])
    request, response = RequestInfo("POST", "u"), ResponseInfo(200, Headers())
    first = ChunkReader(ChatCompletionChunk, ChatCompletionAccumulator(), request, response)
    second = EventReader(v2.ChatCompletionChunk, ChatCompletionV2Accumulator(), request, response)
    for event in events:
        if isinstance(event, tuple):
            for result in (first.read(event), second.read(event)):
                assert result is None or isinstance(result, ChatCompletionChunk | v2.ChatCompletionChunk | StreamError)


@LONG
@given(body=st.binary(max_size=60), kind=st.sampled_from(["application/json", "text/html", ""]))
def test_any_error_body_becomes_an_error_of_ours(body: bytes, kind: str) -> None:
    error = status_error(RequestInfo("POST", "u"), ResponseInfo(500, Headers({"Content-Type": kind})), body)
    assert isinstance(error, GigaChatError)
    assert str(error)
