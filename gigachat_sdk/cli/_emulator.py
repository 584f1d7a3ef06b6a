"""`gigachat-sdk emulator`: the service on a port of this machine, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections import Counter
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

import click

from .._token import check_credentials
from ..errors import ConfigurationError
from ._client import emulator_class
from ._streams import say

if TYPE_CHECKING:
    from ..testing import Emulator, FaultProfile

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_HELP = """Serve an emulator of GigaChat on this machine: no key, no network.

Prints the environment variables that lead a client to it, then serves until Ctrl-C or SIGTERM. KEY is no secret: do not
give a real one.

--faults lets things go wrong as a profile says: errors, cuts, silence, garbage. It prints
what it is going to do and, in the end, how often it has done it.

\b
  gigachat-sdk emulator                in one terminal
  export GIGACHAT_BASE_URL=...         in another one: the lines it has printed
  gigachat-sdk chat "Привет!"
"""


@click.command(help=_HELP, short_help="Serve an emulator of GigaChat on this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; a free one by default.")
@click.option(
    "--https/--http", default=False, help="Serve over TLS with a certificate made for it, or plainly (default)."
)
@click.option("--credentials", metavar="KEY", help="The authorization key it accepts; a made-up one by default.")
@click.option(
    "--faults",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A profile in TOML of what goes wrong on purpose; the documentation has one.",
)
def emulator(port: int, https: bool, credentials: str | None, faults: Path | None) -> None:
    """Serve an emulator until Ctrl-C."""
    if credentials is not None:
        check_credentials("--credentials", credentials)
    profile = None if faults is None else _read_profile(faults)
    # `put` of this queue may be called by a signal handler, even while `get` of the same one is under way.
    signals: SimpleQueue[int] = SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        signals.put(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        server = emulator_class()(https=https, port=port, credentials=credentials, faults=profile)
        try:
            server.start()
        except OSError as error:
            raise ConfigurationError(f"--port {port}: {os.strerror(error.errno) if error.errno else error}") from None
        try:
            _introduce(server, profile)
            _wait(signals)
        finally:
            server.stop()
        if profile is not None:
            _count(server)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_profile(file: Path) -> FaultProfile:
    """Read what goes wrong.

    Raises:
        ConfigurationError: The file can't be read, or makes no sense.
    """
    emulator_class()  # says so where the extra is missing
    from ..testing import FaultProfile

    try:
        return FaultProfile.from_toml(file)
    except OSError as error:
        raise ConfigurationError(f"--faults {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigurationError(f"--faults {error}") from None


def _introduce(server: Emulator, profile: FaultProfile | None) -> None:
    settings = {
        "GIGACHAT_BASE_URL": server.base_url,
        "GIGACHAT_AUTH_URL": server.auth_url,
        "GIGACHAT_CREDENTIALS": server.credentials,
        "GIGACHAT_CA_BUNDLE_FILE": server.ca_bundle_file,
    }
    for name, value in settings.items():
        if value is not None:
            print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    if profile is not None:
        say(f"Faults, with the seed {profile.seed}:")
        for fault in profile.faults:
            say(f"  {fault}")
    say("The emulator is running; Ctrl-C ends it.")


def _count(server: Emulator) -> None:
    done = Counter(record.kind for record in server.faults_done)
    counts = ", ".join(f"{kind} {count}" for kind, count in done.most_common())
    say(f"Faults done: {counts or 'none'}.")


def _wait(signals: SimpleQueue[int]) -> None:
    while True:
        try:
            signals.get(timeout=1)  # not for ever: on Windows a wait without end could not be interrupted
        except Empty:
            continue
        return
