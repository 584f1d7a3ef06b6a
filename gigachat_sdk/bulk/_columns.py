"""Batches of Ray Data, whose columns are NumPy's, pandas' or Arrow's; none of these is imported before it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from ..errors import InvalidRequestError, InvalidRequestTypeError
from ..types._narrow import is_dict, is_sequence


class Batch:
    """A batch, whatever its columns are made of.

    Args:
        given: A dict of columns (arrays or lists), a `pandas.DataFrame` or a `pyarrow.Table`.

    Raises:
        InvalidRequestTypeError: It is something else.
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        self._maker = _maker_of(given)
        if self._maker == "pyarrow":
            self._columns: dict[str, Any] = {name: given.column(name) for name in given.column_names}
        elif self._maker in ("dict", "pandas"):
            self._columns = {name: given[name] for name in given}
        else:
            raise InvalidRequestTypeError(
                f"batch: a {type(given).__module__}.{type(given).__qualname__} is nothing known here; give map_batches "
                'batch_format="numpy", "pandas" or "pyarrow"',
                param="batch",
            )

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return list(self._columns)

    def values(self, name: str) -> list[Any]:
        """Return the values of a column as Python's own, as far as there are such.

        Raises:
            InvalidRequestError: There is no such column.
        """
        if name not in self._columns:
            there = ", ".join(map(repr, self._columns))
            raise InvalidRequestError(f"the batch has no column {name!r}; it has {there}", param=name)
        return _listed(self._columns[name])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield its rows."""
        columns = [_listed(column) for column in self._columns.values()]
        for row in zip(*columns, strict=True):
            yield dict(zip(self._columns, row, strict=True))

    def with_texts(self, columns: Mapping[str, list[str | None]]) -> Any:
        """Return a batch of the same kind with further columns of text; the given one stays as it is.

        Where there is Arrow the columns say that they are text even if none of their rows has one: parts of a dataset
        would not fit together otherwise.
        """
        given = self._given
        if self._maker == "pandas":
            pandas, arrow = import_module("pandas"), import_module("pyarrow")
            kind = pandas.ArrowDtype(arrow.string())
            return given.assign(**{name: pandas.array(texts, dtype=kind) for name, texts in columns.items()})
        if self._maker == "pyarrow":
            for name, texts in columns.items():
                given = given.append_column(name, _arrow(texts))
            return given
        is_plain = all(isinstance(column, list) for column in self._columns.values())
        return {**given, **{name: texts if is_plain else _arrow(texts) for name, texts in columns.items()}}


def _maker_of(given: object) -> str:
    """Return whether a batch is a `"dict"`, or which package it comes from."""
    if isinstance(given, dict):
        return "dict"
    packages = [kind.__module__.partition(".")[0] for kind in type(given).__mro__]
    return next((package for package in packages if package in ("pandas", "pyarrow")), "")


def _listed(column: Any) -> list[Any]:
    if hasattr(column, "to_pylist"):
        listed: list[Any] = column.to_pylist()
    elif hasattr(column, "tolist") and column.ndim == 1:
        listed = column.tolist()
    else:  # a list, or an array of arrays
        listed = list(column)
    return listed


def _arrow(texts: Iterable[str | None]) -> Any:
    arrow = import_module("pyarrow")
    return arrow.array(texts, type=arrow.string())


def plain_struct(value: Any) -> Any:
    """Return a value of a column of structs as dicts and lists.

    Structs of a column have the same fields, and None stands for those that a row does not have: they are left out.
    """
    if is_dict(value):
        return {name: plain_struct(item) for name, item in value.items() if item is not None}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain_struct(item) for item in value] if is_sequence(value) else value
