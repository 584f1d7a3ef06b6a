"""`ChatMapper` without Ray: batches in, batches out."""

from __future__ import annotations

import gc
import json
import logging
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis_server import RedisServer

import gigachat_sdk.bulk.ray
from gigachat_sdk import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LocalLimiter,
    MissingCredentialsError,
    PaymentRequiredError,
    SharedStateError,
)
from gigachat_sdk.bulk.ray import ChatMapper
from gigachat_sdk.testing import Emulator, Fault, Reply

from .conftest import CHAT, Made, asking, refusing
from .gates import answer_together


def test_prompts_are_answered_in_their_order(mapper: Any, account: Emulator) -> None:
    batch = {"id": list(range(20)), "text": [f"{number}" for number in range(20)]}
    answered = mapper(prompt_column="text")(batch)
    assert answered == {**batch, "response": [f"{number}!" for number in range(20)], "error": [None] * 20}
    assert set(batch) == {"id", "text"}
    assert account.oauth_requests == 1


def test_the_next_batch_is_asked_by_the_same_client(mapper: Any, account: Emulator, made: Made) -> None:
    mapped = mapper(prompt_column="text")
    assert [mapped({"text": [text]})["response"] for text in "ab"] == [["a!"], ["b!"]]
    assert [kind for kind, *_ in made] == ["limiter", "store"]
    assert account.oauth_requests == 1


@pytest.mark.parametrize(
    ("endpoint", "keyword", "path"),
    [
        ("embeddings.create", "input", "/v1/embeddings"),
        ("tokens.count", "input", "/v1/tokens/count"),
        ("filter.check", "messages", "/v1/filter/check"),
    ],
)
def test_a_prompt_goes_to_other_endpoints_as_what_they_take(
    endpoint: str, keyword: str, path: str, mapper: Any, account: Emulator
) -> None:
    answered = mapper(prompt_column="text", endpoint=endpoint)({"text": ["Тула"]})
    assert answered["error"] == [None]
    sent = account.requests_to(path)[0].json()
    message = {"role": "user", "content": "Тула"}
    assert sent[keyword] in ("Тула", ["Тула"], [message])
    assert isinstance(json.loads(answered["response"][0]), dict | list)


def test_a_dialogue_of_the_second_contract_gives_text(mapper: Any, account: Emulator) -> None:
    account.answer("Самовары.")
    answered = mapper(prompt_column="text", endpoint="v2.chat.completions.create")({"text": ["Тула"]})
    assert (answered["response"], answered["error"]) == (["Самовары."], [None])


def test_the_whole_answer_is_json_text(mapper: Any) -> None:
    answered = mapper(prompt_column="text", output="json")({"text": ["Тула"]})
    document = json.loads(answered["response"][0])
    assert document["choices"][0]["message"]["content"] == "Тула!"
    assert document["usage"]["total_tokens"] > 0


def test_an_answer_without_a_choice_has_no_text(mapper: Any, account: Emulator) -> None:
    account.reply(CHAT, Reply(json={"choices": [], "object": "chat.completion"}))
    assert mapper(prompt_column="text")({"text": ["a"]}) == {"text": ["a"], "response": [None], "error": [None]}


def test_a_function_makes_requests_of_rows(mapper: Any, account: Emulator) -> None:
    def make_request(row: dict[str, Any]) -> dict[str, Any]:
        if not row["text"]:
            raise InvalidRequestError("nothing to ask")
        return asking(f"{row['text']} {row['number']}", temperature=0.5, model=None)

    mapped = mapper(make_request=make_request, defaults={"model": "GigaChat-2-Pro", "temperature": 1.5})
    answered = mapped({"text": ["a", ""], "number": [1, 2]})
    assert answered["response"] == ["a 1!", None]
    assert answered["error"] == [None, "InvalidRequestError: make_request: nothing to ask"]
    sent = account.requests_to(CHAT)[0].json()
    assert (sent["model"], sent["temperature"]) == ("GigaChat-2-Pro", 0.5)


