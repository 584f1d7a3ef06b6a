"""Let mkdocstrings show `Example:` sections as code, as it shows `Examples:`; loaded by mkdocs.yml."""  # noqa: INP001  # loaded by its path

from __future__ import annotations

import re
from typing import Any

import griffe

_HEADING = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class PluralExamples(griffe.Extension):
    """Renames the sections before the docstrings are parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one object."""
        if obj.docstring is not None:
            obj.docstring.value = _HEADING.sub(r"\1Examples:", obj.docstring.value)
