"""Which fault meets which request, and what was done: the memory of one emulator."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gigachat_sdk.testing._fault_profile import FaultProfile
from gigachat_sdk.testing._faults import Fault, FaultRecord
from gigachat_sdk.testing._state import RecordedRequest, plain_path

INSTEAD = frozenset({"status", "revoke_token"})  # kinds that come instead of carrying the request out


@dataclass
class _Rule:
    """A fault, and how often it was its turn."""

    fault: Fault
    seen: int = 0
    done: int = 0

    def take(self, *, drawn: bool, is_free: bool) -> bool:
        """Count one more that the fault fits, and say whether the fault meets it.

        Args:
            drawn: Whether chance has chosen the fault.
            is_free: Whether no other one has come before.
        """
        self.seen += 1
        takes = is_free and self._is_due(drawn)
        self.done += takes
        return takes

    def _is_due(self, drawn: bool) -> bool:
        fault = self.fault
        if fault.times is not None and self.done >= fault.times:
            return False
        if fault.nth is not None:
            return self.seen >= fault.nth  # later where another fault came first
        if fault.every is not None:
            return self.seen % fault.every == 0
        return drawn or fault.probability is None


@dataclass
class Turn:
    """One request that may meet faults.

    Attributes:
        faults: Those of the emulator.
        request: The request.
        number: Where it stands among all requests.
        chances: Numbers that were drawn for it: whether there is a latency, and what else there is.
        is_over: Whether it has met its fault.
    """

    faults: "Faults"
    request: RecordedRequest
    number: int
    chances: tuple[float, float]
    is_over: bool = False

    def instead(self, fits: Callable[[Fault], bool]) -> Fault | None:
        """Choose a fault that comes instead of carrying the request out.

        Args:
            fits: Says whether it can.
        """
        return self._choose(lambda fault: fault.kind in INSTEAD and fits(fault))

    def along(self, fits: Callable[[Fault], bool]) -> Fault | None:
        """Choose a fault that is done to the answer.

        Args:
            fits: Says whether it can be done to this one.
        """
        return self._choose(lambda fault: fault.kind not in INSTEAD and fits(fault))

    def latency(self) -> Fault | None:
        """Choose a latency, which comes beside other faults."""
        return self.faults.choose(self, lambda fault: True, latency=True)

    def note(self, fault: Fault) -> None:
        """Remember a fault that is being done; before the client can see it."""
        self.faults.note(fault, self)

    def _choose(self, fits: Callable[[Fault], bool]) -> Fault | None:
        fault = None if self.is_over else self.faults.choose(self, fits)
        self.is_over = self.is_over or fault is not None
        return fault


class Faults:
    """The faults of one emulator. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seed = 0
        self._rules: list[_Rule] = []
        self._numbers: Counter[str] = Counter()
        self._records: list[FaultRecord] = []
        self._refusal: Fault | None = None  # what the next connection meets

    # ---- the test's side ----

    def use(self, profile: FaultProfile) -> None:
        """Begin with a profile."""
        self._seed = profile.seed
        self.inject(profile.faults)

    def inject(self, faults: Iterable[Fault]) -> None:
        """Put faults before those that are there."""
        new = [_Rule(fault) for fault in faults]
        with self._lock:
            self._rules[:0] = new
            if self._refusal is None:
                self._look_ahead(new)

    def clear(self) -> None:
        """Take all faults away; what was done stays known."""
        with self._lock:
            self._rules.clear()
            self._refusal = None

    def records(self) -> list[FaultRecord]:
        """Give what was done so far."""
        with self._lock:
            return list(self._records)

    # ---- the server's side: requests ----

    def turn(self, request: RecordedRequest, number: int) -> Turn | None:
        """Let a request meet what it may; None where there are no faults at all.

        Args:
            request: The request.
            number: Where it stands among all requests.
        """
        with self._lock:
            if not self._rules:
                return None
            key = f"{request.method} {plain_path(request.path)} {request.headers.get('x-request-id', '')}"
            return Turn(self, request, number, self._draw(key))

    def choose(self, turn: Turn, fits: Callable[[Fault], bool], *, latency: bool = False) -> Fault | None:
        """Choose the fault whose turn it is among those that fit, and count for all of these.

        Args:
            turn: The request.
            fits: Says whether a fault is asked for here.
            latency: Whether it is about latencies or about all others.
        """
        chosen: Fault | None = None
        with self._lock:
            begin = 0.0
            for rule in self._rules:
                fault = rule.fault
                if (fault.kind == "latency") is latency and fault.concerns(turn.request.method, turn.request.path):
                    end = begin + (fault.probability or 0.0)
                    drawn = begin <= turn.chances[latency] < end
                    begin = end
                    if fault.kind != "refuse" and fits(fault) and rule.take(drawn=drawn, is_free=chosen is None):
                        chosen = fault
        return chosen

    def note(self, fault: Fault, turn: Turn | None) -> None:
        """Remember a fault that is being done, to a request or to a connection."""
        sent = turn.request if turn else None
        with self._lock:
            self._records.append(
                FaultRecord(
                    number=len(self._records) + 1,
                    fault=fault,
                    method=sent.method if sent else None,
                    path=sent.path if sent else None,
                    request=turn.number if turn else None,
                    request_id=sent.headers.get("x-request-id") if sent else None,
                )
            )

    # ---- the server's side: connections ----

    def connected(self) -> bool:
        """Count a connection that was taken; say whether the next one is to be refused."""
        with self._lock:
            if self._refusal is None:
                self._look_ahead(self._rules)
            return self._refusal is not None

    def refusal(self) -> Fault | None:
        """Take what the next connection meets; the one after it may meet the next fault."""
        with self._lock:
            fault, self._refusal = self._refusal, None
            if fault is not None:
                self._look_ahead(self._rules)
        if fault is not None:
            self.note(fault, None)
        return fault

    def _look_ahead(self, rules: Iterable[_Rule]) -> None:
        """Decide what the next connection meets."""
        refusals = [rule for rule in rules if rule.fault.kind == "refuse"]
        if not refusals:
            return
        chance, _ = self._draw("connection")
        begin = 0.0
        for rule in refusals:
            end = begin + (rule.fault.probability or 0.0)
            if rule.take(drawn=begin <= chance < end, is_free=self._refusal is None):
                self._refusal = rule.fault
            begin = end

    def _draw(self, key: str) -> tuple[float, float]:
        """Draw two numbers that follow from the seed, the key, and how often it was there."""
        self._numbers[key] += 1
        drawn = random.Random(f"{self._seed} {self._numbers[key]} {key}")  # noqa: S311 - no secret
        return drawn.random(), drawn.random()
