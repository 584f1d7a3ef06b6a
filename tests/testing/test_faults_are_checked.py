"""What a fault may say, and what a profile in TOML may."""

import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from gigachat_sdk.testing import Emulator, Fault, FaultProfile
from gigachat_sdk.testing._faults import FaultKind

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {"latency": {"seconds": 1}}


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_every_kind_can_be_made_told_and_compared(kind: FaultKind) -> None:
    fault = Fault(kind, **NEEDS.get(kind, {}))
    assert fault == Fault(kind, **NEEDS.get(kind, {}))
    assert str(fault).startswith(kind)
    assert f"- `{kind}`: " in str(Fault.__doc__)


def test_a_kind_has_defaults_for_its_own_keys_only() -> None:
    assert (Fault("status").status, Fault("status").html, Fault("status").how) == (500, False, None)
    assert (Fault("reset_in_event").how, Fault("reset_in_event").after_events) == ("reset", 1)
    assert (Fault("slow_body").seconds, Fault("slow_body").chunk_size) == (0.01, 64)
    assert Fault("wrong_content_length").off_by == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "bang"}, "kind: 'bang' is none; there are latency, slow_body, .*endless_comments"),
        ({"kind": "slowbody"}, "kind: 'slowbody' is none; did you mean 'slow_body'?"),
        ({"kind": "latency"}, "seconds: latency needs it"),
        ({"kind": "status", "seconds": 1}, "seconds: status does not take it, latency, .* do; it takes status, retry"),
        ({"kind": "no_done", "off_by": 1}, "off_by: no_done does not take it, wrong_content_length does; it takes not"),
        ({"kind": "status", "status": 200}, "status: expected from 300 to 599, got 200"),
        ({"kind": "status", "retry_after": -1}, "retry_after: expected 0 or more, got -1"),
        ({"kind": "status", "retry_after": "1\r\nX: y"}, "retry_after: '1.r.nX: y' can't be the value of a header"),
        ({"kind": "status", "probability": 1.1}, "probability: expected from 0 to 1, got 1.1"),
        ({"kind": "latency", "seconds": float("inf")}, "seconds: expected 0 or more, got inf"),
        ({"kind": "latency", "seconds": float("nan")}, "seconds: expected 0 or more, got nan"),
        ({"kind": "garbage", "nth": 0}, "nth: expected 1 or more, got 0"),
        ({"kind": "garbage", "every": 0}, "every: expected 1 or more, got 0"),
        ({"kind": "garbage", "times": 0}, "times: expected 1 or more, got 0"),
        ({"kind": "garbage", "nth": 1, "every": 2}, "every: nth chooses already; give one of the two"),
        ({"kind": "garbage", "probability": 0.1, "nth": 2}, "nth: probability chooses already"),
        ({"kind": "garbage", "path": "/models"}, "path: '/models' is no whole path; write it with its version"),
        ({"kind": "garbage", "method": "post"}, "method: 'post' is no HTTP method in capitals"),
        ({"kind": "wrong_content_length", "off_by": 0}, "off_by: 0 would be the right content length"),
        ({"kind": "reset_in_body", "how": "fin"}, "how: 'fin' is none; there are reset, close, stream"),
        ({"kind": "slow_body", "chunk_size": 0}, "chunk_size: expected 1 or more, got 0"),
        ({"kind": "revoke_token", "path": "/api/v2/oauth"}, "path: at /api/v2/oauth there is no token yet"),
        ({"kind": "refuse", "path": "/v1/models"}, "path: refuse takes none"),
        ({"kind": "refuse", "method": "GET"}, "method: refuse takes none"),
        ({"kind": "refuse", "every": 2}, "seconds: refuse needs it here, or the first time would last for ever"),
        ({"kind": "refuse", "times": 2}, "seconds: refuse needs it here"),
        ({"kind": "refuse", "probability": 0.5}, "seconds: refuse needs it here"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": 5}, "kind: expected a text, got int"),
        ({"kind": "status", "status": "500"}, "status: expected a whole number, got str"),
        ({"kind": "status", "status": 500.0}, "status: expected a whole number, got float"),
        ({"kind": "status", "retry_after": [1]}, "retry_after: expected a number or a text, got list"),
        ({"kind": "status", "html": 1}, "html: expected true or false, got int"),
        ({"kind": "latency", "seconds": "1"}, "seconds: expected a number, got str"),
        ({"kind": "latency", "seconds": True}, "seconds: expected a number, got bool"),
        ({"kind": "garbage", "nth": True}, "nth: expected a whole number, got bool"),
        ({"kind": "garbage", "path": 1}, "path: expected a text, got int"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Fault(**arguments)


def test_a_fault_shows_what_it_is() -> None:
    assert repr(Fault("latency", seconds=1, nth=2)) == "Fault('latency', nth=2, times=1, seconds=1)"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("garbage"), "garbage"),
        (Fault("garbage", method="GET", nth=3), "garbage on GET, number 3"),
        (
            Fault("status", status=429, retry_after=0, path="/v1/models", probability=0.25),
            "status (status=429, retry_after=0) on /v1/models, probability 0.25",
        ),
        (Fault("no_done", path="/v1/*", every=2, times=5), "no_done on /v1/*, every 2, 5 times at most"),
        (Fault("garbage", nth=3, times=2), "garbage, number 3, 2 times at most"),
        (Fault("refuse", seconds=0.5), "refuse (seconds=0.5), 1 time at most"),
    ],
)
def test_a_fault_is_told_in_one_line(fault: Fault, told: str) -> None:
    assert str(fault) == told


