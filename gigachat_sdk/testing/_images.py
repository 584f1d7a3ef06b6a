"""What built-in functions draw: a tiny JPEG and a tiny FBX, which follow from the text that asked for them."""

import hashlib
import struct

SIDE = 8  # pixels of a picture's width and height
_ONE_BLOCK = 64
# What the size of a grey level's difference is coded with: 12 sizes with codes of four bits, then "no more of it".
_SIZES = bytes([0, 0, 0, 12, *[0] * 12, *range(12)])
_REST = bytes([0, 1, *[0] * 14, 0])  # a code of two bits for "nothing else in this block"


def jpeg(text: str) -> bytes:
    """Make a valid picture in one shade of grey, the shade following from a text.

    Args:
        text: What the picture was asked for with; it also stands in the file as a comment.
    """
    shade = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=1).digest()[0]
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xFE, text.encode("utf-8", "replace")[:1000]),
            _segment(0xDB, b"\x00" + b"\x01" * _ONE_BLOCK),
            _segment(0xC0, struct.pack(">BHHBBBB", 8, SIDE, SIDE, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\x00" + _SIZES),
            _segment(0xC4, b"\x10" + _REST),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            _block(shade),
            b"\xff\xd9",
        ]
    )


def fbx(text: str) -> bytes:
    """Make an empty binary FBX document, with a text as its comment.

    Args:
        text: What the model was asked for with.
    """
    comment = text.encode("utf-8", "replace")[:1000]
    name = b"Comment"
    value = b"S" + struct.pack("<I", len(comment)) + comment
    head = b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", 7400)
    end = len(head) + 13 + len(name) + len(value)
    node = struct.pack("<IIIB", end, 1, len(value), len(name)) + name + value
    return head + node + b"\x00" * 13


def _segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def _block(shade: int) -> bytes:
    """Code one block of pixels that all have the same shade, 0 for black to 255 for white."""
    difference = (shade - 128) * 8
    size = abs(difference).bit_length()
    amount = difference if difference > 0 else difference + (1 << size) - 1
    bits = f"{size:04b}" + (f"{amount:0{size}b}" if size else "") + "00"
    bits += "1" * (-len(bits) % 8)
    coded = bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
    return coded.replace(b"\xff", b"\xff\x00")
