"""Sending an answer that has a fault."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from starlette.types import Message, Scope, Send

from gigachat_sdk.testing._auth import credentials_of
from gigachat_sdk.testing._fault_choice import Turn
from gigachat_sdk.testing._fault_reply import Bent, bend, instead
from gigachat_sdk.testing._faults import Fault, HowToCut
from gigachat_sdk.testing._line import Connection
from gigachat_sdk.testing._replies import Reply, send_reply
from gigachat_sdk.testing._state import State


def answer_instead(turn: Turn, state: State) -> Reply | None:
    """Make the answer that a fault gives instead of carrying a request out; None where there is none.

    Args:
        turn: What the request may meet.
        state: The emulator's memory.
    """
    token = credentials_of(turn.request, "bearer")
    fault = turn.instead(lambda one: one.kind != "revoke_token" or token is not None)
    if fault is None:
        return None
    if fault.kind == "revoke_token" and token is not None:
        state.revoke_token(token)
    turn.note(fault)
    return instead(fault)


async def send_with_faults(
    turn: Turn, reply: Reply, scope: Scope, send: Send, added: Mapping[str, str], ending: Callable[[], None]
) -> None:
    """Write a reply to the server, with the faults whose turn it is.

    Args:
        turn: What the request may meet.
        reply: The answer without faults.
        scope: Of the request.
        send: Takes the messages.
        added: Headers that go beside the reply's own ones.
        ending: Called right before the last piece is written.
    """
    http2 = scope["http_version"] == "2"
    bents: dict[Fault, Bent] = {}

    def fits(fault: Fault) -> bool:
        bent = bend(fault, reply, http2=http2)
        if bent is not None:
            bents[fault] = bent
        return bent is not None

    fault = turn.along(fits)
    if (latency := turn.latency()) is not None:
        turn.note(latency)
        await anyio.sleep(latency.seconds or 0.0)
    if fault is None:
        await send_reply(reply, send, added, lower=http2, ending=ending)
        return
    bent = bents[fault]
    with anyio.CancelScope() as end:
        if bent.act is None:
            turn.note(fault)
        else:
            send = _FaultySend(turn, fault, bent, scope, send, ending, end)
        await send_reply(bent.reply, send, added, lower=http2, ending=ending)


@dataclass
class _FaultySend:
    """A `send` on whose way something happens to the bytes."""

    turn: Turn
    fault: Fault
    bent: Bent
    scope: Scope
    send: Send
    ending: Callable[[], None]
    end: anyio.CancelScope
    sent: int = 0  # bytes of the body
    is_done: bool = False

    @property
    def connection(self) -> Connection:
        """The connection that the request came by."""
        return Connection.of(self.scope)

    async def __call__(self, message: Message) -> None:
        """Pass a message on, with what is to happen before it, in its middle or after it."""
        if message["type"] == "http.response.start":
            if self.bent.at is None:
                await self._act()
            await self.send(message)
            return
        body: bytes = message["body"]
        before = 0 if self.is_done else max(0, (self.bent.at or 0) - self.sent)
        self.sent += len(body)
        if not self.is_done and before <= len(body):
            self.is_done = True
            if self.bent.act == "leftover":  # with the last byte that was announced, the client has all it waits for
                self.turn.note(self.fault)
            await self._body(body[:before])
            await self._act()
            body = body[before:]
        if self.bent.act == "slow":
            await self._slowly(body)
            body = b""
        await self.send({**message, "body": body})

    async def _body(self, piece: bytes) -> None:
        await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _slowly(self, body: bytes) -> None:
        size = self.fault.chunk_size or 1
        for begin in range(0, len(body), size):
            await anyio.sleep(self.fault.seconds or 0.0)
            await self._body(body[begin : begin + size])

    async def _act(self) -> None:
        """Do what is to be done; returns only where the answer goes on."""
        act = self.bent.act
        if act in ("cut", "garbage", "leftover"):
            self.ending()
            await self.connection.settle(self.scope)
        if act != "leftover":
            self.turn.note(self.fault)
        if act == "slow":
            return
        if act == "silence" and self.fault.seconds is not None:
            await anyio.sleep(self.fault.seconds)
            return
        while act == "repeat":
            await self._body(self.bent.data)
            await anyio.sleep(self.fault.seconds or 0.0)
        if act == "cut":
            await self._cut(self.fault.how or "close")
        elif act != "silence":
            await self.connection.write(self.bent.data)
            self.connection.close()
        await anyio.sleep_forever()  # until the server notices that the connection has ended

    async def _cut(self, how: HowToCut) -> None:
        if how == "close":
            self.connection.close()
        elif how == "stream" and await self.connection.reset_stream(self.scope):
            self.end.cancel()
        else:
            self.connection.reset()
