"""A set of faults with a seed: `FaultProfile`, from Python or from a TOML file."""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from typing_extensions import Self

from gigachat_sdk.testing._faults import Fault, fault_from

_KEYS = ("seed", "faults")


class FaultProfile:
    """Faults and the seed of their probabilities, for `Emulator(faults=...)`.

    Args:
        faults: The faults; a request meets the first whose turn it is.
        seed: Another seed hits other requests; the same one always the same.

    Raises:
        ValueError: The probabilities of what one request may meet add up to more than 1.
        TypeError: Something else than a `Fault` is given, or the seed is no whole number.

    Example:
        >>> profile = FaultProfile([Fault("status", status=503, probability=0.1)], seed=7)
        >>> print(profile)
        status (status=503), probability 0.1
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._faults = tuple(faults)
        self._seed = seed
        for fault in self._faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"expected a Fault, got {type(fault).__name__}; Fault('latency', seconds=1) makes one")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed: expected a whole number, got {type(seed).__name__}")
        _check_sums(self._faults)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a profile: a `seed`, and a table `[[faults]]` for each fault with the arguments of `Fault` as keys.

        Args:
            path: The file.

        Raises:
            ValueError: The file is no TOML, or something in it is wrong; the message names file, fault and key.
            OSError: The file can't be read.

        Example:
            ```toml
            seed = 7

            [[faults]]
            kind = "status"
            status = 429
            retry_after = 1
            probability = 0.1
            ```
        """
        # in the standard library since Python 3.11, and a type checker knows one of the two at most
        toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
        try:
            return cls._of(toml.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None

    @classmethod
    def _of(cls, document: Mapping[str, object]) -> Self:
        for name in document:
            if name not in _KEYS:
                hint = "; is it a key of a fault, under [[faults]]?" if name in Fault.__dataclass_fields__ else ""
                raise ValueError(f"{name}: a profile has a seed and [[faults]] only{hint}")
        tables = document.get("faults", [])
        if not isinstance(tables, list):
            raise TypeError("faults: expected tables, each under a line [[faults]]")
        faults: list[Fault] = []
        for number, table in enumerate(cast("list[object]", tables), 1):
            if not isinstance(table, dict):
                raise TypeError(f"fault {number}: expected a table, got {type(table).__name__}")
            try:
                faults.append(fault_from(cast("dict[str, object]", table)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"fault {number}: {error}") from None
        seed: Any = document.get("seed", 0)
        return cls(faults, seed=seed)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults."""
        return self._faults

    @property
    def seed(self) -> int:
        """The seed."""
        return self._seed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaultProfile) and (self.faults, self.seed) == (other.faults, other.seed)

    def __hash__(self) -> int:
        return hash((self.faults, self.seed))

    def __repr__(self) -> str:
        return f"FaultProfile({list(self.faults)!r}, seed={self.seed})"

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def _check_sums(faults: Iterable[Fault]) -> None:
    """Refuse probabilities that cannot all be kept: a request meets one fault, beside a latency."""
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.kind if fault.kind in ("latency", "refuse") else "", []).append(fault)
    for group in groups.values():
        for path in {fault.path or "/v1/any" for fault in group}:
            for method in {fault.method or "ANY" for fault in group}:
                total = sum(fault.probability or 0 for fault in group if fault.concerns(method, path))
                if total > 1 + 1e-9:
                    where = "" if path == "/v1/any" else f" for {path}"
                    raise ValueError(f"the probabilities{where} add up to {total:.6g}, and a request meets one fault")
