"""Single settings: where each is looked up, what kind it must be, what is wrong with it; secrets stay hidden."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import SecretStr

from ._constants import ENVIRONMENT_PREFIX, SECRET_HEADERS
from .errors import ConfigurationError, ConfigurationTypeError
from .types._narrow import is_iterable, is_mapping, is_path, is_utf8
from .types._shown import cut_repr, shown
from .types.http import scrub_url, sounds_secret
from .types.tokens import AccessToken

T = TypeVar("T")

IDENTITY = ("token_manager", "access_token", "credentials", "user", "password")
_LIMITS = ("max_concurrency", "limiter")  # two ways to say one thing
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_SECRETS = ("access_token", "credentials", "password", "key_file_password")
_PATHS = ("ca_bundle_file", "cert_file", "key_file")


class Environment:
    """The `GIGACHAT_...` variables at one moment; its repr shows names only."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        prefix = ENVIRONMENT_PREFIX
        self._values = {name: value for name, value in variables.items() if name.startswith(prefix) and value != ""}

    @classmethod
    def current(cls) -> Environment:
        """Take the variables of this process."""
        return cls(os.environ)

    def get(self, name: str) -> str | None:
        """Return the value for the setting `name`; an empty variable counts as not set."""
        return self._values.get(ENVIRONMENT_PREFIX + name.upper())

    def __repr__(self) -> str:
        return f"Environment({', '.join(sorted(self._values))})"


