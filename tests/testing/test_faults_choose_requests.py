"""Which request meets which fault: counted, drawn, and always the same."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from gigachat_sdk.testing import Fault, FaultProfile, RecordedRequest
from gigachat_sdk.testing._fault_choice import Faults

CHAT = "/v1/chat/completions"


def request(path: str = CHAT, method: str = "POST", request_id: str | None = None) -> RecordedRequest:
    headers = {} if request_id is None else {"x-request-id": request_id}
    return RecordedRequest(method, path, "", headers, b"", "1.1", None, 0.0)


def of(*given: Fault, seed: int = 0) -> Faults:
    faults = Faults()
    faults.use(FaultProfile(given, seed=seed))
    return faults


def met(faults: Faults, sent: RecordedRequest, fits: Iterable[str] | None = None) -> str | None:
    """Let a request come, and give the kind that it meets."""
    turn = faults.turn(sent, 0)
    assert turn is not None
    fault = turn.instead(lambda one: fits is None or one.kind in fits)
    fault = fault or turn.along(lambda one: fits is None or one.kind in fits)
    return fault.kind if fault else None


def meeting(faults: Faults, count: int, sent: RecordedRequest | None = None) -> str:
    """Let some requests come, and draw who met a fault."""
    return "".join("x" if met(faults, sent or request()) else "." for _ in range(count))


@pytest.mark.parametrize(
    ("fault", "drawing"),
    [
        (Fault("garbage"), "xxxxxxx"),
        (Fault("garbage", times=2), "xx....."),
        (Fault("garbage", nth=3), "..x...."),
        (Fault("garbage", nth=3, times=2), "..xx..."),
        (Fault("garbage", every=3), "..x..x."),
        (Fault("garbage", every=3, times=1), "..x...."),
        (Fault("garbage", probability=0), "......."),
        (Fault("garbage", probability=1), "xxxxxxx"),
        (Fault("garbage", probability=1, times=2), "xx....."),
    ],
)
def test_a_rule_says_which(fault: Fault, drawing: str) -> None:
    assert meeting(of(fault), 7) == drawing


def test_without_faults_nobody_has_a_turn() -> None:
    assert of().turn(request(), 0) is None


def test_others_are_not_counted() -> None:
    faults = of(Fault("garbage", path=CHAT, method="POST", nth=2))
    assert meeting(faults, 1) == "."
    assert meeting(faults, 3, request("/v1/models")) + meeting(faults, 3, request(method="GET")) == "......"
    assert meeting(faults, 1) == "x"


def test_answers_that_it_does_not_fit_are_not_counted() -> None:
    faults = of(Fault("no_done", nth=2))
    assert [met(faults, request(), fits=fits) for fits in (["no_done"], [], [], ["no_done"])] == [
        None,
        None,
        None,
        "no_done",
    ]


def test_the_first_in_the_order_comes_first_and_the_other_waits() -> None:
    faults = of(Fault("garbage", times=2), Fault("no_done", nth=1), Fault("status", nth=5))
    assert [met(faults, request()) for _ in range(6)] == ["garbage", "garbage", "no_done", None, "status", None]


def test_a_fault_instead_of_the_answer_leaves_none_for_the_answer() -> None:
    faults = of(Fault("status", times=1), Fault("garbage", times=1))
    turn = faults.turn(request(), 0)
    assert turn is not None
    assert turn.instead(lambda fault: True) == Fault("status", times=1)
    assert turn.along(lambda fault: True) is None
    assert met(faults, request()) == "garbage"


def test_a_latency_comes_beside_the_others() -> None:
    faults = of(Fault("latency", seconds=1, every=2), Fault("garbage", times=1))
    turns = [faults.turn(request(), number) for number in range(2)]
    assert [turn and turn.along(lambda fault: True) for turn in turns] == [Fault("garbage", times=1), None]
    assert [turn and turn.latency() for turn in turns] == [None, Fault("latency", seconds=1, every=2)]


def test_injected_faults_come_before_the_others_and_count_anew() -> None:
    faults = of(Fault("garbage"))
    assert met(faults, request()) == "garbage"
    faults.inject([Fault("no_done", nth=2), Fault("status", times=1)])
    assert [met(faults, request()) for _ in range(3)] == ["status", "garbage", "no_done"]
    faults.clear()
    assert faults.turn(request(), 0) is None


# ---- chance ----


@pytest.mark.parametrize("request_id", [None, "the same for all"])
def test_chance_keeps_the_probabilities(request_id: str | None) -> None:
    faults = of(
        Fault("status", probability=0.1), Fault("garbage", probability=0.05), Fault("no_done", probability=0.15)
    )
    kinds = Counter(met(faults, request(request_id=request_id)) for _ in range(4000))
    assert kinds["status"] == pytest.approx(400, rel=0.2)
    assert kinds["garbage"] == pytest.approx(200, rel=0.25)
    assert kinds["no_done"] == pytest.approx(600, rel=0.2)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    drawings = [meeting(of(Fault("garbage", probability=0.5), seed=seed), 50) for seed in (1, 1, 2)]
    assert drawings[0] == drawings[1] != drawings[2]
    assert drawings[0] == "x..xxx.....xx...x..xxxxx.x..xxx..x..x....xxx...x..", "it is the same in every process"


def test_an_endpoint_does_not_disturb_another() -> None:
    faults = of(Fault("garbage", probability=0.5))
    models = request("/v1/models", "GET")
    alternating = "".join(meeting(faults, 1) + meeting(faults, 1, models) for _ in range(20))
    assert alternating[::2] == meeting(of(Fault("garbage", probability=0.5)), 20)
    assert alternating[1::2] == meeting(of(Fault("garbage", probability=0.5)), 20, models)
    assert alternating[::2] != alternating[1::2]


def test_requests_with_ids_meet_the_same_in_any_order() -> None:
    def outcome(order: list[int]) -> dict[int, str]:
        faults = of(Fault("garbage", probability=0.3), Fault("status", probability=0.3))
        return {number: f"{met(faults, request(request_id=f'call {number}'))}" for number in order}

    order = list(range(100))
    in_order = outcome(order)
    random.Random(0).shuffle(order)
    assert outcome(order) == in_order
    assert len(set(in_order.values())) == 3


def test_a_retry_with_the_same_id_draws_again() -> None:
    drawing = meeting(of(Fault("garbage", probability=0.5)), 20, request(request_id="one"))
    assert set(drawing) == {"x", "."}


def test_the_chance_of_a_latency_is_its_own() -> None:
    faults = of(Fault("latency", seconds=1, probability=0.5), Fault("garbage", probability=0.5))
    both = Counter[tuple[bool, bool]]()
    for number in range(400):
        turn = faults.turn(request(), number)
        assert turn is not None
        both[turn.latency() is not None, turn.along(lambda fault: True) is not None] += 1
    assert len(both) == 4
    assert all(count == pytest.approx(100, rel=0.4) for count in both.values())


# ---- what was done ----


def test_what_was_done_is_known() -> None:
    faults = of(Fault("garbage"))
    turn = faults.turn(request("/api/v1/models", "GET", "call 5"), 7)
    assert turn is not None
    turn.note(Fault("garbage"))
    faults.note(Fault("refuse", seconds=1), None)
    faults.clear()
    first, second = faults.records()
    assert (first.number, first.kind, first.fault) == (1, "garbage", Fault("garbage"))
    assert (first.method, first.path, first.request, first.request_id) == ("GET", "/api/v1/models", 7, "call 5")
    assert (second.number, second.kind) == (2, "refuse")
    assert (second.method, second.path, second.request, second.request_id) == (None, None, None, None)
    faults.records().clear()
    assert len(faults.records()) == 2


# ---- connections ----


def refusals(faults: Faults, count: int) -> str:
    """Let some connections come, and draw which are refused."""
    drawing = ""
    for _ in range(count):
        if faults.refusal() is not None:
            drawing += "x"
        else:
            faults.connected()
            drawing += "."
    return drawing


@pytest.mark.parametrize(
    ("fault", "drawing"),
    [
        (Fault("refuse"), "x......"),
        (Fault("refuse", seconds=1), "x......"),
        (Fault("refuse", seconds=1, times=2), "xx....."),
        (Fault("refuse", seconds=1, nth=3), "..x...."),
        (Fault("refuse", nth=3), "..x...."),
        (Fault("refuse", seconds=1, every=3), "..x..x."),
        (Fault("refuse", seconds=1, probability=1), "xxxxxxx"),
    ],
)
def test_a_rule_says_which_connection(fault: Fault, drawing: str) -> None:
    faults = of(fault, Fault("garbage"))
    assert refusals(faults, 7) == drawing
    assert [record.kind for record in faults.records()] == ["refuse"] * drawing.count("x")


def test_connections_are_refused_by_chance() -> None:
    faults = of(Fault("refuse", seconds=1, probability=0.2), Fault("refuse", seconds=2, probability=0.2))
    drawing = refusals(faults, 1000)
    assert drawing.count("x") == pytest.approx(400, rel=0.2)
    assert {record.fault.seconds for record in faults.records()} == {1, 2}
    assert refusals(of(Fault("refuse", seconds=1, probability=0.4)), 1000) == drawing


def test_requests_do_not_meet_a_refusal() -> None:
    faults = of(Fault("refuse"), Fault("garbage", nth=1))
    assert met(faults, request()) == "garbage"


def test_the_connection_before_says_so() -> None:
    faults = of(Fault("refuse", seconds=1, nth=3))
    assert [faults.connected(), faults.connected()] == [False, True]
    assert faults.connected(), "one that came in the same moment counts no more"
    assert faults.refusal() is not None
    assert [faults.connected(), faults.refusal()] == [False, None]


def test_an_injected_refusal_is_for_the_next_connection() -> None:
    faults = of(Fault("refuse", seconds=1, nth=3))
    faults.connected()
    faults.inject([Fault("refuse", seconds=2)])
    faults.inject([Fault("refuse", seconds=3)])
    assert [fault and fault.seconds for fault in (faults.refusal(), faults.refusal(), faults.refusal())] == [2, 3, 1]
    faults.inject([Fault("refuse")])
    faults.clear()
    assert faults.refusal() is None
