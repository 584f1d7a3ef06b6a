"""Files that a model has made: what an answer says of them, and what it takes to download them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

# A tag that names a file; the text around it may be any text, and HTML of the user's topic among it.
_TAG = re.compile(r"""<(?:img|div)\s(?:[^<>"']|"[^"]{0,2000}"|'[^']{0,2000}'){0,2000}>""", re.IGNORECASE)
_ID = re.compile(r"[\w-]+", re.ASCII)
_ATTRIBUTES = {"img": ("src", "image"), "div": ("data-model-id", "model3d")}


@dataclass(frozen=True)
class GeneratedFile:
    """A file that the model made (a picture, a 3D model), named in an answer and kept by the service.

    `client.files.content(file)` downloads it. A file that was made under an `X-Client-ID` is given out under the same
    one only, so the id travels with it.

    Attributes:
        id: The file's id.
        client_id: The `X-Client-ID` of the request that made it; None where there was none.
        mime: Its MIME type, for example `"image/jpeg"`; None where the answer does not say.
        target: What it is, for example `"image"`; None where the answer does not say.

    Example:
        >>> GeneratedFile("c757a9c5-de04-498f-baa3-efcc54de7853", target="image").id
        'c757a9c5-de04-498f-baa3-efcc54de7853'
    """

    id: str
    client_id: str | None = None
    mime: str | None = None
    target: str | None = None


class _Tag(HTMLParser):
    """Reads one tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: tuple[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name, target = _ATTRIBUTES[tag]
        value = dict(attrs).get(name) or ""
        if _ID.fullmatch(value):  # an address or a file's name is not the service's
            self.found = value, target


def generated_files(text: str, client_id: str | None) -> list[GeneratedFile]:
    """Return the files that the text of a v1 answer names in tags, each once, in its order (internal).

    Args:
        text: The content of a message.
        client_id: The `X-Client-ID` of the request.
    """
    found = [_Tag(match[0]).found for match in _TAG.finditer(text)] if "<" in text else []
    return [GeneratedFile(*file) for file in dict.fromkeys((f[0], client_id, None, f[1]) for f in found if f)]
