"""What every test gets."""

from __future__ import annotations

import os

import pytest
from contract.recorder import ContractPlugin
from hypothesis import HealthCheck, settings

PROXY_VARIABLES = {"ALL_PROXY", "FTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every test marked `anyio` on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests: keys, addresses, proxies."""
    for name in list(os.environ):
        if name.upper().startswith("GIGACHAT_") or name.upper() in PROXY_VARIABLES:
            monkeypatch.delenv(name)


# On a busy machine every example is slow, which says nothing of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Let all that goes over the wire be judged by the description of the API."""
    config.pluginmanager.register(ContractPlugin(), "contract")