@pytest.mark.parametrize(
    ("fault", "method", "path", "met"),
    [
        (Fault("garbage"), "GET", "/v1/models", True),
        (Fault("garbage"), "POST", "/v2/chat/completions", True),
        (Fault("garbage"), "POST", "/api/v2/oauth", False),
        (Fault("garbage"), "POST", "/v1/token", False),
        (Fault("garbage", path="/api/v2/oauth"), "POST", "/api/v2/oauth", True),
        (Fault("garbage", path="/v1/models"), "GET", "/api/v1/models", True),
        (Fault("garbage", path="/api/v1/models"), "GET", "/v1/models", True),
        (Fault("garbage", path="/v1/models"), "GET", "/v1/models/GigaChat", False),
        (Fault("garbage", path="/v1/files/*/content"), "GET", "/v1/files/a.b/content", True),
        (Fault("garbage", path="/v1/files/*"), "GET", "/v1/file", False),
        (Fault("garbage", path="/v1/m.dels"), "GET", "/v1/models", False),
        (Fault("garbage", method="GET"), "POST", "/v1/models", False),
    ],
)
def test_a_fault_concerns_what_it_names(fault: Fault, method: str, path: str, met: bool) -> None:
    assert fault.concerns(method, path) is met


# ---- profiles ----


def test_a_profile_keeps_its_faults_and_its_seed() -> None:
    faults = [Fault("garbage", nth=1), Fault("no_done", nth=2)]
    profile = FaultProfile(iter(faults), seed=3)
    assert (profile.faults, profile.seed) == (tuple(faults), 3)
    assert profile == FaultProfile(faults, seed=3)
    assert hash(profile) == hash(FaultProfile(faults, seed=3))
    assert profile not in (FaultProfile(faults), FaultProfile(faults[:1], seed=3), faults)
    assert repr(FaultProfile(seed=1)) == "FaultProfile([], seed=1)"
    assert str(profile).splitlines() == [str(fault) for fault in faults]


