"""From arguments and the environment to one frozen configuration; everything that can be told early is told here."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from ._constants import (
    DEFAULT_AUTH_URL,
    DEFAULT_BASE_URL,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_MODEL,
    DEFAULT_SCOPE,
    DEFAULT_TIMEOUT,
    LONGEST_TIME,
    MAX_EVENT_BYTES,
)
from ._headers import check_headers, check_query
from ._quota import EVERY_MODEL, check_limits
from ._request import check_function, context_headers
from ._retry import RetryPolicy
from ._settings import IDENTITY, Arguments, Environment, Settings
from ._tls import TLSConfig
from ._token import check_credentials, check_header_value
from .errors import ConfigurationError, ConfigurationTypeError, MissingCredentialsError
from .types._narrow import is_sequence
from .types._shown import shown, shown_number
from .types.http import scrub_url
from .types.request_options import ContextOptions
from .types.tokens import AccessToken

_HTTP_PARTS = (
    "verify_ssl_certs",
    "ca_bundle_file",
    "cert_file",
    "key_file",
    "key_file_password",
    "ssl_context",
    "proxy",
    "http2",
)
_LIMITING = ("acquire", "aacquire")
_STORING = ("get", "set", "delete", "lock", "aget", "aset", "adelete", "alock")
Timeout = httpx.Timeout
_DEFAULT_TIMEOUT = httpx.Timeout(DEFAULT_TIMEOUT, connect=DEFAULT_CONNECT_TIMEOUT)


@dataclass(frozen=True)
class AuthConfig:
    """Who you are: exactly one way, in the order of the contract.

    Attributes:
        token_manager: A ready manager.
        access_token: A ready token; the ways below renew it after a 401.
        credentials: The authorization key.
        scope: The scope it is bound to.
        user: With `password`, the other way to get a token.
        password: See `user`.
    """

    token_manager: Any = field(default=None, repr=False)
    access_token: AccessToken | None = None
    credentials: SecretStr | None = None
    scope: str = DEFAULT_SCOPE
    user: str | None = None
    password: SecretStr | None = None


@dataclass(frozen=True)
class ClientConfig:
    """Everything a client needs to know, checked; `Client(...)` explains the settings."""

    auth: AuthConfig
    tls: TLSConfig
    base_url: str = DEFAULT_BASE_URL
    base_url_v2: str = ""
    auth_url: str = DEFAULT_AUTH_URL
    model: str = DEFAULT_MODEL
    timeout: httpx.Timeout = field(default_factory=lambda: _DEFAULT_TIMEOUT)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    proxy: SecretStr | None = None
    http2: bool | str = "auto"
    max_concurrency: int | None = None
    limiter: Any = None
    token_store: Any = None
    http_client: Any = None
    default_headers: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    default_query: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    ids: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    on_retry: Any = None
    middleware: tuple[Any, ...] = ()
    max_event_bytes: int = MAX_EVENT_BYTES

    def connects_like(self, other: ClientConfig) -> bool:
        """Say whether clients of both may use the same connections."""
        return self.tls == other.tls and self.proxy == other.proxy and self.http_client is other.http_client

    def authorizes_like(self, other: ClientConfig) -> bool:
        """Say whether clients of both may use the same tokens."""
        return (
            self.auth == other.auth
            and self.auth_url == other.auth_url
            and (self.base_url == other.base_url or self.auth.user is None)
            and self.token_store is other.token_store
        )

    def limits_like(self, other: ClientConfig) -> bool:
        """Say whether clients of both may share the slots of one limiter."""
        return (
            self.limiter is other.limiter
            and self.max_concurrency == other.max_concurrency
            and (self.limiter is not None or self.authorizes_like(other))
        )

    def __repr__(self) -> str:
        return f"ClientConfig(base_url={self.base_url!r}, auth_url={scrub_url(self.auth_url)!r}, model={self.model!r})"


def resolve(arguments: Arguments, environment: Environment, *, is_async: bool) -> ClientConfig:
    """Merge arguments, environment and defaults, in this order, into a checked configuration.

    Raises:
        ConfigurationError: A value, or a pair of them, makes no sense.
        MissingCredentialsError: Nothing says who you are.
    """
    settings = Settings(arguments, environment)
    _check_switch("allow_pickle_secrets", arguments.get("allow_pickle_secrets"))
    http_client = _http_client(arguments, is_async=is_async)
    base_url = settings.address("base_url", DEFAULT_BASE_URL)
    auth_url = settings.address("auth_url", DEFAULT_AUTH_URL, is_endpoint=True)
    proxy = None if http_client is not None else settings.proxy()
    base_url_v2 = settings.address("base_url_v2", v2_address(base_url))
    is_tls_used = "https" in (
        urlsplit(base_url).scheme,
        urlsplit(base_url_v2).scheme,
        urlsplit(auth_url).scheme,
        urlsplit(proxy.get_secret_value()).scheme if proxy else "",
    )
    tls = TLSConfig() if http_client is not None else _tls(settings, is_used=is_tls_used)
    default_headers = check_headers("default_headers", arguments.get("default_headers"), ConfigurationTypeError)
    return ClientConfig(
        auth=_auth(
            settings,
            has_other_way=tls.cert_file is not None
            or tls.ssl_context is not None
            or http_client is not None
            or any(name.lower() == "authorization" for name in default_headers),
            is_async=is_async,
        ),
        tls=tls,
        base_url=base_url,
        base_url_v2=base_url_v2,
        auth_url=auth_url,
        model=settings.text("model") or DEFAULT_MODEL,
        timeout=_timeout(settings, http_client),
        retry=_retry(settings),
        proxy=proxy,
        http2=settings.http2(),
        max_concurrency=_max_concurrency(settings),
        limiter=_part("limiter", arguments.get("limiter"), _LIMITING, "ConcurrencyLimiter"),
        token_store=_part("token_store", arguments.get("token_store"), _STORING, "TokenStore"),
        http_client=http_client,
        default_headers=default_headers,
        default_query=check_query("default_query", arguments.get("default_query"), ConfigurationTypeError),
        ids=context_headers(
            {name: arguments.get(name) for name in ContextOptions.__annotations__}, ConfigurationTypeError
        ),
        on_retry=check_function("on_retry", arguments.get("on_retry"), ConfigurationTypeError, is_async=is_async),
        middleware=_middleware(arguments.get("middleware"), is_async=is_async),
        max_event_bytes=_max_event_bytes(arguments.get("max_event_bytes")),
    )


def v2_address(base_url: str) -> str:
    """Return the address of the v2 contract beside an address of v1.

    Example:
        >>> v2_address("https://api.giga.chat/v1"), v2_address("https://gateway.example/gigachat")
        ('https://api.giga.chat/v2', 'https://gateway.example/gigachat/v2')
    """
    head, _, last = base_url.rpartition("/")
    return f"{head if re.fullmatch(r'v[0-9]+', last) else base_url}/v2"


def _http_client(arguments: Arguments, *, is_async: bool) -> Any:
    client = arguments.get("http_client")
    if client is None:
        return None
    wanted = httpx.AsyncClient if is_async else httpx.Client
    if not isinstance(client, wanted):
        raise ConfigurationTypeError(f"http_client: expected an httpx.{wanted.__name__}, got {type(client).__name__}")
    beside = [name for name in _HTTP_PARTS if arguments.get(name) is not None]
    if beside:
        raise ConfigurationError(
            f"{', '.join(beside)}: an http_client brings its own; set it there, or leave http_client out"
        )
    return client


def _tls(settings: Settings, *, is_used: bool) -> TLSConfig:
    context = settings.arguments.get("ssl_context")
    if context is not None:
        if not isinstance(context, ssl.SSLContext):
            raise ConfigurationTypeError(f"ssl_context: expected an ssl.SSLContext, got {type(context).__name__}")
        beside = [name for name in _HTTP_PARTS[:5] if settings.is_given(name)]
        if beside:
            raise ConfigurationError(f"{', '.join(beside)}: an ssl_context is used as it is; set it there")
        return TLSConfig(ssl_context=context)
    config = TLSConfig(
        verify=settings.boolean("verify_ssl_certs", default=True),
        ca_bundle_file=settings.text("ca_bundle_file"),
        cert_file=settings.text("cert_file"),
        key_file=settings.text("key_file"),
        key_file_password=settings.secret("key_file_password"),
        is_used=is_used,
    )
    if config.key_file is not None and config.cert_file is None:
        raise ConfigurationError("key_file: it belongs to a certificate; give cert_file as well")
    try:
        config.check()
    except ConfigurationError as error:
        name, _, trouble = error.message.partition(":")
    else:
        return config
    raise ConfigurationError(f"{settings.name_of(name)}:{trouble}")


def _auth(settings: Settings, *, has_other_way: bool, is_async: bool) -> AuthConfig:
    given = [name for name in IDENTITY if settings.is_given(name)]
    if given:
        settings = Settings(
            settings.arguments, Environment({"GIGACHAT_SCOPE": settings.environment.get("scope") or ""})
        )
    scope = settings.checked_text("scope") or DEFAULT_SCOPE
    manager = settings.arguments.get("token_manager")
    if manager is not None:
        beside = [name for name in given if name != "token_manager"]
        if beside:
            raise ConfigurationError(
                f"{', '.join(beside)}: a token_manager gets tokens its own way; give one or the other"
            )
        _check_manager(manager, is_async=is_async)
        return AuthConfig(token_manager=manager, scope=scope)
    token = _access_token(settings)
    credentials = settings.secret("credentials")
    user, password = settings.checked_text("user"), settings.secret("password")
    if credentials is not None:
        check_credentials(settings.name_of("credentials"), credentials.get_secret_value())
        if "credentials" in given and "user" in given:
            raise ConfigurationError("credentials, user: these are two ways to get a token; give one of them")
        return AuthConfig(access_token=token, credentials=credentials, scope=scope)
    if (user is None) != (password is None):
        there, missing = ("user", "password") if password is None else ("password", "user")
        raise ConfigurationError(
            f"{settings.name_of(there)}: {missing} is missing beside it; give both, as arguments or in the environment"
        )
    if user is not None:
        if ":" in user:
            raise ConfigurationError(f"{settings.name_of('user')}: a user name cannot hold a colon (RFC 7617)")
        return AuthConfig(access_token=token, user=user, password=password, scope=scope)
    if token is None and not has_other_way:
        raise MissingCredentialsError(
            "nothing says who you are: pass credentials= (the authorization key of your account), access_token=, "
            "user= with password=, token_manager= or a client certificate (cert_file=), or set GIGACHAT_CREDENTIALS "
            "in the environment; looked at GIGACHAT_ACCESS_TOKEN, GIGACHAT_CREDENTIALS, GIGACHAT_USER, "
            "GIGACHAT_PASSWORD and GIGACHAT_CERT_FILE"
        )
    return AuthConfig(access_token=token, scope=scope)


def _access_token(settings: Settings) -> AccessToken | None:
    value = settings.arguments.get("access_token")
    token = value if isinstance(value, AccessToken) else None
    if token is None:
        secret = settings.secret("access_token")
        token = None if secret is None else AccessToken(secret.get_secret_value())
    if token is not None:
        check_header_value(settings.name_of("access_token"), token.value)
    return token


def _check_manager(manager: Any, *, is_async: bool) -> None:
    """A manager of the other world would give a coroutine where a token is due, or a token where one awaits."""
    _refuse_class("token_manager", manager)
    get_token = getattr(manager, "get_token", None)
    if not callable(get_token) or not callable(getattr(manager, "invalidate", None)):
        raise ConfigurationTypeError(
            f"token_manager: {type(manager).__name__} has no get_token() and invalidate(token); see TokenManager"
        )
    if inspect.iscoroutinefunction(get_token) != is_async:
        mine, other = ("AsyncClient", "AsyncTokenManager") if is_async else ("Client", "TokenManager")
        raise ConfigurationTypeError(f"token_manager: {type(manager).__name__} is no {other}, which {mine} needs")


def _refuse_class(name: str, given: Any) -> None:
    """A class has all the methods that its objects have."""
    if isinstance(given, type):
        raise ConfigurationTypeError(f"{name}: expected an object, got the class {given.__name__}; make one of it")


def _part(name: str, given: Any, methods: tuple[str, ...], protocol: str) -> Any:
    """Refuse an object that cannot play its part."""
    _refuse_class(name, given)
    missing = [] if given is None else [method for method in methods if not callable(getattr(given, method, None))]
    if missing:
        raise ConfigurationTypeError(f"{name}: {type(given).__name__} has no {', '.join(missing)}; see {protocol}")
    return given


def _max_concurrency(settings: Settings) -> int | None:
    if settings.arguments.get("limiter") is not None:
        if settings.arguments.get("max_concurrency") is not None:
            raise ConfigurationError("max_concurrency, limiter: a limiter brings its own limit; give one of them")
        return None
    name, given = settings.name_of("max_concurrency"), settings.number("max_concurrency", int)
    return None if given is None else check_limits(name, given)[EVERY_MODEL]


def _deadline(settings: Settings) -> Any:
    given = settings.arguments.get("deadline")
    return settings.number("deadline", float) if given is None else given


def _middleware(given: Any, *, is_async: bool) -> tuple[Any, ...]:
    if given is None:
        return ()
    if not is_sequence(given):
        raise ConfigurationTypeError(f"middleware: expected a list of functions, got {type(given).__name__}")
    if any(one is None for one in given):
        raise ConfigurationTypeError("middleware: expected a list of functions, got None in it")
    return tuple(check_function("middleware", one, ConfigurationTypeError, is_async=is_async) for one in given)


def _check_switch(name: str, given: Any) -> None:
    if given is not None and not isinstance(given, bool):
        raise ConfigurationTypeError(f"{name}: expected True or False, got {type(given).__name__}")


def _max_event_bytes(given: Any) -> int:
    if given is None:
        return MAX_EVENT_BYTES
    if isinstance(given, bool) or not isinstance(given, int):
        raise ConfigurationTypeError(f"max_event_bytes: expected a number of bytes, got {type(given).__name__}")
    if given < 1:
        raise ConfigurationError(f"max_event_bytes: give a number over 0, not {shown_number(given)}")
    return given


def _timeout(settings: Settings, http_client: Any) -> httpx.Timeout:
    value = settings.arguments.get("timeout")
    if value is None and "timeout" in settings.arguments:
        return httpx.Timeout(None)
    if value is None:
        seconds = settings.number("timeout", float)
        if seconds is None:
            if http_client is not None and http_client.timeout != httpx.Timeout(5.0):
                own: httpx.Timeout = http_client.timeout
                return own
            return _DEFAULT_TIMEOUT
        value = seconds
    return check_timeout(settings.name_of("timeout"), value)


def check_timeout(
    name: str,
    value: Any,
    kind: type[ValueError] = ConfigurationError,
    type_kind: type[ValueError] = ConfigurationTypeError,
) -> httpx.Timeout:
    """Turn seconds, or None for no limit, into an `httpx.Timeout`; refuse what is no time."""
    if value is None:
        return httpx.Timeout(None)
    if isinstance(value, httpx.Timeout):
        for phase, seconds in value.as_dict().items():
            limit: Any = seconds
            if limit is not None and (not isinstance(limit, int | float) or not 0 < limit <= LONGEST_TIME):
                said = f"{shown(limit)} is no time to wait ({phase})"
                raise kind(f"{name}: {said}; give seconds over 0, or None for no limit")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_kind(f"{name}: expected seconds or an httpx.Timeout, got {type(value).__name__}")
    if not 0 < value <= LONGEST_TIME:
        raise kind(f"{name}: {shown_number(value)} is no time to wait; give seconds over 0, or None for no limit")
    # Reaching a host takes seconds at most, however long its answer may take.
    return httpx.Timeout(value, connect=min(float(value), DEFAULT_CONNECT_TIMEOUT))


def short_timeout(timeout: httpx.Timeout, read: float) -> httpx.Timeout:
    """Return a timeout that waits no longer than `read` seconds between reads."""
    longest = read if timeout.read is None else min(timeout.read, read)
    return httpx.Timeout(connect=timeout.connect, read=longest, write=timeout.write, pool=timeout.pool)


def _retry(settings: Settings) -> RetryPolicy:
    return RetryPolicy().override(
        ConfigurationError,
        ConfigurationTypeError,
        max_retries=settings.number("max_retries", int),
        retry_statuses=settings.arguments.get("retry_statuses"),
        retry_lost=settings.arguments.get("retry_lost"),
        deadline=_deadline(settings),
        name_of=settings.name_of,
    )
