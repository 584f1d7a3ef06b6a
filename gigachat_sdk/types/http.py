"""Small scrubbed records of a request and its response: what errors and answers remember of HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .._constants import HIDDEN, SECRET_HEADERS
from ._narrow import is_mapping

_SECRET_QUERY_WORDS = ("token", "secret", "password", "credential", "key", "auth", "signature")


class Headers(Mapping[str, str]):
    """Header fields of a message, looked up without case; values of secret fields are hidden.

    Repeated fields are joined with a comma (RFC 9110, section 5.3).

    Example:
        >>> Headers([("X-Request-Id", "1"), ("Authorization", "Bearer abc")])
        Headers({'x-request-id': '1', 'authorization': '[hidden]'})
    """

    __slots__ = ("_fields", "_raw")

    def __init__(self, raw: Iterable[tuple[str | bytes, str | bytes]] | Mapping[str, str] = ()) -> None:
        # Folding the fields costs more than parsing a short answer, so it waits until somebody looks.
        self._raw: Iterable[tuple[str | bytes, str | bytes]] | None
        self._raw = list(raw.items()) if is_mapping(raw) else raw  # type: ignore[assignment]  # what is left is pairs
        self._fields: dict[str, str] = {}

    def _folded(self) -> dict[str, str]:
        raw = self._raw
        if raw is not None:
            fields: dict[str, str] = {}
            for raw_name, raw_value in raw:
                name = _text(raw_name).lower()
                value = HIDDEN if name in SECRET_HEADERS else _text(raw_value)
                if name == "location":
                    value = scrub_url(value)
                fields[name] = f"{fields[name]}, {value}" if name in fields and value != HIDDEN else value
            self._fields, self._raw = fields, None
        return self._fields

    def __getitem__(self, name: str) -> str:
        return self._folded()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folded())

    def __len__(self) -> int:
        return len(self._folded())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._folded()

    def __repr__(self) -> str:
        return f"Headers({self._folded()!r})"

    def __eq__(self, other: object) -> bool:
        return self._folded() == (other._folded() if isinstance(other, Headers) else other)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._folded().items())))

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        return Headers, (self._folded(),)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def sounds_secret(name: str) -> bool:
    """Say whether the name of a parameter or header lets one expect a secret."""
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_QUERY_WORDS)


def scrub_url(url: str) -> str:
    """Return `url` without user info, and with the values of query parameters that sound secret hidden.

    Example:
        >>> scrub_url("https://me:pw@host/path?api_key=1&page=2")
        'https://host/path?api_key=%5Bhidden%5D&page=2'
    """
    if "@" not in url and "?" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN  # no address: nobody can say what in it is secret
    query = urlencode(
        [
            (name, HIDDEN if sounds_secret(name) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


@dataclass(frozen=True)
class RequestInfo:
    """The request that an error speaks of.

    Attributes:
        method: `"GET"`, `"POST"`, ...
        url: The address, without user info and with secret query values hidden.
        headers: What was sent, secret values hidden.
    """

    method: str
    url: str
    headers: Headers = field(default_factory=Headers)


@dataclass(frozen=True)
class ResponseInfo:
    """The facts of an exchange, on every answer (`.response`) and on errors that came with one.

    Attributes:
        status_code: The HTTP status.
        headers: The header fields of the answer, looked up without case.
        elapsed: Seconds from the start of the last attempt to its head (a stream) or to the end of its body.
        retries_taken: How many times the request was sent again before this answer; 0 for the first attempt.
        http_version: `"HTTP/1.1"` or `"HTTP/2"`.
        sent_client_id: The `X-Client-ID` that was sent; None where none was.
    """

    status_code: int
    headers: Headers
    elapsed: float = 0.0
    retries_taken: int = 0
    http_version: str = "HTTP/1.1"
    sent_client_id: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status, under the name the service itself uses for it."""
        return self.status_code

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer; None where there was none."""
        return self.headers.get("x-request-id")

    @property
    def session_id(self) -> str | None:
        """The `x-session-id` of the answer; the service makes one where none was sent."""
        return self.headers.get("x-session-id")

    @property
    def client_id(self) -> str | None:
        """The `X-Client-ID` of the exchange: what the answer says, else what was sent; None where there was none."""
        return self.headers.get("x-client-id", self.sent_client_id)


@dataclass(frozen=True)
class RetryInfo:
    """What `on_retry` is told before a request is sent again.

    Attributes:
        number: 1 for the first retry.
        delay: Seconds until it is sent.
        error: Why, an `APIError`; it is raised only if no retry helps.
        request: What was sent.
        response: The answer; None where none came.
    """

    number: int
    delay: float
    error: Exception
    request: RequestInfo | None
    response: ResponseInfo | None
