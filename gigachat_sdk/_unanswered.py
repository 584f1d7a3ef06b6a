"""What a call has sent without learning what became of it: no error of the call may deny that it was sent."""

from __future__ import annotations

from .errors import APIConnectionError, LimiterTimeoutError, SharedStateError


class Unanswered:
    """The requests of one call that the service may have carried out; one that it refused was not."""

    def __init__(self) -> None:
        self._requests: list[APIConnectionError | None] = []  # None for one that is on its way, or was given up

    def begin(self) -> None:
        """Note that a request is about to be sent."""
        self._requests.append(None)

    def end(self, error: APIConnectionError | None = None) -> None:
        """Note how one of them ended: refused, or without an answer."""
        if error is not None and error.sent:
            self._requests.append(error)
        self._requests.remove(None)

    def correct(self, error: APIConnectionError | LimiterTimeoutError | SharedStateError) -> APIConnectionError | None:
        """Make an error that ends the call true of all its requests; return what is raised in its place, if need be."""
        if not self._requests:
            return None
        if isinstance(error, APIConnectionError):
            if not error.sent:
                error.sent = True
                error.message += "; an earlier attempt was sent, and its answer lost"
            return None
        lost = next(filter(None, self._requests), None)
        if lost is None:
            lost = APIConnectionError("the request was sent, and its answer given up", sent=True, request=error.request)
        else:
            lost = lost.copy()  # the other one may have been shown already
        lost.message += f"; the request was not sent again: {error.message}"
        return lost
