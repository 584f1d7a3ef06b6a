"""What the resources of a client share: its configuration, its transport, its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from .._cast import parse_as
from .._config import ClientConfig
from .._request import Call
from ..types._base import ResponseModel
from .auth import AsyncTokenManager
from .transport import AsyncAnswer, AsyncTransport

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=ResponseModel)


@dataclass(frozen=True)
class AsyncSession:
    """The inside of a client; copies of a client share as much of it as their options allow."""

    config: ClientConfig
    transport: AsyncTransport
    tokens: AsyncTokenManager | None

    async def request(self, call: Call, model: type[ModelT]) -> ModelT:
        """Send a call and return its answer as `model`."""
        return await self.transport.request(call, model, self.tokens)

    async def exchange(self, call: Call) -> AsyncAnswer:
        """Send a call and return its answer as it came: a stream, or bytes."""
        return await self.transport.exchange(call, self.tokens)

    async def request_as(self, call: Call, cast_to: type[T]) -> T:
        """Send a call and return its answer as any type that `check_cast` has let pass."""
        return await self.transport.request_as(call, partial(parse_as, cast_to), self.tokens)
