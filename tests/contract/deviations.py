"""Where the SDK or its emulator leaves the document, each with its reason.

`tests/fixtures/openapi.yaml` is put together from what is known of the service, and knows more of some calls than of
others. What stands here is allowed; what a single test does on purpose is marked there (`off_contract`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from .exchange import Exchange, Violation, of_error_body


@dataclass(frozen=True)
class Deviation:
    """Something that the document does not allow, and that is right all the same."""

    operations: frozenset[str]  # their ids; empty for all
    side: str
    place: str
    text: str  # what the validator says of it, or a part of that
    reason: str
    when: Callable[[Exchange], bool] = lambda exchange: True

    def covers(self, violation: Violation, exchange: Exchange) -> bool:
        return (
            (not self.operations or violation.operation in self.operations)
            and (self.side, self.place) == (violation.side, violation.place)
            and self.text in violation.text
            and self.when(exchange)
        )


BUILT_IN = frozenset({"get_file_content", "text2image", "text2model3d"})


def _names_built_in_functions(exchange: Exchange) -> bool:
    """Say whether the functions without parameters are all of the service's own."""
    given = json.loads(exchange.body)["functions"]
    return {function.get("name") for function in given if "parameters" not in function} <= BUILT_IN


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        frozenset(),
        "request",
        "header Authorization",
        "is missing",
        "inside the bank a client certificate says who calls; the document has `mutualTls` among its schemes, but no "
        "operation names it",
    ),
    Deviation(
        frozenset({"createChatCompletion"}),
        "request",
        "functions[]",
        "'parameters' is a required property",
        "a built-in function is given by its name alone; the document says so in prose and asks for parameters",
        _names_built_in_functions,
    ),
    Deviation(
        frozenset({"runThread", "runThreadMessages", "rerunThreadMessages"}),
        "event",
        "event choices[].delta",
        "('functions_state_id' was unexpected)",
        "a function call in a thread's stream was never recorded; the emulator gives it the state id that it has in a "
        "stream of chat and in a thread's whole answers",
    ),
    Deviation(
        frozenset({"runThread", "runThreadMessages", "rerunThreadMessages"}),
        "event",
        "event choices[].delta",
        "('created', 'name' were unexpected)",
        "how a built-in function gets on was never recorded in a thread; the emulator says it as in a stream of chat",
    ),
)


@dataclass(frozen=True)
class Status:
    """A status that the document names for some operations, and that others answer with as well."""

    code: int
    operations: frozenset[str]  # their ids; empty for all
    reason: str


STATUSES: tuple[Status, ...] = (
    Status(400, frozenset(), "a body of a wrong shape is refused so in all calls; the document has it of some"),
    Status(
        403,
        frozenset({"listBatches"}),
        "batches are for accounts that pay as they go; the document has it of making them, not of listing them",
    ),
    Status(404, frozenset(), "a model, assistant or thread that there is not; the document has it of chat and files"),
    Status(413, frozenset(), "a body above 80 MB, which the emulator takes for no call"),
    Status(422, frozenset({"aiCheck"}), "fewer than the twenty words that the document asks for in prose"),
    Status(
        422,
        frozenset({"addThreadMessages", "runThread", "rerunThreadMessages", "modifyAssistant"}),
        "parts that do not fit; the document has it of the same parts in createAssistant and runThreadMessages",
    ),
    Status(
        429,
        frozenset({"runThread", "runThreadMessages", "rerunThreadMessages"}),
        "the account's number of parallel requests counts wherever a model answers",
    ),
)


def is_allowed(violation: Violation, exchange: Exchange) -> bool:
    """Say whether a table above has a reason for this; an answer with an undocumented status is an error of the API."""
    if violation.side == "answer" and violation.place == f"status {exchange.status}":
        known = any(
            one.code == exchange.status and (not one.operations or violation.operation in one.operations)
            for one in STATUSES
        )
        return known and not of_error_body(exchange)
    return any(deviation.covers(violation, exchange) for deviation in DEVIATIONS)
