"""`ChatMapper` without Ray: the kinds of batches that Ray Data gives."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gigachat_sdk import (
    InvalidRequestError,
)
from gigachat_sdk.testing import Emulator

from .conftest import CHAT, asked, asking


class Values:
    """A column: NumPy's, pandas' or Arrow's."""

    ndim = 1

    def __init__(self, values: Any, kind: object = None) -> None:
        self.kept, self.kind = list(values), kind

    def tolist(self) -> list[Any]:
        return self.kept


class Arrow(Values):
    tolist = None  # type: ignore[assignment]  # Arrow's columns have another name for it

    def to_pylist(self) -> list[Any]:
        return self.kept


class Pictures(Values):
    ndim = 3

    def tolist(self) -> list[Any]:
        raise AssertionError("an array of arrays is not taken apart")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.kept)


class Columns:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns
        self.column_names = list(columns)


class Frame(Columns):
    def __iter__(self) -> Iterator[str]:
        return iter(self.column_names)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def assign(self, **columns: Any) -> Frame:
        return type(self)({**self.columns, **columns})


class Table(Columns):
    def column(self, name: str) -> Any:
        return self.columns[name]

    def append_column(self, name: str, column: Any) -> Table:
        return type(self)({**self.columns, name: column})


FrameOfPandas = type("FrameOfPandas", (Frame,), {"__module__": "pandas.core.frame"})
TableOfArrow = type("TableOfArrow", (Table,), {"__module__": "pyarrow.lib"})


@pytest.fixture
def _arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = SimpleNamespace(array=lambda values, **more: Arrow(values, more["type"]), string=lambda: "text")
    pandas = SimpleNamespace(array=lambda values, dtype: Values(values, dtype), ArrowDtype=lambda kind: f"Arrow {kind}")
    fakes: dict[str, Any] = {"pyarrow": arrow, "pandas": pandas}
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)


def test_whole_requests_come_as_structs_or_as_json_text(mapper: Any, account: Emulator) -> None:
    struct = {"messages": Values([{"role": "user", "content": "a", "name": None}]), "temperature": None}
    document = json.dumps({"id": "7", "request": asking("b")})
    answered = mapper(request_column="request")({"request": [struct, document, {**struct, "id": "7"}, {"id": "7"}]})
    assert answered["response"] == ["a!", "b!", "a!", None]
    assert answered["error"][3] == "TypeError: create() missing 1 required keyword-only argument: 'messages'"
    assert sorted(asked(account)) == ["a", "a", "b"]
    assert {tuple(sent.json()["messages"][0]) for sent in account.requests_to(CHAT)} == {("role", "content")}


@pytest.mark.usefixtures("_arrow")
def test_columns_of_arrays_get_columns_that_say_they_are_text(mapper: Any) -> None:
    picture = Pictures([[[0]], [[1]]])
    batch = {"text": Values(["a", "b"]), "picture": picture}
    answered = mapper(make_request=lambda row: asking(f"{row['text']}{row['picture'][0][0]}"))(batch)
    assert answered["picture"] is picture
    assert (answered["response"].kept, answered["response"].kind) == (["a0!", "b1!"], "text")
    assert (answered["error"].kept, answered["error"].kind) == ([None, None], "text")


@pytest.mark.usefixtures("_arrow")
def test_a_data_frame_gets_columns(mapper: Any) -> None:
    frame = FrameOfPandas({"text": Values(["a", None])})
    answered = mapper(prompt_column="text")(frame)
    assert type(answered) is FrameOfPandas
    assert list(frame) == ["text"]
    assert (answered["response"].kept, answered["response"].kind) == (["a!", None], "Arrow text")
    assert [text is None for text in answered["error"].kept] == [True, False]


@pytest.mark.usefixtures("_arrow")
def test_a_table_gets_columns(mapper: Any) -> None:
    table = TableOfArrow({"text": Arrow(["a", "b"])})
    answered = mapper(prompt_column="text", output_column="answer", error_column="why")(table)
    assert answered.column_names == ["text", "answer", "why"]
    assert (answered.column("answer").kept, answered.column("answer").kind) == (["a!", "b!"], "text")


@pytest.mark.parametrize("batch", [[{"text": "a"}], Table({"text": []}), "text"])
def test_other_batches_are_refused(batch: Any, mapper: Any) -> None:
    with pytest.raises(InvalidRequestError, match='is nothing known here; give map_batches batch_format="numpy"'):
        mapper(prompt_column="text")(batch)


def test_a_batch_without_the_column_is_refused(mapper: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no column 'txt'; it has 'id', 'text'"):
        mapper(prompt_column="txt")({"id": [1], "text": ["a"]})


@pytest.mark.parametrize("name", ["response", "error"])
def test_a_column_is_not_overwritten(name: str, mapper: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"has a column '{name}' already; name another"):
        mapper(prompt_column="text")({"text": ["a"], name: ["kept"]})
