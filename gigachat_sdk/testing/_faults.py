"""What can go wrong on purpose: `Fault`, its kinds, and when one happens. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal, get_args

from gigachat_sdk.testing._auth import TOKEN_PATH
from gigachat_sdk.testing._state import OAUTH_PATH, check_path, plain_path

FaultKind = Literal[
    "latency",
    "slow_body",
    "status",
    "revoke_token",
    "refuse",
    "reset_before_head",
    "reset_in_body",
    "reset_between_events",
    "reset_in_event",
    "stalled",
    "truncated_json",
    "wrong_content_length",
    "garbage",
    "garbage_event",
    "no_done",
    "endless_stream",
    "endless_comments",
]
"""What a fault does; see `Fault`."""

HowToCut = Literal["reset", "close", "stream"]
"""How a connection is cut: by a TCP reset, by closing it, or by a reset of the one HTTP/2 stream."""

_TOKEN_PATHS = frozenset({OAUTH_PATH, TOKEN_PATH})
_RULE = ("path", "method", "probability", "nth", "every", "times")
_METHOD = re.compile(r"[A-Z]+")


_NEEDED: Any = object()  # for a key without a default
_CUT = {"how": "reset"}
# The keys that a kind takes beside those of its rule, with their defaults.
_KINDS: dict[str, Mapping[str, Any]] = {
    "latency": {"seconds": _NEEDED},
    "slow_body": {"seconds": 0.01, "chunk_size": 64},
    "status": {"status": 500, "retry_after": None, "html": False},
    "revoke_token": {},
    "refuse": {"seconds": None},
    "reset_before_head": _CUT,
    "reset_in_body": {**_CUT, "after_bytes": None},
    "reset_between_events": {**_CUT, "after_events": 1},
    "reset_in_event": {**_CUT, "after_events": 1},
    "stalled": {"seconds": None, "after_events": 1, "after_bytes": None},
    "truncated_json": {"after_bytes": None},
    "wrong_content_length": {"off_by": 16},
    "garbage": {},
    "garbage_event": {"after_events": 1},
    "no_done": {},
    "endless_stream": {"seconds": 0.01},
    "endless_comments": {"seconds": 0.01},
}


@dataclass(frozen=True, repr=False)
class Fault:
    """Something that goes wrong on purpose, and when.

    Whatever a fault does, a client that is written with care notices it and never takes a wrong answer for a right
    one. The kinds, what the client meets, and how it knows:

    - `latency`: the answer begins `seconds` late. Nothing is lost. It comes beside whatever else a request meets.
    - `slow_body`: the body comes in pieces of `chunk_size` bytes (64), `seconds` (0.01) apart, cut anywhere, also
      inside of a character. Nothing is lost.
    - `status`: an error `status` (500) instead of an answer; the request is not carried out. `retry_after` adds the
      header: seconds, or a text sent as it is. `html` makes the page of a proxy out of the JSON body.
    - `revoke_token`: 401, and the token of the request is worth nothing from now on. The request is not carried out.
    - `refuse`: the port refuses connections for `seconds`; without them until `Emulator.clear_faults`. There is no
      request yet, so it takes no path and no method, and its rule counts connections; one without any rule happens
      once, at once. Connections that are open stay.
    - `reset_before_head`: the connection is cut instead of an answer, though the request is carried out.
    - `reset_in_body`: the connection is cut after `after_bytes` of the body (half of it): less came than the content
      length says, or the last chunk never does.
    - `reset_between_events`: an event stream is cut after `after_events` (1). Without its last event it is not whole.
    - `reset_in_event`: the same, in the middle of the next event.
    - `stalled`: silence after `after_events` (1) of an event stream, or after `after_bytes` of any other body (half of
      it), for `seconds`; without them until the client leaves. A timeout ends it.
    - `truncated_json`: a JSON body ends after `after_bytes` (half of it), and its content length says so. What is left
      is no JSON.
    - `wrong_content_length`: the header says `off_by` (16) bytes too many, and the connection closes when the body
      ends; with a number below zero too few. A body that is cut so is no JSON, and a stream lacks its last event; other
      bodies, where nobody could see it, are left alone.
    - `garbage`: bytes that are no HTTP, then the end of the connection.
    - `garbage_event`: after `after_events` (1) of an event stream one more, whose data is no JSON.
    - `no_done`: an event stream ends in good order, without its last event (`[DONE]`, in v2 `response.message.done`).
    - `endless_stream`: the first event of a stream over and over, `seconds` (0.01) apart, until the client leaves; a
      client's limit on the time of a whole call ends it.
    - `endless_comments`: the same with `: heartbeat` comments, which are no events.

    A fault that does not fit an answer, such as `no_done` for one that is no event stream, leaves it alone and waits
    for one that it fits. Where a stream has fewer events than `after_events`, or a body fewer bytes, it comes before
    the last one.

    When: of the requests that match `path` and `method`, whose token is good, and that the fault fits, it meets all,
    or those that `probability`, `nth` or `every` chooses. A request meets one fault (and a latency) at most: the first
    in the order given whose turn it is. Several probabilities exclude each other: 0.1 and 0.05 make 0.15.

    Args:
        kind: What happens.
        path: A path such as `"/v1/models"`, as in `Emulator.reply`; `*` stands for any characters. None for every
            path but the two where tokens are issued; these must be named.
        method: HTTP method; None for any.
        probability: From 0 to 1. What is drawn follows from the seed, the path, the `X-Request-ID`, and how many
            requests there were with these: requests that carry ids meet the same faults in whatever order they come.
        nth: Which of them, the first being 1; with `times` so many, from the n-th on.
        every: Each so many-th of them.
        times: How often at most.
        seconds: See the kinds; zero or more.
        status: HTTP status, 300 to 599.
        retry_after: Seconds, or the whole value of the header.
        html: Whether the body is a proxy's HTML page.
        after_bytes: How much of the body comes before.
        after_events: How many events come before; 0 for none.
        chunk_size: Bytes of a piece.
        off_by: How many bytes the content length is wrong by.
        how: `"reset"` (RST), `"close"` (FIN), or `"stream"` (`RST_STREAM`). Over HTTP/2 the first two end the whole
            connection with all its streams, the third one only this stream; over HTTP/1.1 it is a reset.

    Raises:
        ValueError: An unknown kind, a key that the kind does not take, or a value that makes no sense.
        TypeError: A value of the wrong kind.

    Example:
        >>> Fault("status", status=429, retry_after=1, path="/v1/chat/completions", probability=0.1).status
        429
        >>> str(Fault("reset_between_events", after_events=3, every=5))
        'reset_between_events (how=reset, after_events=3), every 5'
    """

    kind: FaultKind
    _: KW_ONLY
    path: str | None = None
    method: str | None = None
    probability: float | None = None
    nth: int | None = None
    every: int | None = None
    times: int | None = None
    seconds: float | None = None
    status: int | None = None
    retry_after: float | str | None = None
    html: bool | None = None
    after_bytes: int | None = None
    after_events: int | None = None
    chunk_size: int | None = None
    off_by: int | None = None
    how: HowToCut | None = None

    def __post_init__(self) -> None:
        keys = _keys_of(self.kind)
        given = {name: value for name, value in _values(self).items() if value is not None}
        for name, value in given.items():
            if name not in keys and name not in _RULE:
                raise ValueError(f"{name}: {self.kind} does not take it{_who_takes(name, keys)}")
            _check(name, value)
        missing = [name for name, default in keys.items() if default is _NEEDED and name not in given]
        if missing:
            raise ValueError(f"{missing[0]}: {self.kind} needs it")
        _check_rule(self)
        for name, default in keys.items():
            if name not in given:
                object.__setattr__(self, name, default)
        if self.times is None and (self.nth is not None or (self.kind == "refuse" and not self._chooses)):
            object.__setattr__(self, "times", 1)

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in _values(self).items() if value is not None)
        return f"Fault({self.kind!r}{given})"

    def __str__(self) -> str:
        told = {name: getattr(self, name) for name in _KINDS[self.kind]}
        details = ", ".join(
            f"{name}={value}" for name, value in told.items() if value is not None and value is not False
        )
        return f"{self.kind}{f' ({details})' if details else ''}{self._where()}{self._when()}"

    def concerns(self, method: str, path: str) -> bool:
        """Say whether a request matches `method` and `path`."""
        path = plain_path(path)
        if self.method not in (None, method):
            return False
        return path not in _TOKEN_PATHS if self.path is None else _pattern(self.path).fullmatch(path) is not None

    @property
    def _chooses(self) -> bool:
        return any(rule is not None for rule in (self.probability, self.nth, self.every))

    def _where(self) -> str:
        places = " ".join(place for place in (self.method, self.path) if place is not None)
        return f" on {places}" if places else ""

    def _when(self) -> str:
        chosen = {"probability": self.probability, "number": self.nth, "every": self.every}
        rule = "".join(f", {name} {value}" for name, value in chosen.items() if value is not None)
        if self.times is None or (self.times == 1 and self.nth is not None):
            return rule
        return f"{rule}, {self.times} time{'' if self.times == 1 else 's'} at most"


@dataclass(frozen=True)
class FaultRecord:
    """A fault that was done.

    Attributes:
        number: 1 for the first one of the emulator.
        fault: Which one.
        method: HTTP method of the request it met; None for `refuse`, which meets no request.
        path: Path of that request, as sent.
        request: Where that request stands in `Emulator.requests`.
        request_id: Its `X-Request-ID`; None where it had none.

    Example:
        >>> FaultRecord(1, Fault("garbage"), "GET", "/v1/models", 0, None).kind
        'garbage'
    """

    number: int
    fault: Fault
    method: str | None
    path: str | None
    request: int | None
    request_id: str | None

    @property
    def kind(self) -> FaultKind:
        """What was done."""
        return self.fault.kind


def fault_from(table: Mapping[str, object]) -> Fault:
    """Make a fault of a mapping, such as a table of a TOML file.

    Raises:
        ValueError: As `Fault`, or an unknown key.
        TypeError: As `Fault`.
    """
    if "kind" not in table:
        raise ValueError("kind: it is missing")
    names = [field.name for field in fields(Fault)]
    for name in table:
        if name not in names:
            raise ValueError(f"{name}: there is no such key{_advice(name, names)}")
    given: dict[str, Any] = {**table}
    return Fault(**given)


def _values(fault: Fault) -> dict[str, object]:
    return {field.name: getattr(fault, field.name) for field in fields(fault) if field.name != "kind"}


def _advice(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def _keys_of(kind: object) -> Mapping[str, Any]:
    if not isinstance(kind, str):
        raise TypeError(f"kind: expected a text, got {type(kind).__name__}")
    if kind not in _KINDS:
        raise ValueError(f"kind: {kind!r} is none{_advice(kind, list(_KINDS))}")
    return _KINDS[kind]


def _who_takes(name: str, keys: Mapping[str, Any]) -> str:
    others = [other for other, known in _KINDS.items() if name in known]
    own = ", ".join(keys) or "nothing but its rule"
    return f", {', '.join(others)} {'does' if len(others) == 1 else 'do'}; it takes {own}"


_WHOLE = {"nth": 1, "every": 1, "times": 1, "after_bytes": 0, "after_events": 0, "chunk_size": 1}  # and the least


def _check(name: str, value: object) -> None:
    """Check a value by itself."""
    if name == "html":
        _expect(isinstance(value, bool), name, "true or false", value)
    elif name in ("path", "method", "how") or (name == "retry_after" and isinstance(value, str)):
        _expect(isinstance(value, str), name, "a text", value)
        _check_text(name, str(value))
    else:
        whole = name in _WHOLE or name in ("status", "off_by")
        kinds = int if whole else (int, float)
        wanted = "a whole number" if whole else "a number" if name != "retry_after" else "a number or a text"
        _expect(isinstance(value, kinds) and not isinstance(value, bool), name, wanted, value)
        _check_number(name, float(str(value)))


def _expect(fits: bool, name: str, wanted: str, value: object) -> None:
    if not fits:
        raise TypeError(f"{name}: expected {wanted}, got {type(value).__name__}")


def _check_text(name: str, value: str) -> None:
    if name == "path":
        try:
            check_path(value)
        except ValueError as error:
            raise ValueError(f"path: {error}") from None
    if name == "method" and not _METHOD.fullmatch(value):
        raise ValueError(f"method: {value!r} is no HTTP method in capitals, such as 'POST'")
    if name == "how" and value not in get_args(HowToCut):
        raise ValueError(f"how: {value!r} is none; there are {', '.join(get_args(HowToCut))}")
    if name == "retry_after" and not (value.isascii() and value.isprintable()):
        raise ValueError(f"retry_after: {value!r} can't be the value of a header")


def _check_number(name: str, value: float) -> None:
    bounds = {
        "probability": (0, 1),
        "status": (300, 599),
        **{key: (least, math.inf) for key, least in _WHOLE.items()},
        "off_by": (-math.inf, math.inf),
    }
    least, most = bounds.get(name, (0, math.inf))
    if not least <= value <= most or (not math.isfinite(value)):
        upto = f"from {least} to {most}" if most != math.inf else f"{least} or more"
        raise ValueError(f"{name}: expected {upto}, got {value:g}")
    if name == "off_by" and not value:
        raise ValueError("off_by: 0 would be the right content length")


def _check_rule(fault: Fault) -> None:
    chosen = [name for name in ("probability", "nth", "every") if getattr(fault, name) is not None]
    if len(chosen) > 1:
        raise ValueError(f"{chosen[1]}: {chosen[0]} chooses already; give one of the two")
    if fault.kind == "revoke_token" and fault.path is not None and plain_path(fault.path) in _TOKEN_PATHS:
        raise ValueError(f"path: at {fault.path} there is no token yet that could be revoked")
    if fault.kind == "refuse":
        for name in ("path", "method"):
            if getattr(fault, name) is not None:
                raise ValueError(f"{name}: refuse takes none: who is refused has not sent a request yet")
        is_once = fault.probability is None and fault.every is None and fault.times in (None, 1)
        if fault.seconds is None and not is_once:
            raise ValueError("seconds: refuse needs it here, or the first time would last for ever")


@lru_cache(maxsize=256)
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in plain_path(path).split("*")), re.DOTALL)
