"""Events of v2 streams to chunks. No I/O."""

from __future__ import annotations

from typing import Any

import pydantic

from ._events import Event
from ._response import ERROR_EVENTS, ERROR_WORDS, ChunkReader, document_of, one_line, with_whole_characters
from .errors import StreamError
from .types._base import attach
from .types.v2 import ChatCompletionChunk
from .types.v2.completion import is_last, is_of_message, is_of_tool, name_event, set_added_texts


class EventReader(ChunkReader[ChatCompletionChunk]):
    """Turns events of one v2 stream into chunks: named ones, and unnamed ones with the same content."""

    def read(self, event: Event) -> ChatCompletionChunk | StreamError[Any] | None:
        """Return the event's chunk, an error, or None where it brings nothing."""
        name, data = event
        if name in ERROR_EVENTS:
            return self.told(document_of(self._hide(data)))
        try:
            chunk: ChatCompletionChunk = self._validate(data)
        except pydantic.ValidationError as error:
            reason, whole = one_line(error), with_whole_characters(data, error)
        else:
            name_event(chunk, name)
            if is_of_message(name):
                # Everything of a chunk may be missing, so that an error could pass for one.
                unknown = chunk.__pydantic_extra__
                if unknown and not (chunk.messages or chunk.finish_reason) and ERROR_WORDS & unknown.keys():
                    return self.told(document_of(self._hide(data)))
                self._add(chunk)
                self.is_done = is_last(chunk)
            elif is_of_tool(name):
                self._add(chunk)
            else:
                set_added_texts(chunk, {})  # who knows what its texts are
            return attach(chunk, self.response)
        if whole is not None:
            return self.read(Event(name, whole))
        # An event of any other name that is no chunk concerns somebody else.
        return self.no_chunk(data, reason, is_ours=is_of_message(name))
