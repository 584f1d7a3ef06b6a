"""What the server remembers of dialogues: threads, opened by `storage` or by their own calls, and read prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from gigachat_sdk.testing._calls import Refusal, made_id
from gigachat_sdk.testing._state import RecordedRequest


@dataclass
class KeptMessage:
    """One message of a thread.

    Attributes:
        id: Its id.
        sent: The message as its version of chat has it.
        created_at: Unix time in seconds.
        finish_reason: Why an answer ended; None for what was sent.
        names: Names of the attached files, in the order of their ids.
    """

    id: str
    sent: dict[str, Any]
    created_at: int
    finish_reason: str | None = None
    names: tuple[str, ...] = ()


@dataclass
class Thread:
    """One dialogue.

    Attributes:
        id: Its id.
        model: The name of its model, without a version.
        assistant_id: The assistant that answers in it, if one does.
        created_at: Unix time in seconds.
        updated_at: Unix time in seconds.
        messages: All messages, oldest first.
        turn: The messages of the last run: what was asked, and the answer.
    """

    id: str
    model: str
    assistant_id: str | None
    created_at: int
    updated_at: int
    messages: list[KeptMessage] = field(default_factory=list[KeptMessage])
    turn: list[KeptMessage] = field(default_factory=list[KeptMessage])

    def seen(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Give the messages that a model gets to see: all, or the last ones together with the system message."""
        sent = [message.sent for message in self.messages]
        head = sent[:1] if sent and sent[0]["role"] == "system" else []
        rest = sent[len(head) :] if limit is None else sent[len(head) :][-limit:]
        while rest and rest[0]["role"] in ("function", "tool"):  # its call is beyond the limit
            rest = rest[1:]
        return head + rest


class ThreadStore:
    """The threads of one version of chat in one emulator; see its two kinds below."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}
        self._made = 0

    def begin(self, model: str, assistant_id: str | None, now: float) -> Thread:
        """Begin a thread; it is there for others once something is added to it, or `keep` was called."""
        return Thread(self._next_id("thread"), model, assistant_id, int(now), int(now))

    def keep(self, thread: Thread) -> None:
        """Let a thread be found."""
        self._threads[thread.id] = thread

    def find(self, thread_id: str) -> Thread:
        """Give a thread.

        Raises:
            Refusal: 404, there is no such thread.
        """
        thread = self._threads.get(thread_id)
        if thread is None:
            raise Refusal(404, "No such thread")
        return thread

    def list(self) -> Sequence[Thread]:
        """Give all threads, the newest first."""
        return [*self._threads.values()][::-1]

    def delete(self, thread_id: str) -> None:
        """Forget a thread.

        Raises:
            Refusal: 404, there is no such thread.
        """
        self.find(thread_id)
        del self._threads[thread_id]

    def add(
        self,
        thread: Thread,
        sent: dict[str, Any],
        now: float,
        *,
        finish_reason: str | None = None,
        names: Sequence[str] = (),
    ) -> KeptMessage:
        """Add a message to a thread."""
        self.keep(thread)
        message = KeptMessage(self._next_id("message"), sent, int(now), finish_reason, tuple(names))
        thread.messages.append(message)
        thread.updated_at = int(now)
        return message

    def _next_id(self, kind: str) -> str:
        self._made += 1
        return made_id(f"{type(self).__name__} {kind}", self._made)


class Threads(ThreadStore):
    """The threads of v1."""


class ThreadsV2(ThreadStore):
    """The threads of v2, which no call lists."""


@dataclass(frozen=True)
class Sender:
    """Who a request says it is from.

    Attributes:
        client_id: Its `X-Client-ID`.
        session_id: Its `X-Session-ID`.
    """

    client_id: str | None = None
    session_id: str | None = None

    @classmethod
    def of(cls, request: RecordedRequest) -> "Sender":
        """Read the headers of a request."""
        return cls(request.headers.get("x-client-id"), request.headers.get("x-session-id"))


class PromptCache:
    """What the service has read already, by session: `state.part(PromptCache)`."""

    def __init__(self) -> None:
        self._prompts: dict[str, list[tuple[str, int]]] = {}

    def hits(self, session_id: str | None, prompt: list[tuple[str, int]]) -> int:
        """Count the tokens that a prompt and the one before it in the same session begin with, and remember it.

        Args:
            session_id: The session; without one nothing is remembered.
            prompt: The parts of the prompt, each with its tokens.
        """
        if session_id is None:
            return 0
        before = self._prompts.get(session_id, [])
        self._prompts[session_id] = prompt
        same = takewhile(lambda pair: pair[0] == pair[1], zip(before, prompt, strict=False))
        return sum(part[1] for part, _ in same)
