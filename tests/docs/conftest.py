from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gigachat_sdk.testing import Emulator
from gigachat_sdk.testing._images import jpeg

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OPENAPI = """\
openapi: 3.0.0
info: {title: Weather, version: "1"}
paths:
  /weather:
    get:
      operationId: weather
      summary: Погода в городе
      parameters:
        - {name: place, in: query, required: true, schema: {type: string}}
      responses: {"200": {description: OK}}
"""
LINES = """\
{"id": "tula", "request": {"messages": [{"role": "user", "content": "Чем известна Тула?"}]}}
{"id": "omsk", "request": {"messages": [{"role": "user", "content": "Чем известен Омск?"}]}}
"""


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator over HTTPS, and the environment that leads clients to it."""
    with Emulator(https=True) as running:
        monkeypatch.setenv("GIGACHAT_BASE_URL", running.base_url)
        monkeypatch.setenv("GIGACHAT_AUTH_URL", running.auth_url)
        monkeypatch.setenv("GIGACHAT_CREDENTIALS", running.credentials)
        monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(running.ca_bundle_file))
        monkeypatch.setenv("PYTHONUTF8", "1")
        yield running


@pytest.fixture
def workplace(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory but for the files that the documentation speaks of."""
    (tmp_path / "corporate-root.pem").write_text(Path(str(emulator.ca_bundle_file)).read_text())
    certificate = trustme.CA().issue_cert("client.example.com")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "client.key")
    (tmp_path / "token.txt").write_text(emulator.issue_token() + "\n")
    (tmp_path / "notes.txt").write_text("Что такое SSE?\n", encoding="utf-8")
    (tmp_path / "report.txt").write_text("Выручка за март — 12 млн рублей.\n", encoding="utf-8")
    (tmp_path / "cat.jpg").write_bytes(jpeg("Кот"))
    (tmp_path / "openapi.yaml").write_text(OPENAPI, encoding="utf-8")
    (tmp_path / "requests.jsonl").write_text(LINES, encoding="utf-8")
    (tmp_path / "faults.toml").write_bytes((EXAMPLES / "faults.toml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path
