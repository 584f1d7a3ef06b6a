"""The validated request of `POST /v1/functions/validate`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from ._base import RequestModel
from ._request_fields import function_document


class FunctionValidateRequest(RequestModel):
    """A request of `client.functions.validate(...)`: the function itself is the body.

    Its fields are not checked here: the service's verdict on them is what is asked for.
    """

    function: Annotated[dict[str, Any], BeforeValidator(function_document)]

    def to_payload(self) -> dict[str, Any]:
        """Return the function, which is the whole JSON document to send."""
        return self.function
