"""The SDK's logger, and a guard over a library that would log our secrets.

`gigachat_sdk` logs one line a request at DEBUG and one a retry at INFO; never a body, never a header's value.
"""

from __future__ import annotations

import logging

from ._constants import SECRET_HEADERS

logger = logging.getLogger("gigachat_sdk")


class _NoSecretHeaders(logging.Filter):
    """Drops hpack's records of header fields: at DEBUG it writes every one it encodes, the token's included."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = f"{record.msg!r} {record.args!r}".lower()
        return not any(name in text for name in SECRET_HEADERS)


_guard = _NoSecretHeaders()


def guard_http2_logging() -> None:
    """Keep the token out of the logs of HTTP/2's header compression; called when the first HTTP/2 pool is made."""
    for name in ("hpack", "hpack.hpack", "hpack.table"):
        logging.getLogger(name).addFilter(_guard)  # adding the same filter twice has no effect
