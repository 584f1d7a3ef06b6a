"""What a client is built from, written once: `TypedDict`s taken by `Client(...)` and `with_options(...)`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping
from os import PathLike
from typing import Literal, TypeAlias

from pydantic import SecretStr
from typing_extensions import TypedDict

from .http import RetryInfo
from .models import KnownModel
from .request_options import ContextOptions, QueryValue, TimeoutTypes
from .tokens import AccessToken

PathType: TypeAlias = str | PathLike[str]


class ConnectionOptions(TypedDict, total=False):
    """How to connect."""

    verify_ssl_certs: bool | None
    """Whether certificates and host names are checked; True. False means False, whatever else is given."""
    ca_bundle_file: PathType | None
    """PEM file of further root certificates; it adds to the usual ones and to the bundled Russian root."""
    cert_file: PathType | None
    """PEM file of a client certificate (mutual TLS)."""
    key_file: PathType | None
    """PEM file of its key, where `cert_file` does not hold it."""
    key_file_password: str | SecretStr | None
    """Password of the key."""
    ssl_context: ssl.SSLContext | None
    """A ready TLS context, used as it is; the bundled root is not added to it."""
    proxy: str | None
    """Address of a proxy: `http://`, `https://` or `socks5://`; without it the environment's usual variables count."""
    http2: bool | Literal["auto"] | None
    """Whether to speak HTTP/2; `"auto"`, the default, speaks HTTP/1.1 except where HTTP/2 is known to serve better."""
    timeout: TimeoutTypes
    """Seconds for each phase, an `httpx.Timeout`, or None for no limit; 120, and 10 to connect."""
    max_retries: int | None
    """How often a failed request is sent again; 2."""
    retry_statuses: Collection[int] | None
    """HTTP statuses after which a request is sent again; 408, 409, 429 and 5xx."""
    retry_lost: bool | None
    """Whether a chat request is sent again when its answer was lost on the way (it may be billed twice); True."""
    deadline: float | None
    """Seconds for each whole call, everything included: token, waits, retries, the body or the stream to its end; no
    limit."""


CONNECTION_NAMES = frozenset(ConnectionOptions.__annotations__)


class BaseClientOptions(ConnectionOptions, ContextOptions, total=False):
    """What sync and async clients have in common."""

    access_token: str | SecretStr | AccessToken | None
    """A ready access token; `credentials` or `user` beside it renew it after a 401."""
    credentials: str | SecretStr | None
    """The authorization key of your account: base64 of `client_id:client_secret`, as it was issued."""
    scope: str | None
    """`"GIGACHAT_API_PERS"` (individuals, the default), `"GIGACHAT_API_B2B"` or `"GIGACHAT_API_CORP"` (companies)."""
    user: str | None
    """User name, with `password`, for hosts that support it."""
    password: str | SecretStr | None
    """See `user`."""
    base_url: str | None
    """Address of the API, up to and including the version; `"https://api.giga.chat/v1"`."""
    base_url_v2: str | None
    """Address of the v2 contract; without it `base_url` with its version replaced (`.../v1` gives `.../v2`)."""
    auth_url: str | None
    """Address of the token endpoint; `"https://ngw.devices.sberbank.ru:9443/api/v2/oauth"`."""
    model: KnownModel | str | None
    """The model of calls that name none; `"GigaChat"`."""
    max_concurrency: int | None
    """How many requests of this client may be in flight at a time, the others waiting in line; no limit. The service
    lets an individual have 1 and a company 10 over all of an account's programs, and answers the rest with 429."""
    default_headers: Mapping[str, str | None] | None
    """Header fields of every API request; they win over the SDK's own, and None takes a field away."""
    default_query: Mapping[str, QueryValue] | None
    """Query parameters of every API request."""
    on_retry: Callable[[RetryInfo], object] | None
    """Called before a request is sent again; on an `AsyncClient` it may be a coroutine function."""
    max_event_bytes: int | None
    """The largest event of a stream, in bytes; 8 MiB. A larger one is a `StreamError`."""
    allow_pickle_secrets: bool | None
    """Whether a client built with explicit secrets may be pickled, secrets included; False."""
