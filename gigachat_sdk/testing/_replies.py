"""What the emulator answers: `Reply`, the JSON style of the service, and the way of a reply onto the wire."""

import json as _json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.types import Send
from typing_extensions import Self

JSON_TYPE = "application/json; charset=utf-8"
STREAM_TYPE = "text/event-stream"


def to_json(value: object) -> str:
    """Write JSON as the service does: compact, Cyrillic as it is."""
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_event(data: object, name: str | None = None) -> bytes:
    """Write one server-sent event, named or not; a str goes as it is, anything else as JSON."""
    text = data if isinstance(data, str) else to_json(data)
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


@dataclass(frozen=True)
class Reply:
    r"""One answer of the emulator, to be given to `Emulator.reply` or returned by a handler.

    At most one of `json`, `body` and `chunks` is given; none of them means an empty body. Bodies and headers go out
    as given. Beside them the emulator sets `Content-Length` (unless the body comes in chunks), the content type of a
    `json` body, and on API paths `X-Request-Id` and `X-Session-Id`.

    Attributes:
        status: HTTP status code.
        json: A value sent as compact JSON. For a JSON `null` use `body="null"`.
        body: Bytes, or a str sent in UTF-8. No content type is added.
        headers: Response headers. They replace the emulator's own ones of the same name in any case; None as a
            value leaves such a header out.
        chunks: Pieces sent as separate writes, with no content length. Pieces that stop before `data: [DONE]` make
            a cut event stream.
        delay: Seconds before the head is sent.
        chunk_delay: Seconds between two chunks.

    Raises:
        ValueError: Two bodies were given, a status of other than three digits, or a negative delay.
        TypeError: The status is no whole number.

    Example:
        >>> Reply(status=502, body="<html>Bad Gateway</html>", headers={"Content-Type": "text/html"}).status
        502
        >>> Reply.error(429, "Too many requests").body
        '{"status":429,"message":"Too many requests"}\n'
    """

    status: int = 200
    json: Any = None
    body: bytes | str | None = None
    headers: Mapping[str, str | None] | None = None
    chunks: Sequence[bytes] | None = None
    delay: float = 0.0
    chunk_delay: float = 0.0

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.json, self.body, self.chunks)) > 1:
            raise ValueError("a Reply takes one of json, body and chunks")
        status: object = self.status
        if isinstance(status, bool) or not isinstance(status, int):
            raise TypeError(f"the status of a Reply is a whole number, got {type(status).__name__}")
        if not 100 <= status <= 999:
            raise ValueError("the status of a Reply has three digits")
        if self.delay < 0 or self.chunk_delay < 0:
            raise ValueError("the delays of a Reply are seconds, zero or more")

    @classmethod
    def error(
        cls, status: int, message: str, *, headers: Mapping[str, str | None] | None = None, delay: float = 0.0
    ) -> Self:
        """Make an error of the API: `{"status": ..., "message": ...}` and a newline.

        Args:
            status: HTTP status code, repeated in the body.
            message: The text for the user.
            headers: Further headers, such as `{"Retry-After": "1"}`.
            delay: Seconds before the head is sent.

        Example:
            >>> Reply.error(404, "No such model").status
            404
        """
        body = to_json({"status": status, "message": message}) + "\n"
        return cls(status, body=body, headers={"Content-Type": JSON_TYPE, **(headers or {})}, delay=delay)

    @classmethod
    def sse(
        cls,
        events: Iterable[object],
        *,
        done: bool = True,
        headers: Mapping[str, str | None] | None = None,
        delay: float = 0.0,
        chunk_delay: float = 0.0,
    ) -> Self:
        r"""Make an event stream of unnamed events, each written on its own.

        Args:
            events: The data of the events: a str goes out as it is (without line ends in it), anything else as JSON.
            done: Whether `data: [DONE]` ends the stream; False makes a stream that is cut.
            headers: Further headers.
            delay: Seconds before the head is sent.
            chunk_delay: Seconds between two events.

        Example:
            >>> Reply.sse([{"choices": []}]).chunks
            (b'data: {"choices":[]}\n\n', b'data: [DONE]\n\n')
        """
        chunks = [to_event(event) for event in events]
        if done:
            chunks.append(to_event("[DONE]"))
        return cls(
            headers={"Content-Type": STREAM_TYPE, **(headers or {})},
            chunks=tuple(chunks),
            delay=delay,
            chunk_delay=chunk_delay,
        )

    @classmethod
    def named_sse(
        cls,
        events: Iterable[tuple[str, object]],
        *,
        headers: Mapping[str, str | None] | None = None,
        delay: float = 0.0,
        chunk_delay: float = 0.0,
    ) -> Self:
        r"""Make an event stream of named events, as v2 sends them; `[DONE]` does not end it.

        Args:
            events: Names and data of the events; the data goes out as in `sse`. A stream of v2 that is whole ends
                with `response.message.done`; one without it is cut.
            headers: Further headers.
            delay: Seconds before the head is sent.
            chunk_delay: Seconds between two events.

        Example:
            >>> Reply.named_sse([("response.message.done", {"finish_reason": "stop"})]).chunks
            (b'event: response.message.done\ndata: {"finish_reason":"stop"}\n\n',)
        """
        return cls(
            headers={"Content-Type": STREAM_TYPE, **(headers or {})},
            chunks=tuple(to_event(data, name) for name, data in events),
            delay=delay,
            chunk_delay=chunk_delay,
        )


def check_json(reply: Reply) -> None:
    """Refuse, where a test gives it, a reply whose `json` cannot be written.

    Raises:
        TypeError: It cannot.
    """
    try:
        to_json(reply.json)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the json of a Reply is no JSON: {error}") from None


def content_of(reply: Reply) -> bytes:
    """Give the body of a reply that does not come in chunks."""
    if reply.json is not None:
        return to_json(reply.json).encode("utf-8", "replace")
    return reply.body.encode("utf-8", "replace") if isinstance(reply.body, str) else reply.body or b""


def _head(reply: Reply, added: Mapping[str, str], length: int | None) -> Iterator[tuple[str, str]]:
    given = reply.headers or {}
    names = {name.lower() for name in given}
    own = dict(added)
    if reply.json is not None:
        own["Content-Type"] = JSON_TYPE
    if length is not None and "transfer-encoding" not in names:
        own["Content-Length"] = str(length)
    yield from ((name, value) for name, value in own.items() if name.lower() not in names)
    yield from ((name, value) for name, value in given.items() if value is not None)


async def send_reply(
    reply: Reply, send: Send, added: Mapping[str, str], *, lower: bool, ending: Callable[[], None]
) -> None:
    """Write a reply to an ASGI server.

    Args:
        reply: The reply.
        send: The server's `send`.
        added: Headers that go beside the reply's own ones.
        lower: Whether header names must be in lower case (HTTP/2).
        ending: Called right before the last piece is written, so that it has happened when a client has the whole.
    """
    await anyio.sleep(reply.delay)
    content = content_of(reply)
    head = _head(reply, added, len(content) if reply.chunks is None else None)
    headers = [((name.lower() if lower else name).encode(), value.encode("latin-1")) for name, value in head]
    chunks = reply.chunks or ()
    if not chunks:
        ending()
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    for number, chunk in enumerate(chunks, 1):
        if number > 1:
            await anyio.sleep(reply.chunk_delay)
        if number == len(chunks):
            ending()
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": content, "more_body": False})
