"""What threads and tasks do alike: order, errors beside results, the journal, how far they read ahead."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    BadRequestError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    bulk,
    request_context,
    types,
)
from gigachat_sdk.bulk import BulkProgress, JournalError
from gigachat_sdk.errors import InvalidRequestTypeError
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, Engine, asked, asking, lines, numbered, refusing, texts
from .gates import held

BAD = Reply.error(400, "Bad Request")


# ---- results ----


def test_results_come_in_the_order_of_the_requests(engine: Engine, emulator: Emulator) -> None:
    def is_answered(number: int) -> bool:
        answered = [request for request in emulator.requests_to(CHAT) if request.status is not None]
        return str(number) in [request.json()["messages"][0]["content"] for request in answered]

    no = {"status": 400, "message": "no"}  # later than what comes after it
    late = {number: held(no, partial(is_answered, number + 1), status=400) for number in range(0, 40, 7)}
    refusing(emulator, {str(number): reply for number, reply in late.items()})
    results = engine.results(iter(numbered(40)), concurrency=5)
    assert [result.index for result in results] == list(range(40))
    assert [result.request for result in results] == numbered(40)
    assert [result.index for result in results if result.error] == list(range(0, 40, 7))
    assert texts([result for result in results if not result.error]) == [
        str(number) for number in range(40) if number % 7
    ]
    assert 1 < emulator.max_in_flight <= 5
    assert not any(result.from_journal for result in results)


def test_results_come_as_they_finish(engine: Engine, emulator: Emulator) -> None:
    is_last_asked = threading.Event()
    seen: list[int] = []

    def handler(request: RecordedRequest) -> Reply | None:
        if request.json()["messages"][0]["content"] == "0" and not is_last_asked.is_set():
            return Reply.error(429, "later", headers={"Retry-After": "0"})
        return None

    def progress(state: BulkProgress) -> None:
        seen.append(state.done)
        if state.done == 9:
            is_last_asked.set()

    emulator.on(CHAT, handler)
    results = engine.results(numbered(10), ordered=False, concurrency=3, max_retries=10_000, progress=progress)
    assert results[-1].index == 0
    assert sorted(result.index for result in results) == list(range(10))
    assert seen == list(range(1, 11))


def test_no_requests_no_results(engine: Engine, journal: Path) -> None:
    assert engine.results([], journal) == []
    assert journal.read_bytes() == b""


def test_an_id_is_kept(engine: Engine, journal: Path) -> None:
    requests = [{"id": "a", "request": asking("Раз")}, {"id": 2, **asking("Два")}, asking("Три")]
    results = engine.results(requests, journal)
    assert [result.id for result in results] == ["a", 2, None]
    assert results[1].request == asking("Два")
    assert sorted((line["index"], line.get("id")) for line in lines(journal)) == [(0, "a"), (1, 2), (2, None)]


def test_errors_stand_beside_results(engine: Engine, emulator: Emulator, journal: Path) -> None:
    refusing(emulator, {"bad": BAD, "down": Reply.error(503, "down"), "busy": Reply.error(429, "busy")})
    requests = [
        asking("bad"),
        asking("Раз"),
        asking("down"),
        asking("busy"),
        {"messages": []},
        {"nachrichten": []},
        asking("Два", stream=True),
        asking("Три", model="GigaChat-99"),
        asking("Четыре", on_retry=5),
        asking("Пять"),
    ]
    kinds = [
        BadRequestError,
        None,
        InternalServerError,
        RateLimitError,
        InvalidRequestError,
        TypeError,
        InvalidRequestError,
        NotFoundError,
        InvalidRequestTypeError,
        None,
    ]
    results = engine.results(requests, journal, concurrency=3)
    assert [result.error and type(result.error) for result in results] == kinds
    assert all(result.error is None or result.error.__context__ is None for result in results)
    assert all(isinstance(result.error, TypeError) or not frames(result.error) for result in results)
    with pytest.raises(BadRequestError):
        results[0].unwrap()

    count = len(emulator.requests_to(CHAT))
    again = engine.results(requests, journal, concurrency=3)
    assert [result.error and type(result.error) for result in again] == kinds
    assert [result.from_journal for result in again] == [number not in (2, 3, 8) for number in range(10)]
    assert sorted(asked(emulator)[count:]) == ["busy", "down"]
    assert [str(result.error) for result in again if result.from_journal and result.error] == [
        str(result.error) for result in results if result.error and result.index not in (2, 3, 8)
    ]
    error = again[0].error
    assert isinstance(error, BadRequestError)
    assert error.request_id == results[0].error.request_id  # type: ignore[union-attr]  # there is one

    count = len(emulator.requests_to(CHAT))
    emulator.on(CHAT, None)
    mended = engine.results(requests, journal, concurrency=3, retry_errors=True)
    assert sorted(asked(emulator)[count:]) == ["bad", "busy", "down", "Три"]
    assert [result.index for result in mended if result.error is None] == [0, 1, 2, 3, 9]
    assert sorted(line["index"] for line in lines(journal)) == list(range(10))


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ({"deadline": -1}, {"deadline": 60}),
        ({"timeout": "5s"}, {"timeout": 60}),
        ({"extra_headers": {"A": "б"}}, {"extra_headers": {"A": "b"}}),
        ({"on_retry": 5}, {}),
    ],
)
def test_a_refused_option_is_mended_with_the_same_journal(
    engine: Engine, journal: Path, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    (refused,) = engine.results([{"id": "a", "request": asking("Раз", **bad)}], journal)
    assert isinstance(refused.error, InvalidRequestError)
    assert [line["is_final"] for line in lines(journal)] == [False]
    assert texts(engine.results([{"id": "a", "request": asking("Раз", **good)}], journal)) == ["Раз"]
    assert len(lines(journal)) == 1


def frames(error: Exception | None) -> object:
    """The frames that an error holds on to, with all that is in them."""
    return None if error is None else error.__traceback__


def test_the_client_retries(engine: Engine, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def async_sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr("gigachat_sdk._async.transport.async_sleep", async_sleep)
    monkeypatch.setattr("gigachat_sdk._sync.transport.sleep", lambda seconds: None)
    told: list[str] = []
    own: list[str] = []
    settings = {"on_retry": lambda info: told.append(info.error.message[:3])}
    emulator.reply(CHAT, Reply.error(503, "down"), times=5)
    requests = [asking("Раз")]
    (result,) = engine.results(requests, settings=settings, max_retries=None)
    assert texts([result]) == ["Раз"]
    assert told == ["503"] * 5
    emulator.reply(CHAT, Reply.error(503, "down"), times=2)
    requests = [asking("Раз", max_retries=1, on_retry=lambda info: own.append(info.error.message[:3]))]
    (result,) = engine.results(requests, settings=settings)
    assert isinstance(result.error, InternalServerError)
    assert (len(told), own) == (5, ["503"])


@pytest.mark.parametrize(
    ("endpoint", "request_", "model"),
    [
        ("v2.chat.completions.create", {"messages": [{"role": "user", "content": "Раз"}]}, types.v2.ChatCompletion),
        ("embeddings.create", {"input": ["Кошка", "Собака"]}, types.EmbeddingList),
        ("tokens.count", {"input": "Кошка"}, types.TokensCountList),
        ("ai.check", {"input": "слово " * 30}, types.AICheckResult),
        ("filter.check", {"messages": [{"role": "user", "content": "Раз"}]}, types.FilterCheckResult),
    ],
)
def test_other_endpoints(
    engine: Engine, emulator: Emulator, journal: Path, endpoint: Any, request_: Any, model: Any
) -> None:
    (result,) = engine.results([request_], journal, endpoint=endpoint)
    assert isinstance(result.unwrap(), model)
    count = len(emulator.requests)
    (again,) = engine.results([request_], journal, endpoint=endpoint)
    assert again.from_journal
    assert again.unwrap().to_dict() == result.unwrap().to_dict()
    assert len(emulator.requests) == count


def test_context_variables_are_carried_over(engine: Engine, emulator: Emulator) -> None:
    with request_context(session_id="s-1"):
        engine.results(numbered(5), concurrency=3)
    assert [request.headers.get("x-session-id") for request in emulator.requests_to(CHAT)] == ["s-1"] * 5


# ---- the journal ----


def test_a_run_goes_on_where_the_last_one_ended(engine: Engine, emulator: Emulator, journal: Path) -> None:
    engine.results(numbered(6), journal)
    results = engine.results(iter(numbered(10)), journal, concurrency=2)
    assert texts(results) == [str(number) for number in range(10)]
    assert [result.from_journal for result in results] == [True] * 6 + [False] * 4
    assert sorted(asked(emulator)) == sorted(map(str, range(10)))
    assert sorted(line["index"] for line in lines(journal)) == list(range(10))


def test_items_with_ids_may_change_places(engine: Engine, emulator: Emulator, journal: Path) -> None:
    items = [{"id": f"i{number}", "request": asking(str(number))} for number in range(6)]
    engine.results(items[:4], journal)
    results = engine.results(reversed(items), journal)
    assert [(result.index, result.id) for result in results] == [(index, f"i{5 - index}") for index in range(6)]
    assert texts(results) == ["5", "4", "3", "2", "1", "0"]
    assert len(asked(emulator)) == 6


def test_another_request_at_a_place_ends_the_run(engine: Engine, emulator: Emulator, journal: Path) -> None:
    engine.results(numbered(4), journal)
    content = journal.read_bytes()
    changed = [*numbered(2), asking("другой"), *numbered(9)]
    results, error = engine.run(changed, journal)
    assert isinstance(error, JournalError)
    assert str(error).startswith(f"requests[2]: the journal {journal} has an answer to another request at this place; ")
    assert [result.index for result in results] == [0, 1]
    assert (journal.read_bytes(), len(asked(emulator))) == (content, 4)


def test_another_request_under_an_id_ends_the_run(engine: Engine, emulator: Emulator, journal: Path) -> None:
    engine.results([{"id": "a", "request": asking("0")}], journal)
    for changed in (asking("1"), asking("0", model="GigaChat-2-Max")):
        _, error = engine.run([{"id": "a", "request": changed}], journal)
        assert isinstance(error, JournalError)
        assert str(error).startswith(
            f"requests[0]: the journal {journal} has an answer to another request under the id"
        )
    assert asked(emulator) == ["0"]


@pytest.mark.parametrize("has_id", [True, False])
def test_another_model_of_the_client_ends_the_run(
    engine: Engine, emulator: Emulator, journal: Path, has_id: bool
) -> None:
    requests = [{"id": "a", **asking("0")} if has_id else asking("0")]
    engine.results(requests, journal)
    _, error = engine.run(requests, journal, settings={"model": "GigaChat-2-Max"})
    assert isinstance(error, JournalError)
    (again,) = engine.results(requests, journal, settings={"model": "GigaChat"})
    assert again.from_journal


@pytest.mark.parametrize("ids", [("a", "a"), (7, "7")])
@pytest.mark.parametrize("has_journal", [True, False])
def test_the_same_id_twice(engine: Engine, emulator: Emulator, journal: Path, ids: Any, has_journal: bool) -> None:
    items = [{"id": "x", **asking("0")}, {"id": ids[0], **asking("1")}, {"id": ids[1], **asking("2")}, asking("3")]
    results, error = engine.run(items, journal if has_journal else None)
    assert isinstance(error, InvalidRequestError)
    assert str(error) == (
        f"requests[2]: the id {ids[1]!r} is the one of requests[1] already; ids are what answers are known by"
    )
    assert [result.index for result in results] == [0, 1]  # what was begun is finished
    assert sorted(asked(emulator)) == ["0", "1"]
    again, error = engine.run(items, journal if has_journal else None)
    assert isinstance(error, InvalidRequestError)
    assert [result.from_journal for result in again] == [has_journal] * 2


def test_what_is_no_request_ends_the_run(engine: Engine, emulator: Emulator) -> None:
    results, error = engine.run([asking("0"), 5, asking("2")])
    assert isinstance(error, InvalidRequestTypeError)
    assert str(error) == "requests[1]: expected a dict of keywords, got int"
    assert (texts(results), asked(emulator)) == (["0"], ["0"])


def test_a_journal_of_something_else(engine: Engine, emulator: Emulator, journal: Path) -> None:
    journal.write_text("notes\n")
    results, error = engine.run(numbered(3), journal)
    assert isinstance(error, JournalError)
    assert (results, emulator.requests, journal.read_text()) == ([], [], "notes\n")


def test_an_answer_in_the_journal_that_cannot_be_read(engine: Engine, journal: Path) -> None:
    items = [{"id": "a", **asking("0")}]
    engine.results(items, journal)
    results, error = engine.run(items, journal, endpoint="ai.check")
    assert isinstance(error, JournalError)
    assert results == []
    assert str(error).startswith(
        f"requests[0]: the journal {journal} has answers of another endpoint, chat.completions.create, under the id 'a'"
    )


def test_a_full_disk_ends_the_run(engine: Engine, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    written: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        if b'"digest"' in data:
            written.append(data)
            if len(written) > 3:
                raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("gigachat_sdk.bulk._journal.os.write", write)
    results, error = engine.run(iter(numbered(50)), journal, concurrency=2)
    assert isinstance(error, OSError)
    assert error.errno == 28
    assert sorted(result.index for result in results) == sorted(line["index"] for line in lines(journal))
    assert len(results) == 3
    assert len(written) <= 5
    monkeypatch.undo()
    assert len(engine.results(numbered(50), journal)) == 50


# ---- how far it reads ahead ----


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("has_journal", [True, False])
def test_no_more_is_taken_than_is_needed(
    engine: Engine, emulator: Emulator, journal: Path, ordered: bool, has_journal: bool
) -> None:
    taken: list[int] = []
    most = [0]
    given = [0]

    def source() -> Iterator[Any]:
        for number in range(200):
            taken.append(number)
            most[0] = max(most[0], len(taken) - given[0])
            yield asking(str(number))

    class Counting(list[Any]):
        def append(self, result: Any) -> None:
            given[0] += 1
            super().append(result)

        def extend(self, results: Any) -> None:
            for result in results:
                self.append(result)

    if has_journal:
        engine.results(numbered(120), journal)
    before = len(asked(emulator))
    results = Counting()
    run_into(engine, results, source(), journal if has_journal else None, ordered=ordered, concurrency=3)
    assert len(results) == len(taken) == 200
    assert most[0] <= 4 * 3 + 1
    assert len(asked(emulator)) == before + (80 if has_journal else 200)


def run_into(engine: Engine, results: list[Any], *args: Any, **options: Any) -> None:
    """Do bulk work with a list of the test's own, which sees results as they are given."""
    import anyio

    def work() -> None:
        with engine._emulator.client() as client, bulk.map(client, *args, **options) as run:
            results.extend(run)

    async def amain() -> None:
        async with engine._emulator.async_client() as client, bulk.amap(client, *args, **options) as run:
            async for result in run:
                results.append(result)  # noqa: PERF401  # one by one is the point

    if engine.kind == "threads":
        work()
    else:
        anyio.run(amain, backend=engine.kind)
