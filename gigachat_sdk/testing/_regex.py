"""From a regular expression to one text that it matches, always the same one.

Covers what response formats and the `pattern` of a schema are made of: literals, classes, groups, alternatives,
repetition, anchors. What needs looking around or back is given up.
"""

import re
from collections.abc import Iterator

_LONGEST = 100_000
_MOST_TRIES = 100
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_DIGITS = "1234567890"
_WORDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
_OTHERS = " -.,:;!?/+*=()[]{}<>@#$%^&|~'\"`\\"
_KNOWN = _DIGITS + _WORDS + _OTHERS + "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\n"
_REPEAT = re.compile(r"\{(?=[\d,])(\d*)(?:(,)(\d*))?\}")


class NoExampleError(ValueError):
    """No text was found that matches."""


def matching(pattern: str, shortest: int = 0, longest: int = _LONGEST) -> str:
    r"""Make a text that a pattern matches as a whole; where it has no anchors, nothing stands around it.

    Args:
        pattern: A regular expression.
        shortest: The least characters that the text may have.
        longest: The most characters that it may have.

    Raises:
        NoExampleError: The pattern is broken, or uses what this module does not know.

    Example:
        >>> matching(r"[A-Z]{3}-\d{4}")
        'AAA-1111'
    """
    try:
        known = re.compile(pattern)
        for repeats in (1, *range(2, min(shortest, _MOST_TRIES)), shortest, 0):
            text = _Reader(pattern, repeats).whole()
            if shortest <= len(text) <= longest and known.fullmatch(text):
                return text
    except (re.error, RecursionError, OverflowError) as error:
        raise NoExampleError(f"{pattern} can't be read: {error}") from None
    raise NoExampleError(f"no text was found that matches {pattern}")


class _Reader:
    """Reads a pattern from left to right and makes the text on the way; of alternatives it takes the first.

    Args:
        pattern: The pattern, known to be a good one.
        repeats: How often a piece comes that may come any number of times; more or less often where it must.
    """

    def __init__(self, pattern: str, repeats: int) -> None:
        self._pattern = pattern
        self._repeats = repeats
        self._at = 0
        self._groups: list[str] = []
        self._names: dict[str, str] = {}

    def whole(self) -> str:
        return self._alternatives()

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _until(self, end: str) -> str:
        stop = self._pattern.index(end, self._at)
        text, self._at = self._pattern[self._at : stop], stop + len(end)
        return text

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._take("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        made = ""
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            made += self._repeated()
        return made

    def _repeated(self) -> str:
        piece = self._piece()
        while (times := self._times()) is not None:
            if len(piece) * times > _LONGEST:
                raise NoExampleError(f"{self._pattern} asks for a text of over {_LONGEST} characters")
            piece *= times
        return piece

    def _times(self) -> int | None:
        """Read a quantifier, if there is one, and choose how often the piece comes."""
        if self._take("*"):
            low, high = 0, _LONGEST
        elif self._take("+"):
            low, high = 1, _LONGEST
        elif self._take("?"):
            low, high = 0, 1
        elif found := _REPEAT.match(self._pattern, self._at):
            self._at = found.end()
            low = int(found[1] or 0)
            high = int(found[3] or _LONGEST) if found[2] else low
        else:
            return None
        if not self._take("?"):  # lazy, or
            self._take("+")  # possessive, which makes no difference here
        return max(low, min(high, self._repeats))

    def _piece(self) -> str:
        match self._next():
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "^" | "$":
                return ""
            case ".":
                return "A"
            case literal:
                return literal

    def _group(self) -> str:
        name = ""
        counts = not self._take("?")
        if not counts:
            if self._take("P<"):
                counts, name = True, self._until(">")
            elif self._take("P="):
                return self._names[self._until(")")]
            elif self._take("#"):
                self._until(")")
                return ""
            elif not self._take(":"):
                raise NoExampleError(f"no text was found that matches {self._pattern}")
        number = len(self._groups)
        if counts:
            self._groups.append("")
        made = self._alternatives()
        self._next()
        if counts:
            self._groups[number] = self._names[name] = made
        return made

    def _escape(self) -> str:
        kind = self._next()
        if kind in "123456789":
            return self._groups[int(kind) - 1]
        if kind in "AZbB":
            return ""
        return next(self._escaped(kind))

    def _escaped(self, kind: str) -> Iterator[str]:
        """Give the characters that an escape stands for."""
        if kind in "xu":
            size = 2 if kind == "x" else 4
            self._at += size
            yield chr(int(self._pattern[self._at - size : self._at], 16))
        elif kind in "dwsDWS":
            test = re.compile(f"\\{kind}")
            yield from (one for one in "A" + _KNOWN if test.match(one))
        else:
            yield _ESCAPES.get(kind, kind)

    def _class(self) -> str:
        start = self._at
        self._take("^")
        self._take("]")
        while (one := self._next()) != "]":
            self._at += one == "\\"
        test = re.compile("[" + self._pattern[start : self._at])
        inside = self._pattern[start : self._at - 1].removeprefix("^")
        for one in ("A" + _KNOWN) if self._pattern[start] == "^" else ("A1a" + _KNOWN + inside):
            if test.match(one):
                return one
        raise NoExampleError(f"no text was found that matches {self._pattern}")
