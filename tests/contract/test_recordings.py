"""What was recorded of the service, held against the description: both must say the same of the wire."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from .document import FILE
from .exchange import Exchange, violations

WIRE = FILE.parent / "wire"
CASES: list[dict[str, Any]] = json.loads((WIRE / "index.json").read_text(encoding="utf-8"))["cases"]

# Where a recording and the document differ: what the validator says, and which of the two is right.
DIFFERENCES: dict[str, tuple[set[str], str]] = {
    "oauth_token.json": (
        {
            "createAccessToken, request, header Authorization: is missing",
            "createAccessToken, request, scope: 'REDACTED' is not one of "
            "['GIGACHAT_API_PERS', 'GIGACHAT_API_B2B', 'GIGACHAT_API_CORP']",
        },
        "the document: the recorder took the key and the scope away",
    ),
    "fixture_v1_chat_stream_2023.sse": (
        {
            "createChatCompletion, event, line: '' is neither an event's name nor its data",
            "createChatCompletion, event, end: no blank line ends the last event",
            "createChatCompletion, event, end: [DONE] must come once, at the end; the events were [None, None, None]",
        },
        "the document: data of a unit test, whose first and last lines are an editor's",
    ),
    "fixture_threads_messages_run.sse": (
        {
            "runThreadMessages, event, end: no blank line ends the last event",
            "runThreadMessages, event, end: [DONE] must come once, at the end; the events were [None, None]",
        },
        "the document: data of a unit test, whose last line is an editor's",
    ),
}


def as_sent(case: dict[str, Any]) -> Exchange:
    """Make an exchange of a case; the recording client's request counts as the SDK's where it was kept."""
    headers: dict[str, str] = case["request_headers"] or {}
    if headers:
        headers = {**headers, "User-Agent": "gigachat-sdk/recorded"}
        if not case["path"].endswith("/oauth"):
            headers["Authorization"] = "Bearer scrubbed-at-the-source"
    body = case["request_body"]
    return Exchange(
        case["method"],
        case["path"],
        urlencode(case["query"] or {}, doseq=True),
        list(headers.items()),
        body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode(),
        status=case["status"],
        answer_headers=list(case["response_headers"].items()),
        answer=(WIRE / case["file"]).read_bytes(),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_a_recording_keeps_the_contract(case: dict[str, Any]) -> None:
    exchange = as_sent(case)
    assert exchange.operation is not None
    expected, _ = DIFFERENCES.get(case["file"], (set(), ""))
    assert {str(violation) for violation in violations(exchange)} == expected


def test_differences_are_of_recordings() -> None:
    assert DIFFERENCES.keys() <= {case["file"] for case in CASES}
