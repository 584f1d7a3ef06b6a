from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import gigachat_sdk._async.resources.batches as batches_module
from gigachat_sdk import (
    APITimeoutError,
    AsyncClient,
    Batch,
    BatchTimeoutError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

CHATS = [{"messages": [{"role": "user", "content": text}]} for text in ("Привет!", "Пока!")]
JSONL = "\n".join(json.dumps({"id": f"q{n}", "request": chat}) for n, chat in enumerate(CHATS)).encode()


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(batches_module, "async_sleep", made.sleep)
    monkeypatch.setattr(batches_module, "monotonic", made)
    return made


def states(emulator: Emulator, *statuses: str, batch_id: str = "b") -> None:
    """Let the next questions about a batch be answered so."""
    replies = [Reply(json=[{"id": batch_id, "status": status}]) for status in statuses]
    emulator.reply("/v1/batches", *replies, method="GET")


def sent_lines(request: RecordedRequest) -> list[Any]:
    return [json.loads(line) for line in request.body.split(b"\n")]


async def test_a_batch_from_requests_to_results(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    batch = await client.batches.create(requests=CHATS)
    assert (batch.status, batch.method) == ("created", "chat_completions")
    assert batch.request_counts is not None
    assert batch.request_counts.total == 2
    request = emulator.requests[-1]
    assert (request.method, request.path, request.query) == ("POST", "/v1/batches", "method=chat_completions")
    assert request.headers["content-type"] == "application/octet-stream"
    assert sent_lines(request) == [{"id": str(n), "request": {**CHATS[n], "model": "GigaChat"}} for n in range(2)]
    seen: list[str] = []
    batch = await client.batches.wait(batch, on_progress=lambda now: seen.append(now.status))
    assert (batch.is_completed, seen, time.slept) == (True, ["in_progress", "completed"], [10.0])
    results = await client.batches.results(batch)
    assert [result.id for result in results] == ["0", "1"]
    assert "Привет!" in (results["0"].completion.choices[0].message.content or "")
    assert results["1"].completion.request_id is not None


@pytest.mark.parametrize("kind", ["str", "path", "bytes", "BytesIO", "open"])
async def test_a_batch_of_a_file(client: AsyncClient, emulator: Emulator, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(JSONL)
    opened = path.open("rb")
    given: Any = {"str": str(path), "path": path, "bytes": JSONL, "BytesIO": io.BytesIO(JSONL), "open": opened}[kind]
    batch = await client.batches.create(file=given, method="chat_completions")
    assert sent_lines(emulator.requests[-1])[1] == {"id": "q1", "request": {**CHATS[1], "model": "GigaChat"}}
    assert batch.request_counts.total == 2
    assert not opened.closed
    opened.close()


async def test_vectors_in_a_batch(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    batch = await client.batches.create(requests=[{"id": "cat", "input": ["Кошка", "Кот"]}], method="embedder")
    assert emulator.requests[-1].query == "method=embedder"
    await client.batches.wait(batch.id)
    results = await client.batches.results(batch.id)
    assert len(results["cat"].embeddings.data) == 2


async def test_the_clients_model_is_filled_in(emulator: Emulator) -> None:
    async with emulator.async_client(model="GigaChat-2-Max") as client:
        await client.batches.create(requests=CHATS[:1])
    assert sent_lines(emulator.requests[-1])[0]["request"]["model"] == "GigaChat-2-Max"


async def test_a_request_that_fails_says_so_in_its_result(client: AsyncClient, time: Time) -> None:
    batch = await client.batches.create(requests=[*CHATS, {**CHATS[0], "model": "Nobody"}])
    batch = await client.batches.wait(batch)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    results = await client.batches.results(batch)
    assert results["2"].error is not None
    assert (results["2"].error.status_code, results["2"].response) == (404, None)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, TypeError, r"create\(\) takes one of requests= and file="),
        ({"requests": CHATS, "file": JSONL}, TypeError, r"create\(\) takes one of requests= and file="),
        ({"requests": []}, InvalidRequestError, "requests: a batch needs at least one request"),
        ({"requests": [*CHATS, {"messages": []}]}, InvalidRequestError, r"requests\[2\]\.messages: expected at least"),
        ({"file": JSONL + b"\n{}"}, InvalidRequestError, "file, line 3: create"),
        ({"file": "missing.jsonl"}, FileNotFoundError, "file: No such file"),
        ({"file": io.StringIO("{}")}, TypeError, "file: it gives text"),
        ({"requests": CHATS, "method": "images"}, InvalidRequestError, "method: expected 'chat_completions' or"),
        ({"requests": CHATS, "extra_body": {}}, TypeError, "takes no extra_body"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await client.batches.create(**given)
    assert emulator.requests == []


async def test_a_batch_outside_of_the_plan(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/batches", Reply.error(403, "Permission denied"))
    with pytest.raises(PermissionDeniedError):
        await client.batches.create(requests=CHATS)


# ---- looking them up ----


async def test_batches_are_listed_and_looked_up(client: AsyncClient, emulator: Emulator) -> None:
    made = [await client.batches.create(requests=CHATS, client_id="me") for _ in range(2)]
    assert [batch.id for batch in await client.batches.list(client_id="me")] == [batch.id for batch in made]
    found = await client.batches.retrieve(made[1])
    assert (found.id, found.request_id) == (made[1].id, found.response.headers["x-request-id"])
    assert (emulator.requests[-1].query, emulator.requests[-1].headers["x-client-id"]) == (
        f"batch_id={made[1].id}",
        "me",
    )


@pytest.mark.parametrize("answer", [{"batches": []}, [], {"batches": [{"id": "other"}]}])
async def test_a_batch_that_is_not_there(client: AsyncClient, emulator: Emulator, answer: Any) -> None:
    with pytest.raises(NotFoundError, match="Batch task not found"):
        await client.batches.retrieve("b")
    emulator.reply("/v1/batches", Reply(json=answer), method="GET", times=2)
    for method in (client.batches.retrieve, client.batches.results):
        with pytest.raises(NotFoundError, match="the service knows of no batch 'b'"):
            await method("b")


@pytest.mark.parametrize("wrong", ["", None, 5, "\ud800"])
async def test_what_is_no_id_is_refused_before_the_network(client: AsyncClient, emulator: Emulator, wrong: Any) -> None:
    for method in (client.batches.retrieve, client.batches.wait, client.batches.results):
        with pytest.raises(InvalidRequestError, match="batch: "):
            await method(wrong)
    assert emulator.requests == []


async def test_an_unknown_keyword_is_a_type_error(client: AsyncClient, emulator: Emulator) -> None:
    for method in (client.batches.retrieve, client.batches.wait, client.batches.results):
        with pytest.raises(TypeError, match=rf"{method.__name__}\(\) got an unexpected keyword argument 'timeot'"):
            await method("b", timeot=1)
    with pytest.raises(TypeError, match=r"list\(\) got an unexpected keyword"):
        await client.batches.list(timeot=1)
    assert emulator.requests == []


# ---- waiting ----


async def test_waiting_asks_until_it_is_over(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    states(emulator, "created", "in_progress", "finalizing", "completed")
    batch = await client.batches.wait("b", poll_interval=3)
    assert (batch.status, time.slept) == ("completed", [3, 3, 3])


async def test_a_batch_that_was_given_up_ends_the_wait(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    states(emulator, "in_progress", "failed")
    batch = await client.batches.wait("b")
    assert (batch.status, batch.is_completed) == ("failed", False)


async def test_progress_may_be_told_to_a_coroutine_function(
    client: AsyncClient, emulator: Emulator, time: Time
) -> None:
    seen: list[str] = []

    async def tell(batch: Batch) -> None:
        await client.models.list()
        seen.append(batch.status)

    states(emulator, "in_progress", "completed")
    await client.batches.wait("b", on_progress=tell)
    assert seen == ["in_progress", "completed"]


async def test_what_progress_raises_ends_the_wait(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    def fail(batch: Batch) -> None:
        raise KeyError(batch.status)

    states(emulator, "in_progress")
    with pytest.raises(KeyError, match="in_progress"):
        await client.batches.wait("b", on_progress=fail)


async def test_the_deadline_of_a_wait(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    states(emulator, *["in_progress"] * 3)
    with pytest.raises(BatchTimeoutError, match="batch 'b' is 'in_progress' after 25 s; it goes on") as caught:
        await client.batches.wait("b", poll_interval=10, deadline=25)
    assert (caught.value.batch.id, time.slept) == ("b", [10, 10, 5])
    assert isinstance(caught.value, TimeoutError)


async def test_a_question_takes_no_longer_than_the_wait_may(client: AsyncClient, emulator: Emulator) -> None:
    await client.models.list()  # has a token
    never = Reply(json=[], delay=60)
    emulator.reply("/v1/batches", never, method="GET")
    with pytest.raises(APITimeoutError, match=r"the deadline of 0\.\d+ s has passed"):
        await client.batches.wait("b", deadline=0.7)
    emulator.reply("/v1/batches", never, method="GET")
    with pytest.raises(BatchTimeoutError, match=r"batch 'b' is 'created' after 0\.7 s"):
        await client.batches.wait(Batch(id="b", status="created"), deadline=0.7)


async def test_a_question_that_takes_too_long_by_itself_is_no_end_of_the_wait(
    client: AsyncClient, emulator: Emulator, time: Time
) -> None:
    states(emulator, "in_progress")
    emulator.reply("/v1/batches", Reply(json=[], delay=60), method="GET")
    with pytest.raises(APITimeoutError, match=r"did not answer within 1 s"):
        await client.batches.wait("b", deadline=1000, timeout=1, max_retries=0)
    assert time.slept == [10]


@pytest.mark.parametrize("options", [{"poll_interval": 0}, {"deadline": -1}, {"poll_interval": "1"}])
async def test_times_that_make_no_sense_are_refused(
    client: AsyncClient, emulator: Emulator, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        await client.batches.wait("b", **options)
    assert emulator.requests == []


async def test_what_cannot_be_told_of_progress_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator
) -> None:
    wrong: Any = 5
    with pytest.raises(InvalidRequestError, match=r"^on_progress: expected a function, got int$") as caught:
        await client.batches.wait("b", on_progress=wrong)
    assert isinstance(caught.value, TypeError)
    assert emulator.requests == []


# ---- results ----


async def test_results_of_a_batch_that_is_not_over(client: AsyncClient, emulator: Emulator) -> None:
    batch = await client.batches.create(requests=CHATS)
    for given in (batch, batch.id):
        states(emulator, "in_progress", batch_id=batch.id)
        with pytest.raises(InvalidRequestError, match="is 'in_progress' and has no results; wait for it") as caught:
            await client.batches.results(given)
        assert caught.value.param == "batch"


async def test_what_is_known_of_a_batch_may_be_old(client: AsyncClient, emulator: Emulator, time: Time) -> None:
    batch = await client.batches.create(requests=CHATS)
    await client.batches.wait(batch)
    assert batch.output_file_id is None
    assert len(await client.batches.results(batch)) == 2


async def test_results_are_fetched_under_the_client_id_of_the_batch(
    client: AsyncClient, emulator: Emulator, time: Time
) -> None:
    batch = await client.batches.create(requests=CHATS, client_id="me")
    batch = await client.batches.wait(batch)
    assert len(await client.batches.results(batch)) == 2
    assert [request.headers.get("x-client-id") for request in emulator.requests[1:]] == ["me"] * 4


async def test_results_of_other_shapes_are_read_too(client: AsyncClient, emulator: Emulator) -> None:
    line = {"custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}}
    emulator.reply("/v1/files/f/content", Reply(body=json.dumps(line) + "\n\n{broken"), method="GET")
    results = await client.batches.results(Batch(id="b", output_file_id="f"))
    assert results["a"].completion.choices == []
    assert [result.error is None for result in results] == [True, False]


async def test_results_that_are_gone(client: AsyncClient) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        await client.batches.results(Batch(id="b", output_file_id="f"))


async def test_a_batch_is_closed_to_a_closed_client(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    client = connect(emulator)
    await client.aclose()
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    with pytest.raises(ValueError, match="this client is closed"):
        await client.batches.create(file=path)
