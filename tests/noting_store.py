"""A store with the methods that tell other processes of failures, both kinds."""

from __future__ import annotations

from gigachat_sdk import MemoryTokenStore
from gigachat_sdk._token_failures import TokenFailure


class NotingStore(MemoryTokenStore):
    """A store that tells other processes of failures."""

    noted: TokenFailure | None = None

    def get_failure(self, name: str, now: float) -> TokenFailure | None:
        return self.noted

    def set_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        self.noted = failure

    async def aget_failure(self, name: str, now: float) -> TokenFailure | None:
        return self.noted

    async def aset_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        self.noted = failure
