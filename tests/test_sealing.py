"""`_sealing.py`: what others may hold of tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

import gigachat_sdk._sealing as sealing_module
from gigachat_sdk import AccessToken
from gigachat_sdk._sealing import Keys, keys_of

SECRET = SecretStr("s3cr3t")
NAME = "oauth:1f0c"


def test_keys_are_made_of_the_secret_by_scrypt_and_are_independent() -> None:
    salt = hashlib.sha256(b"gigachat-sdk token store 1\0" + NAME.encode()).digest()
    root = hashlib.scrypt(b"s3cr3t", salt=salt, n=16384, r=8, p=1, dklen=32)
    keys = keys_of(SECRET, NAME)
    assert keys.label == hmac.digest(root, b"name", "sha256").hex()[:32]
    fernet = Fernet(base64.urlsafe_b64encode(hmac.digest(root, b"encryption", "sha256")))
    assert json.loads(fernet.decrypt(keys.seal({"a": 1}))) == {"a": 1}


def test_other_secrets_and_other_names_have_other_keys() -> None:
    keys = keys_of(SECRET, NAME)
    sealed = keys.seal_token(AccessToken("token"))
    for other in (keys_of(SecretStr("other"), NAME), keys_of(SECRET, "oauth:other")):
        assert other.label != keys.label
        assert other.unseal(sealed) is other.unseal_token(sealed) is None


def test_keys_are_made_once_a_process_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_module, "_made", {})
    made: list[bytes] = []

    def scrypt(*args: object, **options: object) -> bytes:
        made.append(b"x" * 32)
        return made[-1]

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    threads = [threading.Thread(target=keys_of, args=(SECRET, NAME)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert "s3cr3t" not in repr(sealing_module._made)


def test_a_child_of_a_fork_can_make_keys_though_its_parent_was_just_making_some() -> None:
    with sealing_module._guard:
        sealing_module._after_fork()  # what happens in the child
        assert keys_of(SECRET, NAME).label


@pytest.mark.parametrize(
    "token", [AccessToken("eyJ.x"), AccessToken("eyJ.x", 1706026848.5), AccessToken("eyJ.x", 1706026848)]
)
def test_tokens_come_back_as_they_were(token: AccessToken) -> None:
    keys = Keys(b"r" * 32)
    sealed = keys.seal_token(token)
    assert "eyJ" not in sealed
    assert sealed.isascii()
    assert keys.seal_token(token) != sealed  # nobody can tell that it is the same token
    assert keys.unseal_token(sealed) == keys.unseal_token(sealed.encode()) == token
    assert "eyJ" not in f"{keys!r} {vars(keys)}"


@pytest.mark.parametrize("sealed", [None, b"", "", "nonsense", b"\xff\xfe", "gAAAAA" + "A" * 100, "ы"])
def test_what_cannot_be_decrypted_is_nothing(sealed: str | bytes | None) -> None:
    keys = Keys(b"r" * 32)
    assert keys.unseal(sealed) is keys.unseal_token(sealed) is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"value": None},
        {"value": ""},
        {"value": 5},
        {"value": "x", "expires_at": "soon"},
        {"value": "x", "expires_at": float("inf")},
        {"value": "x", "expires_at": 10**400},
        {"value": "x", "expires_at": True},
        {"count": 1, "pause": 1},
    ],
)
def test_what_is_no_token_is_none(document: dict[str, object]) -> None:
    keys = Keys(b"r" * 32)
    assert keys.unseal_token(keys.seal(document)) is None


def test_what_is_no_mapping_is_nothing() -> None:
    keys = Keys(b"r" * 32)
    assert keys.unseal(keys._fernet.encrypt(b"[1]")) is keys.unseal(keys._fernet.encrypt(b"[" * 100_000)) is None
