"""`_decompress.py`: whole bodies come out whole however they are cut into pieces, and no other counts as one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from gigachat_sdk._decompress import CutError, DecompressError, Decompressor, is_known

TEXT = b"a picture of a cat"


def raw_deflate(content: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(content) + engine.flush()


GZIP, ZLIB, RAW = gzip.compress(TEXT, mtime=0), zlib.compress(TEXT), raw_deflate(TEXT)
WHOLE = {
    "gzip": ("gzip", GZIP, TEXT),
    "by its old name": ("X-GZIP", GZIP, TEXT),
    "two members": ("gzip", GZIP + GZIP, TEXT * 2),
    "zeros between and after members": ("gzip", GZIP + bytes(3) + GZIP + bytes(5), TEXT * 2),
    "a member of nothing": ("gzip", gzip.compress(b"", mtime=0), b""),
    "deflate": ("deflate", ZLIB, TEXT),
    "deflate without its wrapping": ("deflate", RAW, TEXT),
    "one in the other": ("deflate, gzip", gzip.compress(ZLIB, mtime=0), TEXT),
    "not compressed": ("identity", TEXT, TEXT),
    "no name": (",", TEXT, TEXT),
    "no bytes": ("gzip", b"", b""),
    "no bytes of deflate": ("deflate", b"", b""),
}
WRONG = {
    "half of a gzip": ("gzip", GZIP[:-9], CutError, "its gzip data ends too early"),
    "a gzip without its last byte": ("gzip", GZIP[:-1], CutError, "its gzip data ends too early"),
    "half of a second member": ("gzip", GZIP + GZIP[:-9], CutError, "its gzip data ends too early"),
    "the first byte of a gzip": ("gzip", GZIP[:1], CutError, "its gzip data ends too early"),
    "a deflate without its last byte": ("deflate", ZLIB[:-1], CutError, "its deflate data ends too early"),
    "the first byte of a deflate": ("deflate", ZLIB[:1], CutError, "its deflate data ends too early"),
    "half of a deflate without its wrapping": ("deflate", RAW[:-2], CutError, "its deflate data ends too early"),
    "the inner one is cut": ("deflate, gzip", gzip.compress(ZLIB[:-1]), CutError, "ends too early"),
    "plain text": ("gzip", TEXT, DecompressError, "incorrect header check"),
    "plain text after a gzip": ("gzip", GZIP + TEXT, DecompressError, "incorrect header check"),
    "something after a deflate": ("deflate", ZLIB + b"x", DecompressError, "something follows the end"),
    "a wrong sum": ("gzip", GZIP[:-8] + bytes(8), DecompressError, "incorrect data check"),
    "an unknown encoding": ("br", TEXT, DecompressError, "its Content-Encoding 'br' is unknown here"),
    "an unknown one among others": ("gzip, zstd", GZIP, DecompressError, "'gzip, zstd' is unknown here"),
}


def splits(body: bytes) -> Iterator[list[bytes]]:
    """Give a body whole, byte by byte, and in two pieces at every place there is."""
    yield [body]
    yield [body[place : place + 1] for place in range(len(body))]
    for place in range(len(body)):
        yield [body[:place], body[place:]]


def decompressed(encoding: str, pieces: list[bytes]) -> bytes:
    decompressor = Decompressor(encoding)
    found = b"".join([decompressor.feed(piece) for piece in pieces])
    decompressor.end()
    return found


@pytest.mark.parametrize(("encoding", "body", "content"), WHOLE.values(), ids=WHOLE)
def test_any_split_of_a_whole_body_gives_all_that_is_in_it(encoding: str, body: bytes, content: bytes) -> None:
    for pieces in splits(body):
        assert decompressed(encoding, pieces) == content, pieces


@pytest.mark.parametrize(("encoding", "body", "kind", "message"), WRONG.values(), ids=WRONG)
def test_any_split_of_a_body_that_is_not_whole_is_the_same_error(
    encoding: str, body: bytes, kind: type[Exception], message: str
) -> None:
    for pieces in splits(body):
        with pytest.raises(DecompressError, match=message) as caught:
            decompressed(encoding, pieces)
        assert type(caught.value) is kind
        assert caught.value.__context__ is None


def test_what_is_known() -> None:
    assert [is_known(name) for name in ("gzip", "deflate, GZIP", "identity", "", "br", "gzip, br")] == [True] * 4 + [
        False
    ] * 2
