"""The validated request of `POST /v2/chat/completions`: strict twin of the `ChatCompletionParams` dict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, with_config
from typing_extensions import Required, TypedDict

from ..chat_request import CompletionRequest, Text, listed, without_none
from . import _sendable
from .params import (
    AssistantMessageParam,
    Content,
    FilterConfigParam,
    ModelOptionsParam,
    RankerOptionsParam,
    ReasoningMessageParam,
    StorageParam,
    SystemMessageParam,
    ToolConfigParam,
    ToolMessageParam,
    ToolParam,
    UserInfoParam,
    UserMessageParam,
)


@with_config({"extra": "allow", "strict": True})
class _OtherMessage(TypedDict, total=False):
    """A message of an answer whose role this SDK does not know, on its way back."""

    role: Required[str]
    content: Required[Content]


# Tags in angle brackets are left out of the places that error messages name.
_Message: TypeAlias = Annotated[
    Annotated[SystemMessageParam, Tag("<system>")]
    | Annotated[UserMessageParam, Tag("<user>")]
    | Annotated[AssistantMessageParam, Tag("<assistant>")]
    | Annotated[ToolMessageParam, Tag("<tool>")]
    | Annotated[ReasoningMessageParam, Tag("<reasoning>")]
    | Annotated[_OtherMessage, Tag("<other>")],
    Discriminator(_sendable.role_tag),
]

_Tools: TypeAlias = Annotated[
    list[Annotated[ToolParam, BeforeValidator(_sendable.tool)]] | None,
    BeforeValidator(listed),
    AfterValidator(_sendable.one_functions_tool),
]


class ChatCompletionRequest(CompletionRequest):
    """A request of `client.v2.chat.completions.create(...)`, validated before anything is sent.

    The fields are those of `ChatCompletionParams`; there is no need to build one, but it checks a request early:
    `ChatCompletionRequest(messages=[...])`. Messages and tools are plain dicts afterwards, in the form that is sent.
    """

    messages: Annotated[
        list[Annotated[_Message, BeforeValidator(_sendable.message)]], BeforeValidator(listed), Field(min_length=1)
    ]
    model: Text | None = None
    model_options: Annotated[ModelOptionsParam | None, BeforeValidator(without_none)] = None
    tools: _Tools = None
    tool_config: Annotated[ToolConfigParam | None, BeforeValidator(_sendable.tool_config)] = None
    storage: Annotated[StorageParam | None, BeforeValidator(_sendable.storage)] = None
    user_info: Annotated[UserInfoParam | None, BeforeValidator(without_none)] = None
    ranker_options: Annotated[RankerOptionsParam | None, BeforeValidator(without_none)] = None
    disable_filter: bool | None = None
    filter_config: Annotated[FilterConfigParam | None, BeforeValidator(without_none)] = None
    flags: Sequence[str] | None = None
    tools_state_id: str | None = None
    assistant_id: str | None = None
    memory_id: str | None = None
    stream: bool | None = None
