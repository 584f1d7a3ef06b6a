"""The client that a command talks through: of the environment, or of an emulator inside this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import httpx

from .. import Client

if TYPE_CHECKING:
    from ..testing import Emulator

use_emulator = click.option(
    "--emulator", "use_emulator", is_flag=True, help="Ask an emulator inside this process: no key, no network."
)
base_url = click.option(
    "--base-url", metavar="URL", help="Address of the API, up to and including /v1. [GIGACHAT_BASE_URL]"
)


def emulator_class() -> type[Emulator]:
    """Import the emulator, which belongs to an extra.

    Raises:
        click.UsageError: It is not installed.
    """
    try:
        from ..testing import Emulator
    except ImportError as error:
        raise click.UsageError(str(error)) from None
    return Emulator


@contextmanager
def open_client(*, use_emulator: bool, base_url: str | None) -> Generator[Client, None, None]:
    """Open the client of a command.

    Args:
        use_emulator: Whether an emulator inside this process answers.
        base_url: Address of the API; None for the one of the environment.

    Raises:
        click.UsageError: Both were given, or the emulator is not installed.
        ConfigurationError: The environment does not say who you are, or makes no sense.
    """
    settings: dict[str, Any] = {} if base_url is None else {"base_url": base_url}
    if not use_emulator:
        with Client(**settings) as client:
            yield client
        return
    if settings:
        raise click.UsageError(
            "--emulator has an address of its own: leave --base-url out", click.get_current_context()
        )
    # Connections of its own: proxies and certificates of the environment have no business on the loopback.
    with (
        emulator_class()() as emulator,
        httpx.Client(trust_env=False) as http_client,
        emulator.client(http_client=http_client) as client,
    ):
        yield client
