"""A client that is written with care takes no wrong answer for a right one, whatever the fault: here it is ours."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import pytest

from gigachat_sdk import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    Client,
    GigaChatError,
    InternalServerError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.testing import Emulator, Fault, FaultProfile
from gigachat_sdk.testing._faults import FaultKind

TEXT = "раз два три"
ENDLESS = ("stalled", "endless_stream", "endless_comments")
LOST = APIConnectionError
CUT = StreamInterruptedError
# What the client raises for a whole answer and for a stream; None where the answer arrives.
NOTICED: dict[FaultKind, tuple[type[GigaChatError] | None, type[GigaChatError] | None]] = {
    "latency": (None, None),
    "slow_body": (None, None),
    "status": (InternalServerError, InternalServerError),
    "revoke_token": (None, None),  # another token is taken
    "refuse": (LOST, LOST),
    "reset_before_head": (LOST, LOST),
    "reset_in_body": (LOST, CUT),
    "reset_between_events": (None, CUT),
    "reset_in_event": (None, CUT),
    "stalled": (APITimeoutError, CUT),
    "truncated_json": (APIResponseValidationError, None),
    "wrong_content_length": (LOST, None),  # what it says is missing comes after [DONE]
    "garbage": (LOST, LOST),
    "garbage_event": (None, StreamError),
    "no_done": (None, CUT),
    "endless_stream": (None, CUT),  # by the client's deadline
    "endless_comments": (None, CUT),
}


def ask(client: Client, text: str, *, stream: bool) -> str:
    messages: Any = [{"role": "user", "content": text}]
    if not stream:
        return client.chat.completions.create(messages=messages).choices[0].message.content or ""
    chunks = client.chat.completions.create(messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def outcome(client: Client, text: str, *, stream: bool) -> type[Exception] | str | None:
    """Ask, and give the error that came; None for the right answer, and a wrong one as it is."""
    try:
        answer = ask(client, text, stream=stream)
    except Exception as error:
        return type(error)
    return None if answer == f"Вы написали: {text}" else answer


def outcome_in_time(client: Client, text: str, *, stream: bool, expected: type[Exception] | None) -> Any:
    """Give the outcome of what may have no end; where not even its beginning came in time, with more time."""
    found: Any = None
    for seconds in (1.0, 4.0, 16.0):
        found = outcome(client.with_options(timeout=seconds, deadline=1.5 * seconds), text, stream=stream)
        if found is expected or found is not APITimeoutError:
            break
    return found


def test_there_is_a_word_on_every_kind() -> None:
    assert list(NOTICED) == list(get_args(FaultKind))


@pytest.mark.parametrize("way", ["http", "https", "http2"])
@pytest.mark.parametrize("kind", NOTICED)
def test_a_fault_is_noticed(kind: FaultKind, way: str) -> None:
    more: dict[str, Any] = {"latency": {"seconds": 0.01}, "slow_body": {"seconds": 0}, "refuse": {"seconds": None}}
    with (
        Emulator(https=way != "http") as emulator,
        emulator.client(max_retries=0, http2=way == "http2", access_token=emulator.issue_token()) as client,
    ):
        how: Any = {"how": "stream"} if way == "http2" and kind.startswith("reset") else {}
        emulator.inject(Fault(kind, **how, **more.get(kind, {})))
        if kind == "revoke_token":
            emulator.clear_faults()
            emulator.inject(Fault(kind, every=2))
        outcomes = tuple(
            outcome_in_time(client, TEXT, stream=stream, expected=NOTICED[kind][stream])
            if kind in ENDLESS
            else outcome(client, TEXT, stream=stream)
            for stream in (False, True)
        )
    if way == "http2" and kind == "wrong_content_length":
        assert outcomes in ((LOST, None), (LOST, CUT))  # as the end comes together with [DONE] or after it
    else:
        assert outcomes == NOTICED[kind]


def test_with_retries_most_calls_succeed_and_no_answer_is_wrong() -> None:
    mix = [
        Fault("status", status=429, retry_after=0, probability=0.05),
        Fault("revoke_token", probability=0.02),
        Fault("reset_before_head", probability=0.04),
        Fault("reset_in_body", how="close", probability=0.03),
        Fault("truncated_json", probability=0.02),
        Fault("garbage", probability=0.02),
        Fault("no_done", probability=0.02),
        Fault("refuse", seconds=0.02, every=10),
        Fault("latency", seconds=0.001, probability=0.2),
    ]
    with Emulator(faults=FaultProfile(mix, seed=5)) as emulator, emulator.client() as client:

        def call(number: int) -> type[Exception] | str | None:
            return outcome(client, f"вопрос {number}", stream=number % 5 == 0)

        with ThreadPoolExecutor(8) as pool:
            outcomes = Counter(pool.map(call, range(100)))
        done = Counter(record.kind for record in emulator.faults_done)
    assert all(result is None or isinstance(result, type) for result in outcomes), outcomes
    assert outcomes[None] >= 80, outcomes
    assert len(done) >= 5, done
