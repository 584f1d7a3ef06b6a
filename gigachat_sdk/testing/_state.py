"""What the emulator knows: its settings, the requests it got, tokens, scripted replies, requests in flight.

The test's threads and the server's thread meet here and nowhere else, so everything is under one lock.
"""

import inspect
import json
import secrets
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

from gigachat_sdk.testing._blobs import Blob, Content, Spool
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.types._narrow import is_dict, is_sequence

PartT = TypeVar("PartT")

OAUTH_PATH = "/api/v2/oauth"
_JWE_HEADER = "eyJjdHkiOiJqd3QiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIiwiYWxnIjoiUlNBLU9BRVAtMjU2In0"
_TOKEN_PARTS = (256, 12, 560, 24)  # random bytes per part; 1.2 kB in all, as recorded


def plain_path(path: str) -> str:
    """Give the path of an API call without the `/api` that the former host has before it."""
    return path.removeprefix("/api") if path.startswith(("/api/v1/", "/api/v2/chat/")) else path


def check_path(path: str) -> None:
    """Refuse a path that no request of a client could have, such as one without its version.

    Raises:
        ValueError: It is such a path.
    """
    if not path.startswith(("/v1/", "/v2/", "/api/")):
        raise ValueError(f"{path!r} is no whole path; write it with its version, such as '/v1/chat/completions'")


@dataclass(frozen=True)
class RecordedRequest:
    """A request that the emulator got.

    Attributes:
        method: HTTP method.
        path: Path as sent, without the query.
        query: Query string as sent, without the question mark.
        headers: Headers with names in lower case; repeated ones are joined by a comma.
        content: The body as it is kept: bytes, or what reads a large one from disk. Use `body`.
        http_version: `"1.1"` or `"2"`.
        status: Status of the answer; None while there is none yet.
        received_at: Unix time in seconds by the emulator's clock.

    Example:
        >>> RecordedRequest("POST", "/v1/x", "a=1", {}, b'{"b": 2}', "1.1", 200, 0.0).json()
        {'b': 2}
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: Content
    http_version: str
    status: int | None
    received_at: float

    @property
    def body(self) -> bytes:
        """The body; empty when it was refused for its size. A large one is read from disk each time."""
        return Blob.of(self.content).read()

    @property
    def params(self) -> dict[str, str]:
        """The decoded query; of a repeated name the last value."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def json(self) -> Any:
        """Parse the body as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)


Handler = Callable[[RecordedRequest], Reply | None]
"""A function that may answer a request: a reply, or None for the normal behaviour."""

Answer = str | dict[str, Any]
"""What chat says: a text, or an assistant message of v1 or v2."""

AnswerSource = Answer | Callable[[dict[str, Any]], Answer]
"""What chat says always, or a function of the request's JSON."""

_SAYING = ("content", "function_call", "reasoning_content", "finish_reason")


def check_function(name: str, given: object) -> None:
    """Refuse what the server's thread cannot call.

    Raises:
        TypeError: It is no plain function.
    """
    if not callable(given) or inspect.iscoroutinefunction(given):
        kind = "a coroutine function" if callable(given) else type(given).__name__
        raise TypeError(f"{name}: expected a plain function, got {kind}")


def check_answer(given: object) -> None:
    """Refuse what chat cannot say; an answer of the wrong shape would look like one that is empty.

    Raises:
        ValueError: It is a message without anything in it that is said.
        TypeError: It is no text and no message, or one with a member of the wrong kind.
    """
    if isinstance(given, str):
        return
    if not is_dict(given):
        raise TypeError(f"expected a text, a message as a dict, or a function, got {type(given).__name__}")
    if not given.keys() & set(_SAYING):
        raise ValueError(f"a message has one of {', '.join(_SAYING)}; this one has {', '.join(map(repr, given))}")
    content: object = given.get("content")
    is_parts = is_sequence(content) and not isinstance(content, tuple) and all(map(is_dict, content))
    if not (content is None or isinstance(content, str) or is_parts):
        raise TypeError(f"content: expected a text or a list of parts as dicts, got {type(content).__name__}")
    call: object = given.get("function_call")
    if call is not None and not is_dict(call):
        raise TypeError(f"function_call: expected a dict, got {type(call).__name__}")


Plan = Literal["prepaid", "pay_as_you_go"]
"""How an account pays: for packages of tokens in advance, or for what it has used."""


@dataclass(frozen=True)
class Settings:
    """The constructor's arguments that shape behaviour; see `Emulator`."""

    credentials: str
    scope: str
    user: str
    password: str
    token_lifetime: float
    oauth_delay: float
    concurrency: int | None
    limits: bool
    plan: Plan | None
    mutual_tls: bool
    clock: Callable[[], float]