class Arguments:
    """The settings given to a client by name, secrets wrapped; its repr hides them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        # None means "not given", except for a timeout, where it means "no limit".
        self._given = {
            name: _wrapped(name, value) for name, value in given.items() if value is not None or name == "timeout"
        }

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def get(self, name: str) -> Any:
        """Return the argument `name`, None where it was not given."""
        return self._given.get(name)

    def names(self) -> set[str]:
        """Return the names of the arguments that were given."""
        return set(self._given)

    def merged(self, overrides: Arguments) -> Arguments:
        """Return these arguments with `overrides` on top; one that says who you are replaces all that do."""
        kept = self._given
        if overrides.names() & set(IDENTITY):
            kept = {name: value for name, value in kept.items() if name not in IDENTITY}
        if overrides.names() & set(_LIMITS):
            kept = {name: value for name, value in kept.items() if name not in _LIMITS}
        return Arguments({**kept, **overrides._given})

    def secrets(self) -> list[str]:
        """Return the names of the arguments that hold a secret."""
        found = [name for name in _SECRETS if name in self._given]
        proxy = self._given.get("proxy")
        if isinstance(proxy, SecretStr) and "@" in proxy.get_secret_value():
            found.append("proxy")
        named: Mapping[str, Any]
        for argument in ("default_headers", "default_query"):
            named = self._given.get(argument) or {}
            if is_mapping(named) and any(name.lower() in SECRET_HEADERS or sounds_secret(name) for name in named):
                found.append(argument)
        auth_url = self._given.get("auth_url")
        return found + (["auth_url"] if isinstance(auth_url, str) and scrub_url(auth_url) != auth_url else [])

    def plain(self) -> dict[str, Any]:
        """Return the arguments as they were given, secrets unwrapped."""
        return {name: _plain(value) for name, value in self._given.items()}

    def __repr__(self) -> str:
        return f"Arguments({', '.join(sorted(self._given))})"


class Unfit:
    """Stands for a secret of the wrong kind; only the kind is kept."""

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__


def _wrapped(name: str, value: Any) -> Any:
    """Hide secrets, and copy what the caller could change or use up."""
    if name in ("default_headers", "default_query") and is_mapping(value):
        return dict(value)
    if name == "retry_statuses" and is_iterable(value) and not isinstance(value, str | bytes) and not is_mapping(value):
        return tuple(value)
    if name not in (*_SECRETS, "proxy") or isinstance(value, SecretStr | AccessToken | Unfit | None):
        return value
    return SecretStr(str.__str__(value)) if isinstance(value, str) else Unfit(value)  # see `Settings.text`


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


# Names of other packages for what has another name here.
_HABITS = {"api_key": "credentials", "token": "access_token", "verify": "verify_ssl_certs", "proxies": "proxy"}


def check_names(given: Collection[str], known: Collection[str], what: str) -> None:
    """Refuse an unknown keyword as Python itself does, with a did-you-mean."""
    for name in given:
        if name not in known:
            close = [_HABITS[name]] if name in _HABITS else get_close_matches(name, known, n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{what} got an unexpected keyword argument {name!r}{advice}")


class Settings:
    """Looks a setting up in the arguments, then in the environment, and checks its kind."""

    def __init__(self, arguments: Arguments, environment: Environment) -> None:
        self.arguments = arguments
        self.environment = environment

    def is_given(self, name: str) -> bool:
        return self.arguments.get(name) is not None

    def name_of(self, name: str) -> str:
        """Name the setting as the user wrote it, for a message."""
        return name if self.is_given(name) else ENVIRONMENT_PREFIX + name.upper()

    def text(self, name: str) -> str | None:
        value: Any = self.arguments.get(name)
        if value is None:
            return self.environment.get(name)
        if name in _PATHS and is_path(value):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise ConfigurationTypeError(f"{name}: expected a string, got {type(value).__name__}")
        if not value:
            raise ConfigurationError(f"{name}: the value is empty")
        return str.__str__(value)  # of a member of an enum its value: formatted, it would give its name

    def checked_text(self, name: str) -> str | None:
        """As `text`, for what is sent: the environment can hold bytes that are no text."""
        value = self.text(name)
        if value is not None and not is_utf8(value):
            raise ConfigurationError(f"{self.name_of(name)}: {value!a} is no text: it holds a lone surrogate")
        return value

    def secret(self, name: str) -> SecretStr | None:
        value = self.arguments.get(name)
        if value is None:
            value = _wrapped(name, self.environment.get(name))
        if value is None:
            return None
        if not isinstance(value, SecretStr):
            kind = value.kind if isinstance(value, Unfit) else type(value).__name__
            raise ConfigurationTypeError(f"{name}: expected a string, got {kind}")
        if not is_utf8(value.get_secret_value()):
            raise ConfigurationError(f"{self.name_of(name)}: it is no text: it holds a lone surrogate")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self.arguments.get(name)
        if value is None:
            text = self.environment.get(name)
            return default if text is None else self._boolean_of(name, text)
        if not isinstance(value, bool):
            raise ConfigurationTypeError(f"{name}: expected True or False, got {type(value).__name__}")
        return value

    def _boolean_of(self, name: str, text: str) -> bool:
        try:
            return _BOOLEANS[text.strip().lower()]
        except KeyError:
            also = ", auto" if name == "http2" else ""
            raise ConfigurationError(
                f"{self.name_of(name)}: {cut_repr(text)} is not one of {', '.join(_BOOLEANS)}{also}"
            ) from None

    def number(self, name: str, convert: Callable[[Any], T]) -> T | None:
        value = self.arguments.get(name)
        if value is None:
            text = self.environment.get(name)
            if text is None:
                return None
            try:
                return convert(text)
            except ValueError:
                raise ConfigurationError(f"{self.name_of(name)}: {cut_repr(text)} is not a number") from None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigurationTypeError(f"{name}: expected a number, got {type(value).__name__}")
        return convert(value)

    def http2(self) -> bool | str:
        value = self.arguments.get("http2")
        if value is None:
            value = self.environment.get("http2")
            if value is not None and value.strip().lower() != "auto":
                return self._boolean_of("http2", value)
        if value is None or (isinstance(value, str) and value.strip().lower() == "auto"):
            return "auto"
        if not isinstance(value, bool):
            raise ConfigurationTypeError(f"http2: expected True, False or 'auto', got {shown(value)}")
        return value

    def address(self, name: str, default: str, *, is_endpoint: bool = False) -> str:
        if self.text(name) is None:
            return default
        return check_address(self.name_of(name), self.text(name) or "", is_endpoint=is_endpoint)

    def proxy(self) -> SecretStr | None:
        secret = self.secret("proxy")
        if secret is not None:
            trouble = _address(secret.get_secret_value(), _PROXY_SCHEMES, is_proxy=True)[1]
            if (
                trouble is None
                and secret.get_secret_value().lower().startswith("socks")
                and find_spec("socksio") is None
            ):
                trouble = "a SOCKS proxy needs one more package: pip install 'httpx[socks]'"
            if trouble is not None:
                raise ConfigurationError(f"{self.name_of('proxy')}: {trouble}")
        return secret


_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def check_address(name: str, value: str, *, is_endpoint: bool = False) -> str:
    """Return an address without a trailing slash, or say what is wrong with it; what may be secret is not shown."""
    address, trouble = _address(value, ("http", "https"), is_endpoint=is_endpoint)
    del value  # a traceback with locals must not show what stands in it
    if trouble is not None:
        raise ConfigurationError(f"{name}: {trouble}")
    return address


def _address(
    value: str, schemes: tuple[str, ...], *, is_endpoint: bool = False, is_proxy: bool = False
) -> tuple[str, str | None]:
    """Return the address in its usual form, and what is wrong with it; errors are raised where nothing shows it."""
    shown = "the value" if is_proxy or set("@?") & set(value) else repr(value)
    expected = f"{shown} is not an {' or '.join(f'{scheme}://' for scheme in schemes)} address"
    if any(character.isspace() or not character.isprintable() for character in value):
        return "", expected
    try:
        parts = urlsplit(value)
        host = (parts.port, parts.hostname or "")[1]
        if parts.scheme not in schemes or not host:
            return "", expected
        _ = host.encode("idna"), httpx.URL(value).host
    except (ValueError, httpx.InvalidURL) as error:
        return "", f"{shown} is no address: {'a part of it is malformed' if shown == 'the value' else error}"
    if "@" in parts.netloc and not is_proxy:
        return "", "user and password do not belong into the address; use user= and password="
    if parts.fragment or (parts.query and not (is_endpoint or is_proxy)):
        return "", f"{shown} has a query or a fragment; use default_query= for query parameters"
    path = parts.path if is_endpoint else parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), None
