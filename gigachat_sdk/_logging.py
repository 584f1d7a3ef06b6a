"""The SDK's logger, and a guard over a library that would log our secrets.

`gigachat_sdk` logs one line a request at DEBUG and one a retry at INFO; never a body, never a header's value.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("gigachat_sdk")


class _NoDetails(logging.Filter):
    """Drops hpack's records below WARNING: at DEBUG it writes every header field, and their compressed bytes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


_guard = _NoDetails()


def guard_http2_logging() -> None:
    """Keep the token out of the logs of HTTP/2's header compression; called when HTTP/2 may be spoken."""
    for name in ("hpack", "hpack.hpack", "hpack.table"):
        logging.getLogger(name).addFilter(_guard)  # adding the same filter twice has no effect
