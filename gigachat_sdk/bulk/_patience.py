"""How long a run waits while no token can be bought, or the quota is used up. Pure, but for its lock."""

from __future__ import annotations

import threading
from typing import TypeGuard

from .._constants import FIRST_TOKEN_PAUSE, LONGEST_TOKEN_PAUSE, RETRY_AFTER_LIMIT
from .._logging import logger
from ..errors import APIError, APIStatusError, RateLimitError
from ._results import is_final

PATIENCE = 120.0  # seconds from the first failure to buy a token, after which a run ends
QUOTA_PATIENCE = 1800.0  # the same from the first refusal for the quota on
_LONGEST_PAUSE = 600.0  # that the service may ask for


class Patience:
    """The pauses of one run for one kind of trouble, which all of its threads or tasks share.

    A failure to buy a token is told to all who need one, at once. Whoever asks during a pause only hears of it again,
    so they wait for its end together. Times are seconds of a clock that is never set.

    Args:
        seconds: How long trouble may go on.
        what: The trouble, for the log.
    """

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self._guard = threading.Lock()
        self._began: float | None = None  # when the first of the failures came that go on
        self._count = 0
        self.until = 0.0  # when the pause ends, or has ended

    def pause_after(self, error: APIError, now: float) -> float | None:
        """Return when to ask again after a failure; None for never, as it would not help.

        Args:
            error: The failure.
            now: When it came.
        """
        if is_final(error):
            return None
        with self._guard:
            began = now if self._began is None else self._began
            asked = (error.retry_after or 0.0) if isinstance(error, APIStatusError) else 0.0
            if now - began >= self._seconds or asked > _LONGEST_PAUSE:
                return None
            if self._began is None:
                self._began = now
                logger.warning("%s; the run waits for up to %.0f s: %s", self._what, self._seconds, error)
            if now >= self.until:  # else another one has had the same failure
                pause = min(FIRST_TOKEN_PAUSE * 2.0 ** min(self._count, 10), LONGEST_TOKEN_PAUSE)
                self.until = now + max(pause, asked)
                self._count += 1
            return self.until

    def is_over(self) -> None:
        """Take note that the trouble is over."""
        if self._began is not None:
            with self._guard:
                self._began, self._count, self.until = None, 0, 0.0


def is_of_quota(error: object) -> TypeGuard[RateLimitError]:
    """Say whether an error means that the account is to ask nothing for longer than a call waits between retries."""
    return isinstance(error, RateLimitError) and error.retry_after is not None and error.retry_after > RETRY_AFTER_LIMIT
