"""How long a run waits for tokens that cannot be bought for a while. Pure, but for its lock."""

from __future__ import annotations

import threading

from .._constants import FIRST_TOKEN_PAUSE, LONGEST_TOKEN_PAUSE, RETRY_AFTER_LIMIT
from .._logging import logger
from ..errors import APIError, APIStatusError
from ._results import is_final

PATIENCE = 120.0  # seconds from the first failure on, after which a run ends


class Patience:
    """The pauses of one run, which all of its threads or tasks share.

    A failure to buy a token is told to all who need one, at once. Whoever asks during a pause only hears of it again,
    so they wait for its end together. Times are seconds of a clock that is never set.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._began: float | None = None  # when the first of the failures came that go on
        self._count = 0
        self._until = 0.0

    def pause_after(self, error: APIError, now: float) -> float | None:
        """Return when to ask again after a failure to buy a token; None for never, as it would not help.

        Args:
            error: The failure.
            now: When it came.
        """
        if is_final(error):
            return None
        with self._guard:
            if self._began is None:
                self._began = now
                logger.warning("no token can be bought; the run waits for up to %.0f s: %s", PATIENCE, error)
            if now - self._began >= PATIENCE:
                return None
            if now >= self._until:  # else another one has had the same failure
                pause = min(FIRST_TOKEN_PAUSE * 2.0 ** min(self._count, 10), LONGEST_TOKEN_PAUSE)
                asked = error.retry_after if isinstance(error, APIStatusError) else None
                self._until = now + max(pause, min(asked or 0.0, RETRY_AFTER_LIMIT))
                self._count += 1
            return self._until

    def has_token(self) -> None:
        """Take note that there is a token again."""
        if self._began is not None:
            with self._guard:
                self._began, self._count, self._until = None, 0, 0.0
