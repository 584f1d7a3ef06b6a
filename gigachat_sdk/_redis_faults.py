"""Errors of redis-py that do not pass by waiting: the server is there, and what it was asked with is wrong."""

from __future__ import annotations

from typing import Any, Final

_PATIENCE: Final = 1.0  # seconds
_ACL_IN_A_SCRIPT: Final = ("the user executing the script", "acl failure in script")
_NO_DATABASE: Final = ("db index is out of range", "invalid db index", "select is not allowed in cluster mode")
_NO_CERTIFICATE: Final = "certificate verify failed"
_NO_TLS: Final = ("handshake", "wrong_version_number", "record_layer_failure")
_CUT_OFF: Final = ("reading from", "closed by server")


def fault_of(error: BaseException, client: Any) -> str:
    """Return what is wrong, to be read after "Redis at ..."; "" where nothing is, but that Redis is away.

    It may ask the server, for a second at most, whether it speaks TLS.

    Args:
        error: What `client` has raised.
        client: A client of redis-py.
    """
    from redis.exceptions import (
        AuthenticationError,
        AuthenticationWrongNumberOfArgsError,
        AuthorizationError,
        MovedError,
        NoPermissionError,
    )

    text = str(error).rstrip(".")
    low = text.lower()
    if isinstance(error, AuthenticationError | AuthorizationError | AuthenticationWrongNumberOfArgsError):
        if "hello must be called" in low or "authentication required" in low:
            return "asks for a password: give it in the address, as in redis://:password@host:6379/0"
        return f"refuses these credentials ({text}): check the user and password in the address"
    if isinstance(error, NoPermissionError) or any(words in low for words in _ACL_IN_A_SCRIPT):
        return (
            f"does not let this user do what is needed ({text}): let its ACL allow EVAL, EVALSHA, what scripts use, "
            "and the keys of the namespace"
        )
    if any(words in low for words in _NO_DATABASE):
        return f"has no such database ({text}): check the number at the end of the address"
    if "wrong kind of value" in low:
        return "has keys of another program under these names: choose another namespace"
    if isinstance(error, MovedError):
        return "is a node of a cluster: give a redis.cluster.RedisCluster"
    if _NO_CERTIFICATE in low:
        return (
            f"has a TLS certificate that is not accepted ({text}): name the file of its authority in the address, "
            "as in rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem"
        )
    return _fault_of_tls(error, low, client)


def _fault_of_tls(error: BaseException, text: str, client: Any) -> str:
    from redis.connection import Connection, SSLConnection

    plain: Any = Connection  # it has no types in all versions
    pool = getattr(client, "connection_pool", None)  # a cluster has none
    settings: dict[str, Any] = getattr(pool, "connection_kwargs", {})
    where = {"host": settings.get("host", "localhost"), "port": settings.get("port", 6379)}
    kind: Any = getattr(pool, "connection_class", object)
    if issubclass(kind, SSLConnection):
        # A server without TLS lets the handshake run out of time, and so does one that hangs.
        told = f"{text} {error.__cause__} {error.__context__}".lower()
        if any(words in told for words in _NO_TLS) and _answers(plain(**where, **_TIMES)):
            return "does not speak TLS at this port: its address begins with redis://"
    elif issubclass(kind, Connection) and any(words in text for words in _CUT_OFF):
        secure = SSLConnection(**where, **_TIMES, ssl_cert_reqs="none", ssl_check_hostname=False)
        return "speaks TLS at this port: its address begins with rediss://" if _answers(secure) else ""
    return ""


_TIMES: Final[dict[str, Any]] = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "protocol": 2}


def _answers(connection: Any) -> bool:
    """Say whether a Redis is at the other end, be it one that wants to be asked with a password."""
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    try:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()
    except (AuthenticationError, ResponseError):
        return True
    except (RedisError, OSError):
        return False
    finally:
        connection.disconnect()
    return True