def test_a_function_that_fails_ends_the_job(mapper: Any, account: Emulator) -> None:
    with pytest.raises(KeyError):
        mapper(make_request=lambda row: row["no such column"])({"text": ["a"]})
    assert account.requests == []


@pytest.mark.parametrize(
    ("source", "value", "error"),
    [
        ("prompt_column", None, "InvalidRequestTypeError: row: expected a text, got NoneType"),
        ("prompt_column", float("nan"), "InvalidRequestTypeError: row: expected a text, got float"),
        ("request_column", None, "InvalidRequestTypeError: row: expected a dict of keywords, got NoneType"),
        ("request_column", "{", "InvalidRequestError: row: this is no JSON: Expecting property name"),
        ("request_column", "[" * 100_000, "InvalidRequestError: row: this is no JSON: "),
        ("request_column", {"id": ""}, "InvalidRequestError: row: id: it is empty"),
        ("request_column", asking("b", stream=True), "InvalidRequestError: stream: bulk work takes whole answers"),
        ("request_column", asking("b", temprature=1), "TypeError: create() got an unexpected keyword"),
    ],
)
def test_a_row_that_cannot_be_asked_does_not_end_its_batch(source: str, value: Any, error: str, mapper: Any) -> None:
    good = "a" if source == "prompt_column" else asking("a")
    answered = mapper(**{source: "row"})({"row": [value, good]})
    assert answered["response"] == [None, "a!"]
    assert answered["error"][1] is None
    assert answered["error"][0].startswith(error)


def test_a_batch_of_such_rows_needs_no_client(mapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIGACHAT_CREDENTIALS")
    assert mapper(prompt_column="text")({"text": [None]})["response"] == [None]
    assert mapper(prompt_column="text")({"text": []}) == {"text": [], "response": [], "error": []}
    assert mapper(prompt_column="text")({}) == {}


def test_a_refusal_of_a_row_stands_beside_the_others(mapper: Any, account: Emulator) -> None:
    refusing(account, {"b": Reply.error(422, "Unprocessable Entity"), "c": Reply.error(500, "Internal Server Error")})
    mapped = mapper(make_request=lambda row: asking(row["text"], max_retries=0))
    answered = mapped({"text": ["a", "b", "c"]})
    assert answered["response"] == ["a!", None, None]
    assert answered["error"][0] is None
    assert answered["error"][1].startswith("UnprocessableEntityError: 422 for ")
    assert answered["error"][2].startswith("InternalServerError: 500 for ")


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (402, PaymentRequiredError)])
def test_trouble_with_the_account_ends_the_job(
    status: int, kind: type[Exception], mapper: Any, account: Emulator
) -> None:
    account.reply(CHAT, Reply.error(status, "no"), times=20)
    mapped = mapper(prompt_column="text", limit=1)
    with pytest.raises(kind):
        mapped({"text": ["a"] * 10})
    assert len(account.requests_to(CHAT)) <= 4


