"""Small refusals and rescues across the ground modules: what is unusual, and must not surprise anybody."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gigachat_sdk import AccessToken, AsyncPasswordTokenManager, Client, MemoryTokenStore, PasswordTokenManager
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._calls import chat_completion_call
from gigachat_sdk._config import check_timeout
from gigachat_sdk._events import Event
from gigachat_sdk._headers import Hidden, UserHeaders, hide_authorization
from gigachat_sdk._lifetimes import _close_beside_loop, _leave_to_trio, _start_in_trio
from gigachat_sdk._response import ChunkReader
from gigachat_sdk._settings import Arguments, check_names
from gigachat_sdk._token import unix_seconds
from gigachat_sdk.errors import APIStatusError, ConfigurationError, ConfigurationTypeError, InvalidRequestError
from gigachat_sdk.stores import Failures, _after_fork, failures_of
from gigachat_sdk.types import ChatCompletionChunk, ChatCompletionMessage, Headers, RequestInfo, ResponseInfo
from gigachat_sdk.types._shown import cut_repr, shown
from gigachat_sdk.types.http import scrub_url

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("api_key", "credentials"),
        ("token", "access_token"),
        ("verify", "verify_ssl_certs"),
        ("credentals", "credentials"),
    ],
)
def test_habits_of_other_packages_get_the_right_name(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'; did you mean '{meant}'"):
        check_names([name], {"credentials", "access_token", "verify_ssl_certs", "token_store"}, "Client()")


@pytest.mark.parametrize(("name", "meant"), [("tools", "functions"), ("tool_choice", "function_call")])
def test_habits_of_other_packages_in_a_call(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        chat_completion_call({"messages": [], name: []}, stream=None, default_model="m")


def test_an_answer_dumped_by_pydantic_can_be_fed_back() -> None:
    message = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": {"a": 1}}}
    )
    dumped: Any = message.model_dump()
    assert dumped["function_call"]["id"] is None
    call = chat_completion_call({"messages": [dumped]}, stream=None, default_model="m")
    assert call.body is not None
    assert b'"function_call":{"name":"f","arguments":{"a":1}}' in call.body


@pytest.mark.parametrize(
    "timeout",
    [httpx.Timeout(-1), httpx.Timeout(float("nan")), httpx.Timeout(1e12), httpx.Timeout(5, read=0), httpx.Timeout("x")],
)
def test_a_timeout_object_with_no_time_in_it_is_refused(timeout: httpx.Timeout) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout: .* is no time to wait"):
        check_timeout("timeout", timeout)


def test_a_timeout_object_passes_as_it_is() -> None:
    timeout = httpx.Timeout(5, read=None)
    assert check_timeout("timeout", timeout) is timeout


class Mute:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_what_cannot_be_shown_is_shown_by_its_kind() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (Mute(), deep, [10**5000]):
        assert cut_repr(value) == shown(value) == type(value).__name__


def test_what_is_long_is_shown_in_part() -> None:
    assert cut_repr("x" * 118) == repr("x" * 118)
    assert cut_repr("x" * 119) == f"'{'x' * 116}..."
    assert shown("x" * 41) == "str"


def test_plain_values_are_shown_as_they_are() -> None:
    class Shy(str):
        def __repr__(self) -> str:
            raise RuntimeError("no")

    values: list[Any] = [None, True, 1.5, float("nan"), -3, "a\n", Shy("b")]
    assert [shown(value) for value in values] == ["None", "True", "1.5", "nan", "-3", r"'a\n'", "'b'"]


def test_a_huge_number_is_shown_by_its_kind() -> None:
    assert shown(10**5000) == "a number of more than 20 digits"
    assert cut_repr(10**5000) == "int"
    assert shown(10**19) == "1" + "0" * 19


@pytest.mark.parametrize("value", [float("nan"), -1, 0, None])
def test_a_time_that_is_none_means_never(value: float | None) -> None:
    assert unix_seconds(value) is None


def test_an_address_that_cannot_be_split_is_hidden() -> None:
    assert scrub_url("http://[bad?token=1") == "[hidden]"
    assert Headers({"Location": "http://me:pw@[bad?token=1"})["location"] == "[hidden]"


@pytest.mark.parametrize(
    "given",
    [
        {"default_query": {"api_key": SECRET}},
        {"auth_url": f"https://h/oauth?key={SECRET}"},
        {"default_headers": {"X-Client-Secret": SECRET}},
        {"proxy": f"http://me:{SECRET}@h"},
    ],
)
def test_what_sounds_secret_is_not_pickled(given: dict[str, Any]) -> None:
    assert Arguments(given).secrets() == list(given)


def test_arguments_that_are_used_up_or_changed_later_are_copied() -> None:
    headers = {"X-A": "1"}
    arguments = Arguments({"default_headers": headers, "retry_statuses": (status for status in (503,))})
    headers["X-A"] = "2"
    assert arguments.get("default_headers") == {"X-A": "1"}
    assert arguments.get("retry_statuses") == arguments.merged(Arguments({})).get("retry_statuses") == (503,)


@pytest.mark.parametrize("store", [object(), 5, {}])
def test_what_is_no_store_is_refused(store: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match=r"token_store: .* has no .*lock.*; see TokenStore"):
        Client(credentials="YTpi", token_store=store)


def test_managers_of_a_store_share_what_failed_where_the_store_allows_it() -> None:
    class Slotted(MemoryTokenStore):
        __slots__ = ()

        __hash__ = None

    store, strange = MemoryTokenStore(), Slotted()
    assert failures_of(store, "a") is failures_of(store, "a")
    assert failures_of(store, "a") is not failures_of(store, "b")
    assert failures_of(strange, "a") == Failures()


def test_after_a_fork_nobody_waits_for_a_lock_of_the_parent() -> None:
    store = MemoryTokenStore()
    token = AccessToken("t")
    store.set("a", token)
    assert store.lock("a").acquire()
    held = store.alock("a")
    _after_fork()  # what happens in the child
    assert store.lock("a").acquire(wait=False)
    assert store.alock("a") is not held
    assert store.get("a") is token
    store.delete("a", token)
    assert store.get("a") is None


def test_closing_in_a_run_that_is_ending_goes_as_far_as_it_can() -> None:
    steps: list[str] = []

    async def close() -> None:
        steps.append("closed")

    _start_in_trio(close, _leave_to_trio)  # there is no run at all; trio will see to it
    assert steps == []
    _start_in_trio(close, _close_beside_loop)
    assert steps == ["closed"]


def test_a_cut_answer_whose_fields_do_not_fit_keeps_role_and_text() -> None:
    accumulator = ChatCompletionAccumulator()
    accumulator.add(
        ChatCompletionChunk.model_validate(
            {"choices": [{"delta": {"content": "hi", "parsed": 1}, "finish_reason": "stop"}]}
        )
    )
    accumulator._choices[0].fields["attachments"] = {"a": 1}  # a type that the whole message does not take
    partial = accumulator.partial()
    assert partial is not None
    assert (partial.choices[0].message.content, partial.choices[0].finish_reason) == ("hi", "stop")


def test_events_of_a_name_nobody_knows_are_left_alone() -> None:
    response = ResponseInfo(200, Headers())
    reader = ChunkReader(ChatCompletionChunk, ChatCompletionAccumulator(), RequestInfo("POST", "u"), response)
    assert reader.read(Event("ping", b"{}")) is None
    assert reader.read(Event("", b" [DONE] ")) is None
    assert reader.is_done


def test_short_authorizations_are_left_in_a_body() -> None:
    assert hide_authorization(b"status", {"Authorization": "Bearer t"}) == b"status"
    assert hide_authorization(b"x long-token y", {"authorization": "Bearer long-token"}) == b"x [hidden] y"


def test_arguments_of_a_call_show_their_names_only() -> None:
    assert repr(Hidden(extra_headers={"Authorization": SECRET}, model="m")) == "{extra_headers, model}"


def test_the_users_headers_show_their_names_only() -> None:
    assert repr(UserHeaders({"Authorization": SECRET}, {"X-A": None})) == "UserHeaders(authorization, x-a)"


@pytest.mark.parametrize("manager", [PasswordTokenManager, AsyncPasswordTokenManager])
def test_a_name_or_password_that_cannot_be_sent_is_refused(manager: Any) -> None:
    for user, password in (("a\ud800", "b"), ("a", "b\ud800")):
        with pytest.raises(ConfigurationError, match="one of them is no text"):
            manager(user, password, base_url="https://h/v1")
    with pytest.raises(ConfigurationError, match="a user name cannot hold a colon"):
        manager("a:b", "c", base_url="https://h/v1")


def test_an_error_made_by_hand_has_no_status() -> None:
    assert APIStatusError("x").status_code == 0


def test_a_segment_of_another_kind_names_its_argument() -> None:
    with pytest.raises(InvalidRequestError, match="n: expected an integer, got '1'"):
        chat_completion_call({"messages": [{"role": "user", "content": "x"}], "n": "1"}, stream=None, default_model="m")
