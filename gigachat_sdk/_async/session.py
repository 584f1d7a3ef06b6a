"""What the resources of a client share: its configuration, its transport, its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from .._config import ClientConfig
from .auth import AsyncTokenManager
from .transport import AsyncTransport


@dataclass(frozen=True)
class AsyncSession:
    """The inside of a client; copies of a client share as much of it as their options allow."""

    config: ClientConfig
    transport: AsyncTransport
    tokens: AsyncTokenManager | None