def test_credentials_are_needed_by_actors_only(mapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIGACHAT_CREDENTIALS")
    mapped = mapper(prompt_column="text")
    with pytest.raises(MissingCredentialsError):
        mapped({"text": ["a"]})


# ---- settings ----


def test_an_actor_counts_in_redis(mapper: Any, made: Made) -> None:
    limits = {"GigaChat-2-Max": 2, "*": 10}
    mapped = mapper(prompt_column="text", limit=limits, namespace="mine", lease=5, on_outage="local")
    mapped({"text": ["a"]})
    shared = {"namespace": "mine", "on_outage": "local"}
    assert made == [("limiter", "redis://host/0", limits, 5, shared), ("store", "redis://host/0", shared)]
    assert repr(mapped) == f"ChatMapper(endpoint='chat.completions.create', limit={limits})"


def test_the_address_of_redis_may_stand_in_the_environment(
    mapper: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = mapper(prompt_column="text", redis_url=None)
    with pytest.raises(ConfigurationError, match="redis_url: give the address of the Redis"):
        mapped({"text": ["a"]})
    monkeypatch.setenv("GIGACHAT_REDIS_URL", "redis://other/1")
    assert mapped({"text": ["a"]})["response"] == ["a!"]
    assert {address for _, address, *_ in made} == {"redis://other/1"}


@pytest.mark.parametrize(("concurrency", "most"), [(None, 4), (2, 2)])
def test_rows_are_asked_at_the_same_time(concurrency: int | None, most: int, mapper: Any, account: Emulator) -> None:
    together = threading.Barrier(most)

    class Together(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/completions"):
                together.wait(30)
            return super().handle_request(request)

    with httpx.Client(transport=Together()) as client:
        mapped = mapper(prompt_column="text", concurrency=concurrency, client_options={"http_client": client})
        assert mapped({"text": ["a"] * 4 * most})["error"] == [None] * 4 * most
    assert account.max_in_flight <= most


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "prompt_column, request_column, make_request: give one of these"),
        ({"prompt_column": "a", "request_column": "b"}, "prompt_column, request_column: give one of these"),
        ({"prompt_column": 1}, "prompt_column: expected the name of a column, got 1"),
        ({"request_column": ""}, "request_column: expected the name of a column, got ''"),
        ({"make_request": "f"}, "make_request: expected a function of a row, got str"),
        ({"prompt_column": "a", "limit": 0}, "limit: give a number over 0, not 0"),
        ({"prompt_column": "a", "concurrency": 0}, "concurrency: give a number over 0, not 0"),
        ({"prompt_column": "a", "concurrency": True}, "concurrency: expected a number of rows, got bool"),
        ({"prompt_column": "a", "concurrency": 2.5}, "concurrency: expected a number of rows, got float"),
        ({"prompt_column": "a", "output": "xml"}, 'output: \'xml\' is unknown; give "text" or "json"'),
        (
            {"prompt_column": "a", "output": "text", "endpoint": "embeddings.create"},
            'output: answers of embeddings.create are no text; give "json"',
        ),
        ({"prompt_column": "a", "output_column": None}, "output_column: expected the name of a column, got None"),
        ({"prompt_column": "a", "error_column": "x", "output_column": "x"}, "error_column: 'x' cannot be both"),
        ({"prompt_column": "a", "on_outage": "wait"}, "on_outage: 'wait' is no policy"),
        ({"prompt_column": "a", "defaults": ["model"]}, "defaults: expected a dict of keywords, got list"),
        ({"prompt_column": "a", "client_options": 1}, "client_options: expected a dict of keywords, got int"),
        ({"prompt_column": "a", "redis_url": object()}, "redis_url: expected an address, got object"),
        (
            {"prompt_column": "a", "client_options": {"limiter": LocalLimiter(1), "max_concurrency": 1}},
            "client_options: limiter, max_concurrency",
        ),
    ],
)
def test_settings_without_sense_are_refused_at_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ChatMapper(**{"limit": 1, **given})
    assert message in str(refused.value)


def test_an_endpoint_that_there_is_not() -> None:
    with pytest.raises(InvalidRequestError, match=r"did you mean 'embeddings\.create'"):
        ChatMapper(limit=1, prompt_column="a", endpoint="embedding.create")


# ---- on its way to actors, and at their end ----


