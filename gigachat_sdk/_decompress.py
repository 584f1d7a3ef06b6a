"""What compressed answers hold: piece by piece, to the last member, and never less than was sent."""

from __future__ import annotations

import zlib
from typing import Protocol


class DecompressError(Exception):
    """The bytes are not what their head says (internal; users see an `APIConnectionError`)."""


class CutError(DecompressError):
    """They end too early."""


class _Layer(Protocol):
    @property
    def is_complete(self) -> bool: ...

    def feed(self, piece: bytes, /) -> bytes: ...


class _Gzip:
    """Members one after the other, with zeros between and after them (RFC 1952, section 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._is_between = True
        self._has_ended = False

    @property
    def is_complete(self) -> bool:
        return self._is_between

    def feed(self, piece: bytes, /) -> bytes:
        found = bytearray()
        while piece := piece.lstrip(b"\0") if self._is_between and self._has_ended else piece:
            self._is_between = False
            found += self._member.decompress(piece)
            piece = self._member.unused_data
            if self._member.eof:
                self._is_between = self._has_ended = True
                self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return bytes(found)


class _Deflate:
    """One stream in zlib's wrapping, or without it, as some servers have it (RFC 9110, section 8.4.1.2)."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = zlib.decompressobj()

    @property
    def is_complete(self) -> bool:
        return not self._head or self._stream.eof

    def feed(self, piece: bytes, /) -> bytes:
        if len(self._head) < 2:
            piece = self._head + piece
            self._head = piece[:2]
            if len(self._head) < 2:
                return b""
            if self._head[0] & 15 != zlib.DEFLATED or int.from_bytes(self._head, "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        found = self._stream.decompress(piece)
        if self._stream.unused_data:
            raise DecompressError("something follows the end of its deflate stream")
        return found


_LAYERS: dict[str, type[_Gzip] | type[_Deflate]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}


def _names(encoding: str) -> list[str]:
    names = [name.strip().lower() for name in encoding.split(",")]
    return [name for name in names if name not in ("", "identity")]


def is_known(encoding: str) -> bool:
    """Say whether bytes under this `Content-Encoding` can be decompressed here."""
    return all(name in _LAYERS for name in _names(encoding))


class Decompressor:
    """Decompresses one body.

    Args:
        encoding: Its `Content-Encoding`; several are separated by commas, the last one outermost.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._layers: list[_Layer] | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return what the next piece holds, which may be nothing.

        Raises:
            DecompressError: It is not compressed as its head says, or in a way that is unknown here.
        """
        if self._layers is None:
            if not is_known(self._encoding):
                raise DecompressError(
                    f"its Content-Encoding {self._encoding[:40]!r} is unknown here, and was not asked for"
                )
            self._layers = [_LAYERS[name]() for name in reversed(_names(self._encoding))]
        try:
            for layer in self._layers:
                piece = layer.feed(piece)
        except zlib.error as error:
            wrong = str(error)
        else:
            return piece
        raise DecompressError(wrong)

    def end(self) -> None:
        """Check that nothing is missing; a body of no bytes at all is a whole one.

        Raises:
            CutError: It ends too early.
        """
        if not all(layer.is_complete for layer in self._layers or ()):
            raise CutError(f"its {self._encoding} data ends too early")