@dataclass(frozen=True)
class IssuedToken:
    """A token and its end, in Unix seconds."""

    value: str
    expires_at: float

    @property
    def expires_at_ms(self) -> int:
        """The end in Unix milliseconds, as the wire has it."""
        return int(self.expires_at * 1000)


class State:
    """The emulator's memory, safe to use from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.spool = Spool()  # for everything large
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []
        self._tokens: dict[str, float] = {}
        self._scripted: defaultdict[tuple[str, str], deque[Reply]] = defaultdict(deque)
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._answer: AnswerSource | None = None
        self._in_flight = 0
        self._max_in_flight = 0
        self._parts: dict[type[Any], Any] = {}

    def part(self, kind: type[PartT]) -> PartT:
        """Give the one object of a class that keeps what a group of endpoints remembers; made when first asked for.

        Args:
            kind: A class that takes no arguments. Endpoints run on the server's thread alone, so it needs no lock.
        """
        with self._lock:
            found: PartT | None = self._parts.get(kind)
            if found is None:
                found = self._parts[kind] = kind()
            return found

    # ---- requests ----

    def record(self, request: RecordedRequest) -> int:
        """Keep a request and give its number."""
        with self._lock:
            self._requests.append(request)
            return len(self._requests) - 1

    def answered(self, number: int, status: int) -> None:
        """Note the status with which a request was answered."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], status=status)

    def requests(self, path: str | None = None) -> list[RecordedRequest]:
        """Give the requests so far, or those to one path."""
        with self._lock:
            found = list(self._requests)
        return found if path is None else [one for one in found if plain_path(one.path) == plain_path(path)]

    # ---- tokens ----

    def issue_token(self) -> IssuedToken:
        """Make a new valid token."""
        value = ".".join([_JWE_HEADER, *(secrets.token_urlsafe(size) for size in _TOKEN_PARTS)])
        token = IssuedToken(value, self.settings.clock() + self.settings.token_lifetime)
        with self._lock:
            self._tokens[value] = token.expires_at
        return token

    def revoke_tokens(self) -> None:
        """End all tokens issued so far."""
        with self._lock:
            self._tokens = dict.fromkeys(self._tokens, float("-inf"))

    def revoke_token(self, value: str) -> None:
        """End one token."""
        with self._lock:
            self._tokens[value] = float("-inf")

    def judge_token(self, value: str) -> Literal["valid", "expired", "unknown"]:
        """Say what a token is worth now."""
        with self._lock:
            expires_at = self._tokens.get(value)
        if expires_at is None:
            return "unknown"
        return "valid" if self.settings.clock() < expires_at else "expired"

    # ---- scripts ----

    def script(self, method: str, path: str, replies: Iterable[Reply]) -> None:
        """Queue replies for a path."""
        with self._lock:
            self._scripted[method.upper(), plain_path(path)].extend(replies)

    def handle(self, method: str, path: str, handler: Handler | None) -> None:
        """Set or remove the handler of a path."""
        key = method.upper(), plain_path(path)
        with self._lock:
            if handler is None:
                self._handlers.pop(key, None)
            else:
                self._handlers[key] = handler

    def scripted(self, request: RecordedRequest) -> Reply | None:
        """Take the next queued reply to a request, else what its handler says."""
        key = request.method, plain_path(request.path)
        with self._lock:
            queue = self._scripted.get(key)
            if queue:
                return queue.popleft()
            handler = self._handlers.get(key)
        return handler(request) if handler else None

    @property
    def answer(self) -> AnswerSource | None:
        """What chat was told to say."""
        return self._answer

    @answer.setter
    def answer(self, source: AnswerSource | None) -> None:
        self._answer = source

    # ---- requests in flight ----

    @property
    def in_flight(self) -> int:
        """How many limited requests are being answered."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int:
        """The most limited requests that wanted to be answered at one time, refused ones included."""
        return self._max_in_flight

    def admit(self) -> Callable[[], None] | None:
        """Take a place among the requests in flight.

        Returns:
            A function that gives the place back, harmless when called again; None when no place is free.
        """
        limit = self.settings.concurrency
        with self._lock:
            wanted = self._in_flight + 1
            self._max_in_flight = max(self._max_in_flight, wanted)
            if limit is not None and wanted > limit:
                return None
            self._in_flight = wanted
        held = [True]

        def leave() -> None:
            with self._lock:
                if held:
                    held.pop()
                    self._in_flight -= 1

        return leave
