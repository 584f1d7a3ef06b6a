"""How commands are run: settings of the environment in, one readable line out when something fails."""

from __future__ import annotations

import io
import sys
from typing import Any, NoReturn

import click

from .. import __version__
from ..errors import ConfigurationError, GigaChatError, InvalidRequestError, MissingCredentialsError
from ._bulk import bulk
from ._chat import chat
from ._emulator import emulator
from ._models import models
from ._streams import fill_gaps, in_words_of_commands, say, send_nowhere

API_FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
NOBODY_READS = 141

_EPILOG = """\b
Settings are read from the environment, secrets from there only:
  GIGACHAT_CREDENTIALS     the authorization key of your account
  GIGACHAT_SCOPE           GIGACHAT_API_PERS (default), _B2B or _CORP
  GIGACHAT_MODEL           the model of calls that name none
  GIGACHAT_BASE_URL, GIGACHAT_AUTH_URL, GIGACHAT_CA_BUNDLE_FILE, GIGACHAT_PROXY, ...

There is no option for the key: what stands on a command line, every user of the machine can read.
"""

_WHO_ARE_YOU = (
    "nothing says who you are: put the authorization key of your account into the environment variable "
    "GIGACHAT_CREDENTIALS, or try --emulator, which needs no key"
)


class Program(click.Group):
    """The group of all commands; it turns every failure into one line and a status."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command line, and exit with its status."""
        fill_gaps()
        _never_fail_at_encoding()
        extra["standalone_mode"] = False
        try:
            status = super().main(*args, **extra)
        except click.Abort:
            status = INTERRUPTED
        except click.ClickException as error:
            status = _report(_usage_line(error), WRONG_USAGE)
        except MissingCredentialsError:
            status = _report(_WHO_ARE_YOU, WRONG_USAGE)
        except (ConfigurationError, InvalidRequestError) as error:
            status = _report(str(error), WRONG_USAGE)
        except GigaChatError as error:
            status = _report(in_words_of_commands(error), API_FAILED)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was found; quietly end where nobody reads its output."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            send_nowhere(sys.stdout)
            ctx.exit(NOBODY_READS)
        except OSError as error:  # a full disk under the standard output, most likely
            send_nowhere(sys.stdout)
            ctx.exit(_report(error.strerror or str(error), API_FAILED))
        return result


def _never_fail_at_encoding() -> None:
    """Write what a terminal's encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _usage_line(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = "" if context is None else f" (see '{context.command_path} --help')"
    return error.format_message().rstrip(".") + hint


def _report(message: str, status: int) -> int:
    """Write the one line about what went wrong; what a server put into it cannot steer the terminal."""
    line = "".join(character if character.isprintable() else " " for character in message)
    say(f"error: {' '.join(line.split())}")
    return status


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="gigachat-sdk", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Talk to GigaChat from the command line."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        context.exit(WRONG_USAGE)


program.add_command(bulk)
program.add_command(chat)
program.add_command(emulator)
program.add_command(models)