def test_a_profile_takes_faults_and_a_number() -> None:
    wrong: Any = "latency"
    with pytest.raises(TypeError, match="expected a Fault, got str"):
        FaultProfile([wrong])
    with pytest.raises(TypeError, match="seed: expected a whole number, got str"):
        FaultProfile(seed=wrong)
    with pytest.raises(TypeError, match="seed: expected a whole number, got bool"):
        FaultProfile(seed=True)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([Fault("garbage", probability=0.6), Fault("no_done", probability=0.5)], "the probabilities add up to 1.1"),
        (
            [Fault("garbage", path="/v1/files/*", probability=0.6), Fault("no_done", probability=0.5)],
            r"the probabilities for /v1/files/\* add up to 1.1",
        ),
        (
            [Fault("garbage", method="GET", probability=0.6), Fault("no_done", probability=0.5)],
            "the probabilities add up to 1.1, and a request meets one fault",
        ),
    ],
)
def test_probabilities_that_cannot_be_kept_are_refused(faults: list[Fault], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaultProfile(faults)


def test_probabilities_of_different_requests_are_not_added() -> None:
    FaultProfile(
        [
            Fault("garbage", path="/v1/models", probability=0.6),
            Fault("garbage", path="/v1/files", probability=0.6),
            Fault("garbage", method="PUT", path="/v1/x", probability=0.6),
            Fault("garbage", method="GET", path="/v1/x", probability=0.6),
            Fault("latency", seconds=1, probability=0.9),
            Fault("refuse", seconds=1, probability=0.9),
            Fault("no_done"),
            Fault("truncated_json"),
        ]
    )


# ---- TOML ----


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "faults.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_profile_is_read_from_toml(tmp_path: Path) -> None:
    file = written(
        tmp_path, 'seed = 7\n[[faults]]\nkind = "latency"\nseconds = 1\n[[faults]]\nkind = "no_done"\nevery = 2\n'
    )
    expected = FaultProfile([Fault("latency", seconds=1), Fault("no_done", every=2)], seed=7)
    assert FaultProfile.from_toml(file) == FaultProfile.from_toml(str(file)) == expected


def test_an_empty_profile_is_one(tmp_path: Path) -> None:
    assert FaultProfile.from_toml(written(tmp_path, "")) == FaultProfile()


def test_before_python_3_11_another_library_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomli:
        @staticmethod
        def loads(text: str) -> dict[str, object]:
            return {"seed": len(text)}

    monkeypatch.setitem(sys.modules, "tomli", Tomli)
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    assert FaultProfile.from_toml(written(tmp_path, "1234")).seed == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[faults]]\nkind = = 1", "faults.toml: .*line 2"),
        ("\u0000", "faults.toml: "),
        ("sed = 1", r"faults.toml: sed: a profile has a seed and \[\[faults\]\] only$"),
        ('kind = "latency"', r"faults.toml: kind: .* only; is it a key of a fault, under \[\[faults\]\]\?"),
        ("seed = 1.5", "faults.toml: seed: expected a whole number, got float"),
        ("faults = 1", r"faults.toml: faults: expected tables, each under a line \[\[faults\]\]"),
        ("faults = [1]", "faults.toml: fault 1: expected a table, got int"),
        ("[[faults]]\nseconds = 1", "faults.toml: fault 1: kind: it is missing"),
        (
            '[[faults]]\nkind = "garbage"\n[[faults]]\nkind = "latency"\nsecond = 1',
            "faults.toml: fault 2: second: there is no such key; did you mean 'seconds'?",
        ),
        ('[[faults]]\nkind = "garbage"\nzzz = 1', "fault 1: zzz: there is no such key; there are kind, path, method"),
        ('[[faults]]\nkind = "garbage"\n_ = 1', "fault 1: _: there is no such key"),
        ('[[faults]]\nkind = "latency"\nseconds = "1"', "faults.toml: fault 1: seconds: expected a number, got str"),
        ('[[faults]]\nkind = "status"\nstatus = 5', "faults.toml: fault 1: status: expected from 300 to 599, got 5"),
        ('[[faults]]\nkind = "garbage"\nprobability = 1\n' * 2, "faults.toml: the probabilities add up to 2"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        FaultProfile.from_toml(written(tmp_path, text))
    assert "\n" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"faults\.toml: .* codec"):
        FaultProfile.from_toml(tmp_path / "faults.toml")


def test_a_file_that_is_not_there_stays_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Emulator(faults=tmp_path / "nothing.toml")


def test_the_example_meets_one_request_in_five() -> None:
    profile = FaultProfile.from_toml(ROOT / "examples" / "faults.toml")
    drawn = [fault.probability or 0 for fault in profile.faults if fault.kind != "latency"]
    assert sum(drawn) == pytest.approx(0.2)
