"""What a fault does to an answer: another `Reply`, and what happens to its bytes on the way. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from gigachat_sdk.testing._faults import Fault
from gigachat_sdk.testing._replies import JSON_TYPE, STREAM_TYPE, Reply, content_of

BROKEN_DATA = b'data: {"choices":[\xff\xfe{"delta"\n\n'  # neither JSON nor UTF-8
GARBAGE = b"\x15\x03\x01\xff no HTTP\r\n\r\n"
HEARTBEAT = b": heartbeat\n\n"

Act = Literal["garbage", "cut", "silence", "repeat", "slow", "leftover"]
"""What happens to bytes: others instead of the head, a cut, silence, one piece for ever, small pieces, or a tail that
is more than the content length says."""


@dataclass(frozen=True)
class Bent:
    """An answer with a fault.

    Attributes:
        reply: What is sent.
        act: What happens to its bytes on the way; None for nothing.
        at: After how many bytes of the body; None for before the head.
        data: The bytes that the act sends.
    """

    reply: Reply
    act: Act | None = None
    at: int | None = None
    data: bytes = b""


def instead(fault: Fault) -> Reply:
    """Make the answer that comes instead of carrying a request out."""
    if fault.kind == "revoke_token":
        return Reply.error(401, "Token has expired")
    status = fault.status or 500
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    known = {one.value: one.phrase for one in HTTPStatus}
    reason = known.get(status, "Error")
    if not fault.html:
        return Reply.error(status, reason, headers=headers)
    head, body = f"<head><title>{status} {reason}</title></head>", f"<body><h1>{status} {reason}</h1></body>"
    return Reply(status, body=f"<html>\n{head}\n{body}\n</html>\n", headers={"Content-Type": "text/html", **headers})


def bend(fault: Fault, reply: Reply, *, http2: bool) -> Bent | None:
    """Do a fault to an answer; None where it does not fit.

    Args:
        fault: Any that is done to an answer; a latency is not.
        reply: The answer.
        http2: Whether it goes over HTTP/2, where a content length frames nothing.
    """
    if fault.kind == "wrong_content_length":
        return _wrong_length(fault, reply, http2=http2)
    return _BENDERS[fault.kind](fault, reply)


# ---- what a reply is made of ----


def _header(reply: Reply, name: str) -> str | None:
    found = [value for key, value in (reply.headers or {}).items() if key.lower() == name]
    return found[-1] if found else None


def _with_header(reply: Reply, name: str, value: str) -> Reply:
    others = {key: one for key, one in (reply.headers or {}).items() if key.lower() != name.lower()}
    return replace(reply, headers={**others, name: value})


def _media_type(reply: Reply) -> str:
    given = _header(reply, "content-type") or (JSON_TYPE if reply.json is not None else "")
    return given.partition(";")[0].strip().lower()


def _events(reply: Reply) -> Sequence[bytes]:
    """Give the events of a stream; nothing for other answers."""
    return reply.chunks if reply.chunks is not None and _media_type(reply) == STREAM_TYPE else ()


def _size(reply: Reply) -> int:
    """Say how many bytes the body has."""
    if reply.chunks is None:
        return len(content_of(reply))
    given = _header(reply, "content-length")  # so that a large body need not be read for it
    return int(given) if given is not None and given.isdecimal() else sum(map(len, reply.chunks))


def _room(reply: Reply) -> int:
    """Say after how many bytes at most a body is seen not to be whole; below zero where it never is."""
    events = _events(reply)
    return sum(map(len, events[:-1])) if events else _size(reply) - 1


def _in_pieces(reply: Reply, at: int) -> Reply:
    """Let a body that goes out at one time do so in two: a request is answered when its last piece is sent."""
    if reply.chunks is not None:
        return reply
    content = content_of(reply)
    headers = {"Content-Type": JSON_TYPE} if reply.json is not None else {}
    if _header(reply, "transfer-encoding") is None:
        headers["Content-Length"] = str(len(content))
    given = {name.lower() for name in reply.headers or {}}
    own = {name: value for name, value in headers.items() if name.lower() not in given}
    return replace(
        reply, json=None, body=None, chunks=(content[:at], content[at:]), headers={**own, **(reply.headers or {})}
    )


# ---- the kinds ----


def _slow(fault: Fault, reply: Reply) -> Bent | None:
    size = _size(reply)
    return Bent(_in_pieces(reply, size - 1), "slow", 0) if size else None


def _garbage(fault: Fault, reply: Reply) -> Bent:
    return Bent(reply, "garbage", None, GARBAGE)


def _cut_before_head(fault: Fault, reply: Reply) -> Bent:
    return Bent(reply, "cut", None)


def _cut_in_body(fault: Fault, reply: Reply) -> Bent | None:
    room = _room(reply)
    if room < 0:
        return None
    at = min(_size(reply) // 2 if fault.after_bytes is None else fault.after_bytes, room)
    return Bent(_in_pieces(reply, at), "cut", at)


def _place(fault: Fault, events: Sequence[bytes]) -> int:
    """Say before which event something happens, the last one at the latest."""
    return min(fault.after_events or 0, len(events) - 1)


def _cut_between_events(fault: Fault, reply: Reply) -> Bent | None:
    if not (events := _events(reply)):
        return None
    return Bent(reply, "cut", sum(map(len, events[: _place(fault, events)])))


def _cut_in_event(fault: Fault, reply: Reply) -> Bent | None:
    if not (events := _events(reply)):
        return None
    place = _place(fault, events)
    return Bent(reply, "cut", sum(map(len, events[:place])) + len(events[place]) // 2)


def _silence(fault: Fault, reply: Reply) -> Bent | None:
    bent = _cut_between_events(fault, reply) or _cut_in_body(fault, reply)
    return bent and replace(bent, act="silence")


def _truncate(fault: Fault, reply: Reply) -> Bent | None:
    content = _json_text(reply)
    if not content:
        return None
    at = min(len(content) // 2 if fault.after_bytes is None else fault.after_bytes, len(content) - 1)
    cut = replace(reply, json=None, body=content[:at])
    return Bent(cut if _header(reply, "content-type") else _with_header(cut, "Content-Type", JSON_TYPE))


def _json_text(reply: Reply) -> bytes:
    """Give a JSON object or array, without the white space after it: no part of that is JSON."""
    content = b"" if reply.chunks is not None or "json" not in _media_type(reply) else content_of(reply).strip()
    return content if content.startswith((b"{", b"[")) else b""


def _broken_event(fault: Fault, reply: Reply) -> Bent | None:
    if not (events := _events(reply)):
        return None
    place = _place(fault, events)
    name = events[place].partition(b"data:")[0]  # an `event:` line where there is one
    return Bent(replace(reply, chunks=(*events[:place], name + BROKEN_DATA, *events[place:])))


def _no_end(fault: Fault, reply: Reply) -> Bent | None:
    events = _events(reply)
    return Bent(replace(reply, chunks=tuple(events[:-1]))) if events else None


def _endless(fault: Fault, reply: Reply) -> Bent | None:
    events = _events(reply)
    if len(events) < 2:
        return None
    return Bent(reply, "repeat", len(events[0]), events[0] if fault.kind == "endless_stream" else HEARTBEAT)


def _wrong_length(fault: Fault, reply: Reply, *, http2: bool) -> Bent | None:
    size, off_by = _size(reply), fault.off_by or 0
    if _header(reply, "transfer-encoding") is not None:
        return None
    if off_by < 0:
        room = _room(reply) if _events(reply) else len(_json_text(reply)) - 1
        if room < 0:
            return None
        declared = max(0, min(size + off_by, room))
        act: Act = "leftover"
    else:
        declared, act = size + off_by, "cut"
    at = min(declared, size)
    wrong = _with_header(_in_pieces(reply, at), "Content-Length", str(declared))
    if http2:
        return Bent(wrong)
    return Bent(wrong, act, at, b"".join(wrong.chunks or ())[at:] if act == "leftover" else b"")


_BENDERS: dict[str, Callable[[Fault, Reply], Bent | None]] = {
    "slow_body": _slow,
    "garbage": _garbage,
    "reset_before_head": _cut_before_head,
    "reset_in_body": _cut_in_body,
    "reset_between_events": _cut_between_events,
    "reset_in_event": _cut_in_event,
    "stalled": _silence,
    "truncated_json": _truncate,
    "garbage_event": _broken_event,
    "no_done": _no_end,
    "endless_stream": _endless,
    "endless_comments": _endless,
}
