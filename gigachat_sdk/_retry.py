"""Whether a failed request is sent again, and after how long: a pure function of what may have happened.

| what happened                                       | read | repeatable | creates something |
|-----------------------------------------------------|------|------------|-------------------|
| never reached the service (connect, proxy, pool)    | yes  | yes        | yes               |
| answered with a status of `retry_statuses`          | yes  | yes        | yes               |
| sent, and the answer lost on the way                | yes  | if `retry_lost` | no           |
| anything after the head of a stream                 | no   | no         | no                |

A body that was read from a source and cannot be rewound is never sent again.

"Read" are GETs; "repeatable" are calls that leave nothing behind (chat, embeddings, counting, checks): sent twice they
may be billed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from ._constants import (
    DEFAULT_MAX_RETRIES,
    LONGEST_TIME,
    RETRY_AFTER_LIMIT,
    RETRY_FIRST_DELAY,
    RETRY_MAX_DELAY,
    RETRY_STATUSES,
)
from .types._narrow import is_iterable, is_mapping
from .types._shown import shown_number


class CallKind(Enum):
    """What sending a request twice would do."""

    READ = "nothing"
    REPEATABLE = "answer twice, and perhaps be billed twice"
    CREATING = "make a second one"


class Outcome(Enum):
    """How far a failed attempt got."""

    NOT_REACHED = "the request never reached the service"
    ANSWERED = "the service answered with an error"
    LOST = "the request was sent, and the answer lost"
    FINAL = "sending it again would fail the same way"


@dataclass(frozen=True)
class RetryPolicy:
    """What the user allows.

    Attributes:
        max_retries: How often a failed request is sent again; 0 for never.
        retry_statuses: HTTP statuses after which a request is sent again.
        retry_lost: Whether a repeatable request is sent again when its answer was lost.
        deadline: Seconds for the whole call, waits included; None for no limit.
    """

    max_retries: int = DEFAULT_MAX_RETRIES
    retry_statuses: frozenset[int] = RETRY_STATUSES
    retry_lost: bool = True
    deadline: float | None = None

    def override(
        self,
        error: type[ValueError],
        type_error: type[ValueError],
        *,
        max_retries: Any = None,
        retry_statuses: Any = None,
        retry_lost: Any = None,
        deadline: Any = None,
        name_of: Callable[[str], str] = str,
    ) -> RetryPolicy:
        """Return this policy with the given settings on top; None leaves one as it is.

        Args:
            error: What to raise for a value that makes no sense.
            type_error: What to raise for a value of the wrong kind.
            max_retries: See the class.
            retry_statuses: Any collection of statuses.
            retry_lost: See the class.
            deadline: See the class.
            name_of: Says how the user wrote a setting, for messages.
        """
        changes: dict[str, Any] = {}
        if max_retries is not None:
            if isinstance(max_retries, bool) or not isinstance(max_retries, int):
                raise type_error(f"max_retries: expected a whole number, got {type(max_retries).__name__}")
            if max_retries < 0:
                raise error(f"{name_of('max_retries')}: give 0 (never) or more, not {shown_number(max_retries)}")
            changes["max_retries"] = max_retries
        if retry_statuses is not None:
            if isinstance(retry_statuses, str | bytes) or is_mapping(retry_statuses) or not is_iterable(retry_statuses):
                raise type_error(f"retry_statuses: expected a set of statuses, got {type(retry_statuses).__name__}")
            statuses = list(retry_statuses)
            if not all(type(status) is int and 400 <= status <= 599 for status in statuses):
                raise error("retry_statuses: expected HTTP statuses from 400 to 599")
            changes["retry_statuses"] = frozenset(statuses)
        if retry_lost is not None:
            if not isinstance(retry_lost, bool):
                raise type_error(f"retry_lost: expected True or False, got {type(retry_lost).__name__}")
            changes["retry_lost"] = retry_lost
        if deadline is not None:
            if isinstance(deadline, bool) or not isinstance(deadline, int | float):
                raise type_error(f"deadline: expected seconds, got {type(deadline).__name__}")
            if not 0 < deadline <= LONGEST_TIME:
                raise error(
                    f"{name_of('deadline')}: {shown_number(deadline)} is no time for a call; give seconds over 0"
                )
            changes["deadline"] = float(deadline)
        return replace(self, **changes) if changes else self


def decide(
    policy: RetryPolicy,
    *,
    retries_taken: int,
    kind: CallKind,
    outcome: Outcome,
    status: int | None = None,
    retry_after: float | None = None,
    can_resend: bool = True,
    remaining: float | None = None,
    jitter: float,
) -> float | None:
    """Return the seconds to wait before the request is sent again, or None to raise its error.

    Args:
        policy: What the user allows.
        retries_taken: How often this request was sent again already.
        kind: What sending it twice would do.
        outcome: How far the attempt got.
        status: The HTTP status, for `Outcome.ANSWERED`.
        retry_after: Seconds the service asks to wait.
        can_resend: Whether the body can be sent again; a source that was read and cannot be rewound cannot.
        remaining: Seconds until the call's deadline, before which a retry must begin; None where there is none.
        jitter: A random number of 0 to 1, so that many clients do not come back at once.
    """
    if not can_resend or retries_taken >= policy.max_retries or not _may_repeat(policy, kind, outcome, status):
        return None
    delay: float = min(RETRY_FIRST_DELAY * 2.0 ** min(retries_taken, 10), RETRY_MAX_DELAY) * (0.75 + 0.25 * jitter)
    if retry_after is not None:
        if retry_after > RETRY_AFTER_LIMIT:
            return None
        delay = retry_after
    return None if remaining is not None and delay >= remaining else delay


def _may_repeat(policy: RetryPolicy, kind: CallKind, outcome: Outcome, status: int | None) -> bool:
    if outcome is Outcome.ANSWERED:
        return status in policy.retry_statuses
    if outcome is Outcome.LOST:
        return kind is CallKind.READ or (kind is CallKind.REPEATABLE and policy.retry_lost)
    return outcome is Outcome.NOT_REACHED


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a `Retry-After` header, given as seconds or as a date (RFC 9110, section 10.2.3).

    Args:
        value: The header's value; None where there is none.
        now: Unix seconds, to count from.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            # A date without a zone is in UTC (RFC 9110, section 5.6.7), not in the machine's.
            seconds = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    if seconds != seconds or seconds == float("inf"):
        return None
    return max(0.0, seconds)
