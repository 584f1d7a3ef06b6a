import subprocess
import sys
from typing import Any

import pytest

import gigachat_sdk.testing
from gigachat_sdk.testing import Emulator, pytest_plugin

LATE = "'starlette', 'hypercorn', 'trustme', 'h2'"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_plugin_imports_nothing_of_the_emulator() -> None:
    code = "import sys, pytest; before = set(sys.modules)\nimport gigachat_sdk; mid = set(sys.modules)\n"
    code += "import gigachat_sdk.testing.pytest_plugin\n"
    code += "print(sorted(name for name in set(sys.modules) - mid if not name.startswith('gigachat_sdk')))"
    assert run(code) == "[]\n"


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypercorn'] = None\nimport gigachat_sdk.testing\n"
    code += "try:\n    from gigachat_sdk.testing import Emulator\nexcept ImportError as error:\n    print(error)"
    assert "pip install 'gigachat-sdk[emulator]'" in run(code)


def test_the_names_are_there() -> None:
    names = ["Emulator", "Fault", "FaultProfile", "FaultRecord", "RecordedRequest", "Reply"]
    assert gigachat_sdk.testing.__all__ == names
    assert all(getattr(gigachat_sdk.testing, name).__name__ == name for name in gigachat_sdk.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(gigachat_sdk.testing, "Nothing")  # noqa: B009 - the plain access is an error to ruff and mypy alike


class FakeClient:
    """Stands for the SDK's clients, to look at their arguments."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.closed = False

    @classmethod
    def _without_environment(cls, arguments: dict[str, Any]) -> "FakeClient":
        return cls(**arguments)

    def __enter__(self) -> "FakeClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.fixture
def fake_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Client", "AsyncClient"):
        monkeypatch.setattr(f"gigachat_sdk.testing._emulator.{name}", FakeClient)


@pytest.mark.usefixtures("fake_clients")
@pytest.mark.parametrize("name", ["client", "async_client"])
def test_a_client_gets_address_key_and_certificate(name: str) -> None:
    with Emulator(https=True, scope="GIGACHAT_API_B2B") as emulator:
        make = getattr(emulator, name)
        where = {"base_url": emulator.base_url, "auth_url": emulator.auth_url}
        who = {"credentials": emulator.credentials, "scope": "GIGACHAT_API_B2B"}
        trust = {"ca_bundle_file": emulator.ca_bundle_file}
        assert make().arguments == {**where, **who, **trust}
        assert make(scope="X", timeout=1).arguments == {**where, **who, **trust, "scope": "X", "timeout": 1}
        assert make(user="u", password="p").arguments == {**where, **trust, "user": "u", "password": "p"}
        assert make(ssl_context=1).arguments == {**where, **who, "ssl_context": 1}


@pytest.mark.usefixtures("fake_clients")
def test_the_fixtures_give_an_emulator_and_its_clients() -> None:
    fixtures = {name: getattr(pytest_plugin, name).__wrapped__ for name in dir(pytest_plugin) if "gigachat_" in name}
    emulators = fixtures["gigachat_emulator"]()
    emulator = next(emulators)
    clients = fixtures["gigachat_client"](emulator)
    client = next(clients)
    assert client.arguments["base_url"] == emulator.base_url
    assert fixtures["gigachat_async_client"](emulator).arguments["base_url"] == emulator.base_url
    assert next(clients, None) is None
    assert client.closed
    assert next(emulators, None) is None
