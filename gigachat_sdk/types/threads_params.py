"""What the methods of `client.threads` take: `TypedDict`s for editors and type checkers, and their validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from typing_extensions import Required, TypedDict

from ._base import RequestModel
from ._request_fields import Ids, NamedFunctions, Text
from .chat_completion import ChatCompletionMessage
from .chat_params import FunctionCallChoiceParam, FunctionParam, MessageParam
from .chat_request import FunctionCallChoice, Messages
from .functions import FunctionDefinition
from .models import KnownModel
from .request_options import RequestOptions


class ThreadRunOptions(TypedDict, total=False):
    """How the model answers in a thread; one that is None is not sent."""

    temperature: float | None
    """Over 0; below 0.001 the answer is greedy, above 2 it is noise. The default depends on the model."""
    top_p: float | None
    """0 to 1: the share of probability that candidates are drawn from."""
    limit: int | None
    """The most messages of the thread that the model sees."""
    max_tokens: int | None
    """The most tokens to answer."""
    repetition_penalty: float | None
    """Over 0; 1.0 is neutral."""
    profanity_check: bool | None
    """False turns the filter off, for accounts that may."""
    flags: Sequence[str] | None
    """Switches of the service, by agreement."""
    function_call: Literal["auto", "none"] | FunctionCallChoiceParam | None
    """Whether the model may or must ask for a function."""
    functions: Iterable[FunctionParam | FunctionDefinition] | None
    """Functions the model may ask for."""


class ThreadRunParams(ThreadRunOptions, RequestOptions, total=False):
    """Everything `threads.runs.create(thread_id, ...)` takes but `stream`."""

    assistant_id: str | None
    """The assistant that answers; without it the thread's own assistant or model."""


class ThreadMessagesRerunParams(ThreadRunOptions, RequestOptions, total=False):
    """Everything `threads.messages.rerun(thread_id, ...)` takes but `stream`."""

    update_interval: float | None
    """The least seconds between events of a stream; 0 by default."""


class ThreadMessagesRunParams(ThreadMessagesRerunParams, total=False):
    """Everything `threads.messages.run(...)` takes but `stream`."""

    messages: Required[Iterable[MessageParam | ChatCompletionMessage]]
    """What is new in the dialogue: dicts, answers of earlier calls, or a mix."""
    thread_id: str | None
    """The thread to go on with; without it a new one is made."""
    assistant_id: str | None
    """The assistant that answers in a new thread."""
    model: KnownModel | str | None
    """The model that answers in a new thread without an assistant; without it the client's `model`."""


class ThreadsQuery(RequestModel):
    """Parameters of `client.threads.list(...)`."""

    assistants_ids: Ids | None = None
    limit: int | None = None
    before: int | None = None


class ThreadsRetrieveRequest(RequestModel):
    """A request of `client.threads.retrieve_many(...)`, validated before anything is sent."""

    threads_ids: Ids


class ThreadCreateRequest(RequestModel):
    """A request of `client.threads.create()`: an empty object."""


class ThreadRequest(RequestModel):
    """A request that names a thread and nothing else."""

    thread_id: Text


class ThreadMessagesQuery(ThreadRequest):
    """Parameters of `client.threads.messages.list(...)`."""

    limit: int | None = None
    before: int | None = None


class ThreadMessagesCreateRequest(RequestModel):
    """A request of `client.threads.messages.create(...)`, validated before anything is sent."""

    messages: Messages
    thread_id: Text | None = None
    assistant_id: Text | None = None
    model: Text | None = None


class _RunRequest(RequestModel):
    temperature: float | None = None
    top_p: float | None = None
    limit: int | None = None
    max_tokens: int | None = None
    repetition_penalty: float | None = None
    profanity_check: bool | None = None
    flags: Sequence[str] | None = None
    function_call: FunctionCallChoice = None
    functions: NamedFunctions = None
    stream: bool | None = None


class ThreadRunRequest(_RunRequest):
    """A request of `client.threads.runs.create(...)`, validated before anything is sent."""

    thread_id: Text
    assistant_id: Text | None = None


class ThreadMessagesRerunRequest(_RunRequest):
    """A request of `client.threads.messages.rerun(...)`, validated before anything is sent."""

    thread_id: Text
    update_interval: float | None = None


class ThreadMessagesRunRequest(_RunRequest):
    """A request of `client.threads.messages.run(...)`, validated before anything is sent."""

    messages: Messages
    thread_id: Text | None = None
    assistant_id: Text | None = None
    model: Text | None = None
    update_interval: float | None = None
