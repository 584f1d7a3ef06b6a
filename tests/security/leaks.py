"""Searches for secrets in everything that an error, a log or an object shows."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

CLIENT_SECRET = "5ecretOfTheClient"
KEY = base64.b64encode(f"client-id:{CLIENT_SECRET}".encode()).decode()
TOKEN = "t0kenThatNobodyMaySee"
NEW_TOKEN = "t0kenFromTheOAuthEndpoint"
PASSWORD = "pa55wordOfTheUser"
PROXY_PASSWORD = "pr0xyPassword"
KEY_PASSWORD = "keyFilePa55word"
COOKIE = "c00kieOfTheService"

BASIC_PASSWORD = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
BASIC_PROXY = base64.b64encode(f"me:{PROXY_PASSWORD}".encode()).decode()
# A truncated or shifted secret is one as well: the middle of each is enough.
NEEDLES = [
    needle
    for secret in (
        CLIENT_SECRET, KEY, TOKEN, NEW_TOKEN, PASSWORD, PROXY_PASSWORD, KEY_PASSWORD, COOKIE, BASIC_PASSWORD,
        BASIC_PROXY,
    )
    for needle in (secret, secret[3:-3])
]  # fmt: skip


def found_in(text: str | bytes) -> list[str]:
    """Return the secrets that stand in a text."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return [needle for needle in NEEDLES if needle in plain]


def chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and everything it was raised from or during, shown or not."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def frames(error: BaseException) -> Iterator[FrameType]:
    """Give the frames of gigachat_sdk in the tracebacks of an error and of what is behind it."""
    for one in chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            module = frame.f_globals.get("__name__", "")
            if module.partition(".")[0] == "gigachat_sdk" and ".testing" not in module:
                yield frame


def shown(value: Any) -> str:
    """Show a local as a tool that reports errors would."""
    try:
        return repr(value)
    except Exception as error:  # of a half-built object; it has a test of its own
        return f"{error!r}"


def is_own_argument(frame: FrameType, name: str) -> bool:
    """Say whether a local is what the user gave to a constructor, or to `with_options`."""
    return frame.f_code.co_name in ("__init__", "with_options") and name in (
        "options", "overrides", "credentials", "password", "token", "auth_url", "base_url",
    )  # fmt: skip


def leaks_of_error(error: BaseException) -> list[str]:
    """Return a line for each place of an error where a secret stands."""
    leaks: list[str] = []

    def look(place: str, text: str | bytes) -> None:
        leaks.extend(f"{place}: {needle}" for needle in found_in(text))

    for one in chain(error):
        name = type(one).__name__
        look(f"str of {name}", str(one))
        look(f"repr of {name}", repr(one))
        look(f"args of {name}", repr(one.args))
        look(f"attributes of {name}", repr(vars(one)))
        if type(one).__module__.startswith("gigachat_sdk"):
            look(f"pickle of {name}", pickle.dumps(one))
    look("traceback", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
    for frame in frames(error):
        for name, value in frame.f_locals.items():
            if not is_own_argument(frame, name):
                look(f"local {name!r} of {frame.f_globals['__name__']}.{frame.f_code.co_name}", shown(value))
    return sorted(set(leaks))
