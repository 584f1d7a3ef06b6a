"""What the pages state is what the code does."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path

import pytest

from gigachat_sdk import errors
from gigachat_sdk._config import resolve
from gigachat_sdk._settings import Arguments, Environment
from gigachat_sdk._tls import BUNDLED_CA_FILE

ROOT = Path(__file__).resolve().parents[2]
READMES = [ROOT / "README.md", ROOT / "README.en.md"]
GUIDES = [ROOT / "docs" / "index.md", ROOT / "docs" / "en" / "index.md"]


class Noted(Environment):
    """Remembers what it was asked for."""

    asked: set[str]

    def get(self, name: str) -> str | None:
        self.asked.add(f"GIGACHAT_{name.upper()}")
        return None


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_table_of_variables_is_complete(page: Path) -> None:
    Noted.asked = set()
    resolve(Arguments({"cert_file": None, "access_token": "t"}), Noted({}), is_async=False)
    with pytest.raises(errors.MissingCredentialsError):
        resolve(Arguments({}), Noted({}), is_async=False)
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `GIGACHAT_")]
    assert {name for row in rows for name in re.findall(r"GIGACHAT_\w+", row.split("|")[1])} == Noted.asked


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_fingerprint_is_that_of_the_bundled_root(page: Path) -> None:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(BUNDLED_CA_FILE.read_text())).hexdigest().upper()
    assert ":".join(digest[i : i + 2] for i in range(0, 64, 2)) in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tree_of_errors_is_complete(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tree = text[text.index("GigaChatError\n├") :].partition("```")[0]
    named = set(re.findall(r"\w+Error\b", tree)) - {"ValueError", "TimeoutError"}
    assert named == {name for name in errors.__all__ if not name.endswith("TypeError")}


@pytest.mark.parametrize(
    "pages",
    [READMES, *([ROOT / "docs" / page.name, page] for page in sorted((ROOT / "docs" / "en").glob("*.md")))],
    ids=lambda pages: pages[0].name,
)
def test_both_languages_show_the_same(pages: list[Path]) -> None:
    def outline(page: Path) -> list[str]:
        return re.findall(r"^(#+ |```\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert outline(pages[0]) == outline(pages[1])
