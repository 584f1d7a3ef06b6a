"""Cutting text: into the emulator's idea of tokens, and into the words a stream is made of."""

import re

_TOKEN = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")
_WORD = re.compile(r"\s*\S+|\s+")


def tokens(text: str) -> list[str]:
    """Cut a text into pieces of about a token each; joined they are the text again."""
    return _TOKEN.findall(text)


def words(text: str) -> list[str]:
    """Cut a text into words, each with the space before it; joined they are the text again."""
    return _WORD.findall(text)
