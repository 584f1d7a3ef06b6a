"""Answers of `/v1/threads...`: dialogues kept by the service, and what a run of one says.

Lenient on purpose: unknown fields are kept, roles and statuses are open sets, and what the service may leave out has a
default.
"""

from __future__ import annotations

from pydantic import model_validator
from typing_extensions import Self

from ._base import BaseModel, BasePage, ResponseModel
from .chat_completion import ChatCompletionChunk, ChatCompletionMessage, FunctionCall, Usage


class Thread(ResponseModel):
    """A dialogue kept by the service.

    Attributes:
        id: Its id, whether the service calls it `id` or `thread_id`.
        thread_id: The same.
        assistant_id: The assistant that answers in it; None where a model does.
        model: The model that answers in it.
        created_at: Unix seconds.
        updated_at: Unix seconds.
        run_lock: Whether a run is going on, so that no other can begin.
        status: `"in_progress"`, `"ready"`, `"failed"` or `"deleted"`; others may come.
    """

    id: str = ""
    thread_id: str = ""
    assistant_id: str | None = None
    model: str | None = None
    created_at: int = 0
    updated_at: int | None = None
    run_lock: bool | None = None
    status: str | None = None

    @model_validator(mode="after")
    def _both_names(self) -> Self:
        # Not by assignment: what did not come must not look set, `to_dict()` gives what came.
        fields = vars(self)
        fields["id"] = fields["thread_id"] = self.id or self.thread_id
        return self


class ThreadList(BasePage[Thread]):
    """Threads: the answer of `client.threads.list()` and `.retrieve_many(...)`; iterate over it.

    Attributes:
        threads: The threads, in the order of the service.
    """

    _items_field = "threads"

    threads: list[Thread]


class ThreadDeleted(ResponseModel):
    """The answer of `client.threads.delete(...)`; the service sends an empty body.

    Attributes:
        deleted: Whether the thread is gone; True where the service says nothing but success.
    """

    deleted: bool = True


class ThreadMessageFile(BaseModel):
    """A file that belongs to a message.

    Attributes:
        file_id: The file's id.
        name: Its name.
    """

    file_id: str = ""
    name: str | None = None


class ThreadMessage(BaseModel):
    """A message of a thread.

    Attributes:
        message_id: Its id.
        role: `"user"`, `"assistant"`, ...; others may come.
        content: The text; empty beside a function call.
        attachments: Files that belong to it.
        created_at: Unix seconds.
        function_call: The function that the model asks to be called.
        finish_reason: Why an answer ended; the values of `Choice.finish_reason`.
        model: The model that answered, or was asked.
    """

    message_id: str = ""
    role: str = ""
    content: str | None = None
    attachments: list[ThreadMessageFile] | None = None
    created_at: int = 0
    function_call: FunctionCall | None = None
    finish_reason: str | None = None
    model: str | None = None


class ThreadMessageList(BasePage[ThreadMessage]):
    """The answer of `client.threads.messages.list(...)`: iterate over it, index it, take its length.

    Attributes:
        thread_id: The thread's id.
        messages: Its messages, in the order of the service.
    """

    _items_field = "messages"

    thread_id: str = ""
    messages: list[ThreadMessage]


class ThreadMessageCreated(BaseModel):
    """A message that was put into a thread.

    Attributes:
        message_id: Its id.
        created_at: Unix seconds.
    """

    message_id: str = ""
    created_at: int = 0


class ThreadMessagesCreated(BasePage[ThreadMessageCreated]):
    """The answer of `client.threads.messages.create(...)`: an item for each message, in their order.

    Attributes:
        thread_id: The thread they were put into; a new one where the call named none.
        messages: The messages' ids.
    """

    _items_field = "messages"

    thread_id: str = ""
    messages: list[ThreadMessageCreated]


class ThreadRun(ResponseModel):
    """The state of a thread's run: the answer of `client.threads.runs.create(...)` and `.retrieve(...)`.

    Attributes:
        status: `"in_progress"`, `"ready"`, `"failed"` or `"deleted"`; others may come.
        thread_id: The thread's id.
        created_at: Unix seconds, from `create`.
        updated_at: Unix seconds, from `retrieve`.
        model: The model that answers, from `retrieve`.
        messages: What was asked and answered, from `retrieve` once the run is ready.
    """

    status: str
    thread_id: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    model: str | None = None
    messages: list[ThreadMessage] | None = None


class ThreadCompletion(ResponseModel):
    """The whole answer of `client.threads.messages.run(...)` and `.rerun(...)`.

    Attributes:
        message: What the model said.
        thread_id: The thread's id; a new one where the call named none.
        message_id: The answer's id in the thread.
        created: Unix seconds.
        model: Name and version, for example `"GigaChat-Pro:2.2.25.3"`; split at the first colon before comparing.
        object: What the service calls it; do not compare it.
        usage: The tokens of the run.
        finish_reason: Why the answer ended; the values of `Choice.finish_reason`.
    """

    message: ChatCompletionMessage
    thread_id: str = ""
    message_id: str | None = None
    created: int = 0
    model: str = ""
    object: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None


class ThreadCompletionChunk(ChatCompletionChunk):
    """One event of a run with `stream=True`: a `ChatCompletionChunk` that always names its thread and message.

    Attributes:
        choices: What the event adds.
        created: Unix seconds.
        model: Name and version.
        object: What the service calls it; do not compare it.
        usage: The tokens of this event alone: add them up for those of the run.
        thread_id: The thread's id.
        message_id: The answer's id in the thread.
    """
