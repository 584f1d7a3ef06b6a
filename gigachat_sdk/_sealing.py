"""Tokens as others may hold them: encrypted, under names that tell nothing. Needs the extra `redis`."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any, Final

from pydantic import SecretStr

from ._token import is_end
from .types._narrow import is_dict
from .types.tokens import AccessToken

# 16 MB and about 50 ms for each guess, as OWASP and RFC 7914 have it for logins; once a process and account here.
_COST: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_CONTEXT: Final = b"gigachat-sdk token store 1\0"


class Keys:
    """What one account's tokens are called, and how they are read and written.

    Args:
        root: 32 secret bytes, which the name and the key of the encryption come from, independently of one another.
    """

    def __init__(self, root: bytes) -> None:
        from cryptography.fernet import Fernet

        self.label: str = hmac.digest(root, b"name", "sha256").hex()[:32]
        self._fernet = Fernet(urlsafe_b64encode(hmac.digest(root, b"encryption", "sha256")))

    def seal(self, document: dict[str, Any]) -> str:
        """Encrypt JSON."""
        return self._fernet.encrypt(json.dumps(document).encode()).decode("ascii")

    def unseal(self, sealed: bytes | str | None) -> dict[str, Any] | None:
        """Decrypt JSON; None where there is none, or where it was encrypted with another key, or by nobody."""
        from cryptography.fernet import InvalidToken

        document: object = None
        with suppress(InvalidToken, ValueError, TypeError, RecursionError):
            document = json.loads(self._fernet.decrypt(sealed or b""))
        return document if is_dict(document) else None

    def seal_token(self, token: AccessToken) -> str:
        """Encrypt a token."""
        return self.seal({"value": token.value, "expires_at": token.expires_at})

    def unseal_token(self, sealed: bytes | str | None) -> AccessToken | None:
        """Decrypt a token; None where there is none that can be read."""
        document = self.unseal(sealed) or {}
        value, end = document.get("value"), document.get("expires_at")
        return AccessToken(value, end) if isinstance(value, str) and value and is_end(end) else None


_made: dict[bytes, Keys] = {}
_guard = threading.Lock()


def keys_of(secret: SecretStr, name: str) -> Keys:
    """Return the keys for the token `name` of whoever knows `secret`; the first time takes a moment and 16 MB."""
    salt = hashlib.sha256(_CONTEXT + name.encode()).digest()
    place = hmac.digest(salt, secret.get_secret_value().encode(), "sha256")
    with _guard:  # a hundred threads that begin together make them once
        keys = _made.get(place)
        if keys is None:
            keys = _made[place] = Keys(hashlib.scrypt(secret.get_secret_value().encode(), salt=salt, **_COST))
        return keys


def _after_fork() -> None:
    global _guard
    _guard = threading.Lock()  # the parent's may be held by a thread that only the parent has


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)
