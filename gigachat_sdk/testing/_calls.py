"""What every endpoint gets and may raise: `Call`, `Refusal`, and the type of a route's function."""

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._state import Plan, RecordedRequest, State

BAD_JSON = "Your request contains invalid JSON syntax."


@dataclass(frozen=True)
class Call:
    """One request on its way to an endpoint, with the path parameters of the route."""

    state: State
    request: RecordedRequest
    path_params: dict[str, str]

    def require_plan(self, plan: Plan) -> None:
        """Check that the account is on a plan; an account without a plan may do everything.

        Raises:
            Refusal: 403, it is on another one.
        """
        if self.state.settings.plan not in (None, plan):
            raise Refusal(403, "Permission denied")


Endpoint = Callable[[Call], Reply]
"""A route's function. It runs on the server's event loop: it computes and does not block."""


class Refusal(Exception):
    """Raised anywhere below an endpoint to answer with an error.

    Attributes:
        reply: The answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply.error(status, message)


def malformed() -> Refusal:
    """Make the refusal of a body that is no JSON or has a wrong shape; the service does not tell them apart."""
    return Refusal(400, BAD_JSON)


def invalid(reason: str) -> Refusal:
    """Make the refusal of a body whose parts do not fit."""
    return Refusal(422, f"Invalid params: {reason}")


def made_id(kind: str, number: int) -> str:
    """Make the id of the emulator's n-th thing of a kind: a UUID that is the same in every run."""
    digest = hashlib.blake2b(f"{kind} {number}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


def as_object(value: object) -> dict[str, Any] | None:
    """Give a JSON object as such, anything else as None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> Sequence[Any] | None:
    """Give a JSON array as such, anything else as None."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else None


def _no_constant(_: str) -> object:
    raise ValueError("not a JSON number")


def json_body(request: RecordedRequest) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        Refusal: 400, for another content type, broken JSON, or JSON that is no object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise malformed()
    try:
        payload = as_object(json.loads(request.body, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        raise malformed() from None
    if payload is None:
        raise malformed()
    return payload
