"""Bytes of an event stream to events, after WHATWG's rules and what servers really send. No I/O.

Lines end at LF, CR or CRLF and nowhere else: U+2028, U+2029 and U+0085 are text. Any split of the same bytes gives the
same events. A block that is one `data:` line, which is nearly all of them, is read here; other blocks go through
`httpx_sse`, corrected in one point: a block without any `data` line is no event.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from httpx_sse._decoders import SSEDecoder

from ._constants import MAX_EVENT_BYTES

DONE = b"[DONE]"
_DONE_LINES = frozenset({b"data: [DONE]", b"data:[DONE]"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event of a stream.

    Attributes:
        name: From its `event:` line; empty where it has none.
        data: Its `data:` lines, joined by LF, in UTF-8.
    """

    name: str
    data: bytes


_new_tuple: Any = tuple
_event: Callable[[type[Event], tuple[str, bytes]], Event] = _new_tuple.__new__  # a third of the constructor's cost


class EventTooLargeError(ValueError):
    """An event is larger than the bound (internal; users see a `StreamError`)."""


class EventDecoder:
    r"""Takes the bytes of a stream in any pieces, and gives its events.

    Example:
        >>> decoder = EventDecoder()
        >>> decoder.feed(b"data: 1"), decoder.feed(b"\n\ndata: [DONE]\n")
        ([], [Event(name='', data=b'1'), Event(name='', data=b'[DONE]')])
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._fields = SSEDecoder()
        self._tail: list[bytes] = []  # pieces of a line that has not ended yet
        self._tail_size = 0
        self._block: list[bytes] = []  # lines of an event that has not ended yet
        self._block_size = 0
        self._has_data = False  # whether one of them is a `data` line
        self._is_first_line = True
        self._skips_line_feed = False  # the last piece ended in CR: an LF that follows belongs to it

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes.

        Raises:
            EventTooLargeError: An event is over the bound; those before it have been returned.
        """
        events: list[Event] = []
        if not (self._tail or self._block_size or self._is_first_line or self._skips_line_feed or b"\r" in piece):
            piece = self._take_simple(piece, events)
            if not piece:
                return events
        self._check()
        if self._skips_line_feed and piece:
            self._skips_line_feed = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        lines = piece.splitlines()
        if not lines:
            return events
        is_ended = piece[-1] in b"\r\n"
        if is_ended or len(lines) > 1:
            if self._tail:
                lines[0] = b"".join((*self._tail, lines[0]))
                self._tail.clear()
                self._tail_size = 0
            self._skips_line_feed = piece[-1] == 13
        if not is_ended:
            unfinished = lines.pop()
            self._tail.append(unfinished)
            self._tail_size += len(unfinished)
        for line in lines:
            event = self._take(line)
            if event is not None:
                events.append(event)
            if self._block_size > self._limit:
                break
        if not events:
            self._check()
        return events

    def finish(self) -> list[Event]:
        """Return what the end of the body completes: a `[DONE]` whose line has no end. An open event is dropped.

        Raises:
            EventTooLargeError: The last event is over the bound.
        """
        self._check()
        line = b"".join(self._tail)
        self._tail.clear()
        if self._is_first_line:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        return [Event("", DONE)] if line in _DONE_LINES and not self._has_data else []

    def _check(self) -> None:
        mark = len(_BYTE_ORDER_MARK) if self._is_first_line else 0  # it may still stand at the beginning
        if self._tail_size + self._block_size > self._limit + mark:
            raise EventTooLargeError(f"an event of the stream is larger than {self._limit} bytes")

    def _take_simple(self, piece: bytes, events: list[Event]) -> bytes:
        """Take whole events of one `data:` line each, nearly all there are; return what is left for the full rules.

        One `event:` line may stand before it, as in every event of the v2 contract.
        """
        start = 0
        while (end := piece.find(b"\n\n", start)) >= 0:
            data = piece.find(b"\n", start) + 1 if piece.startswith(b"event: ", start) else start
            is_simple = piece.startswith(b"data: ", data) and piece.find(b"\n", data, end) < 0
            if not is_simple or end - start > self._limit:
                break
            name = "" if data == start else _name(piece[start + 7 : data - 1].decode("utf-8", "replace"))
            events.append(_event(Event, (name, piece[data + 6 : end])))
            start = end + 2
        return piece[start:]

    def _take(self, line: bytes) -> Event | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line:
            self._block_size += len(line)
            if line in _DONE_LINES and not self._has_data and self._block_size <= self._limit:
                self._block, self._block_size = [], 0
                return Event("", DONE)
            if not line.startswith(b":"):
                self._block.append(line)
                self._has_data = self._has_data or line.partition(b":")[0] == b"data"
            return None
        block, has_data = self._block, self._has_data
        self._block, self._block_size, self._has_data = [], 0, False
        if len(block) == 1 and block[0].startswith(b"data:"):
            data = block[0][6 if block[0].startswith(b"data: ") else 5 :]
            return Event("", data)
        if len(block) == 2 and block[0].startswith(b"event: ") and block[1].startswith(b"data: "):
            return Event(_name(block[0][7:].decode("utf-8", "replace")), block[1][6:])
        return self._decode(block) if has_data else None

    def _decode(self, block: list[bytes]) -> Event:
        for line in block:
            self._fields.decode(line.decode("utf-8", "replace"))
        event: Any = self._fields.decode("")  # there is one: the block has data
        return Event(_name(event.event), event.data.encode())


def _name(given: str) -> str:
    """Return an event's name; "message" stands for none."""
    return "" if given == "message" else given