def test_a_pickled_mapper_takes_credentials_of_where_it_is(mapper: Any, made: Made) -> None:
    mapped = mapper(request_column="row", defaults={"model": "GigaChat-2"}, client_options={"timeout": 30}, lease=7)
    mapped({"row": [asking("a")]})
    document = pickle.dumps(mapped)
    assert b"Bearer" not in document
    copy = pickle.loads(document)
    assert copy({"row": [asking("b")]})["response"] == ["b!"]
    assert made[2][1:] == made[0][1:]
    copy.close()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"client_options": {"credentials": "c2VjcmV0"}}, "credentials"),
        ({"redis_url": "redis://:s3cr3t@host/0"}, "redis_url"),
    ],
)
def test_a_mapper_with_secrets_is_not_pickled_unless_asked_to(given: dict[str, Any], names: str) -> None:
    mapped = ChatMapper(limit=1, prompt_column="a", **given)
    with pytest.raises(ConfigurationError, match=rf"with explicit secrets \({names}\) and is not pickled") as refused:
        pickle.dumps(mapped)
    shown = f"{refused.value!r} {[frame.frame.f_locals for frame in refused.traceback]} {mapped!r}"
    assert not any(secret in shown.replace(repr(given), "") for secret in ("c2VjcmV0", "s3cr3t"))
    options = {**given.get("client_options", {}), "allow_pickle_secrets": True}
    copy = pickle.loads(pickle.dumps(ChatMapper(limit=1, prompt_column="a", **{**given, "client_options": options})))
    assert isinstance(copy, ChatMapper)


def test_a_mapper_that_is_dropped_closes_its_client(mapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(gigachat_sdk.Client, "close", lambda self: closed.append(self))
    mapped = ChatMapper(limit=1, prompt_column="text", redis_url="redis://host/0")
    mapped({"text": ["a"]})
    mapped.close()
    mapped.close()
    assert len(closed) == 1
    mapped({"text": ["a"]})
    del mapped
    gc.collect()
    assert len(closed) == 2


def test_a_mapper_that_cannot_close_its_client_ends_quietly(mapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closing: list[object] = []

    def close(client: object) -> None:
        closing.append(client)
        raise OSError("the network is gone")

    monkeypatch.setattr(gigachat_sdk.Client, "close", close)
    mapped = ChatMapper(limit=1, prompt_column="text", redis_url="redis://host/0")
    mapped({"text": ["a"]})
    del mapped  # a warning of an exception that nobody catches would fail this test
    gc.collect()
    assert len(closing) == 1


def test_importing_needs_neither_ray_nor_redis() -> None:
    code = (
        "import sys; loaded = set(sys.modules); import gigachat_sdk.bulk.ray; "
        "print({'ray', 'redis', 'cryptography', 'numpy', 'pandas', 'pyarrow'} & (set(sys.modules) - loaded))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, encoding="utf-8")
    assert (done.stdout, done.stderr) == ("set()\n", "")


# ---- with Redis ----


@pytest.mark.redis
def test_mappers_share_the_quota_and_the_token(account: Emulator, redis_server: RedisServer) -> None:
    account.inject(Fault("latency", path=CHAT, seconds=0.02))
    answer_together(account, 3, "{}!".format)
    given: dict[str, Any] = {"limit": 3, "prompt_column": "text", "redis_url": redis_server.url, "concurrency": 8}
    mappers = [ChatMapper(**given, namespace="mappers") for _ in range(2)]

    def work(number: int) -> Any:
        return mappers[number]({"text": [f"{number} {row}" for row in range(30)]})

    with ThreadPoolExecutor(2) as workers:
        first, second = workers.map(work, range(2))
    for number, answered in enumerate((first, second)):
        assert answered["response"] == [f"{number} {row}!" for row in range(30)]
        assert answered["error"] == [None] * 30
    assert account.max_in_flight == 3
    assert account.oauth_requests == 1
    for mapped in mappers:
        mapped.close()


def test_without_redis_the_policy_holds(account: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given: dict[str, Any] = {"limit": 3, "prompt_column": "text", "redis_url": f"unix://{tmp_path / 'no.socket'}"}
    failing = ChatMapper(**given)
    with pytest.raises(SharedStateError, match="on_outage="):
        failing({"text": ["a", "b"]})
    assert account.requests_to(CHAT) == []
    with caplog.at_level(logging.WARNING):
        going = ChatMapper(**given, on_outage="local")
        assert going({"text": ["a", "b"]})["response"] == ["a!", "b!"]
    assert account.max_in_flight == 1
    assert caplog.records
    for mapped in (failing, going):
        mapped.close()
