"""`gigachat-sdk bulk`: many requests from a file, their answers into another one."""

from __future__ import annotations

import errno
import json
import signal
import sys
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click

from ..bulk._items import brings_a_model, endpoint_names
from ..bulk._options import options_of
from ..bulk._results import JournalError, is_final
from ..bulk._threads import BulkRun
from ..errors import GigaChatError
from ..types._narrow import is_dict
from ._client import base_url, open_client, use_emulator
from ._streams import in_words_of_commands, say, standard_input

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143
_LARGE = 1 << 30

_HELP = """Ask many requests, and write their answers to a file.

INPUT has a request on each line, {"id": ..., "request": {...}}; "-" reads standard input. What stands in "request" are
the keywords of the method, as in {"messages": [...], "temperature": 0.1}. OUTPUT gets a line for each finished request,
with its id: {"id": ..., "index": ..., "digest": ..., "response": {...}}, or "error" in place of "response".

OUTPUT is the journal as well: run the same command again after Ctrl-C, a crash or a power cut, and it goes on where it
was. Nothing is asked again but what failed for a reason that passes. A request is known by its id, else by its line;
where OUTPUT has another question there, it is refused.

Ends with status 1 where a request has failed; with 130 after Ctrl-C and 143 after SIGTERM, both of which let the
requests in flight be answered. The authorization key is read from the environment variable
GIGACHAT_CREDENTIALS.

\b
  gigachat-sdk bulk questions.jsonl answers.jsonl
  gigachat-sdk bulk --model GigaChat-2-Max --concurrency 4 questions.jsonl answers.jsonl
  gigachat-sdk bulk --endpoint embeddings.create texts.jsonl vectors.jsonl
"""


@click.command(help=_HELP, short_help="Ask many requests from a file.")
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("output", metavar="OUTPUT", type=click.Path(dir_okay=False))
@click.option(
    "--endpoint",
    type=click.Choice(endpoint_names()),
    default="chat.completions.create",
    help="The method that is called.",
)
@click.option("-m", "--model", metavar="NAME", help="The model of requests that name none. [GIGACHAT_MODEL]")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Requests at a time; by default what the account's scope allows.",
)
@click.option(
    "--max-retries", type=click.IntRange(min=0), metavar="COUNT", help="Retries of each request; 5 by default."
)
@click.option("--retry-errors", is_flag=True, help="Ask again what OUTPUT has an error for, even a final one.")
@click.option(
    "--ordered/--as-finished",
    default=False,
    help="Sort OUTPUT like INPUT once all is done, or leave lines as they finished (default).",
)
@base_url
@use_emulator
def bulk(
    source: str,
    output: str,
    endpoint: str,
    model: str | None,
    concurrency: int | None,
    max_retries: int | None,
    retry_errors: bool,
    ordered: bool,
    base_url: str | None,
    use_emulator: bool,
) -> None:
    """Ask many requests from a file."""
    context = click.get_current_context()
    if output == "-":
        raise click.UsageError("OUTPUT is read again to go on, so it cannot be standard output; name a file", context)
    if source != "-" and Path(output).exists() and Path(output).samefile(source):
        raise click.UsageError("OUTPUT is INPUT; give the answers a file of their own", context)
    with _opened(source) as file, open_client(use_emulator=use_emulator, base_url=base_url) as client:
        lines = _Lines(file, "standard input" if source == "-" else source, model)
        options = options_of(
            lines,
            client,
            endpoint=endpoint,
            concurrency=concurrency,
            ordered=False,
            journal=output,
            retry_errors=retry_errors,
            max_retries=max_retries,
            progress=None,
            place=lines.place,
        )
        total = _count(source) if sys.stderr.isatty() else None
        run = BulkRun(client, lines, replace(options, total=total, sorts_journal=ordered))
        failures = _Failures(lines.place)
        status = INTERRUPTED
        try:
            with _ended_by_sigterm() as is_terminated:
                try:
                    _follow(run, failures)
                except KeyboardInterrupt:
                    status = TERMINATED if is_terminated() else INTERRUPTED
                    raise
        except KeyboardInterrupt:
            say(f"stopped with {_written(run)}; run it again to go on")
            context.exit(status)
        except JournalError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            if error.errno != errno.ESTALE:  # else the journal is not what it was, and nobody knows what it has
                _say_how_far(run)
            say(f"error: {output}: {error.strerror}")
            context.exit(FAILED)
        except (GigaChatError, click.ClickException):
            _say_how_far(run)
            raise
    say(f"done: {run.progress}")
    for text in failures.told():
        say(text)
    if run.progress.failed:
        context.exit(FAILED)


def _say_how_far(run: BulkRun[Any]) -> None:
    """Say how far a run came that something has ended; nothing where it could not begin."""
    if run._crew.books.is_open:  # pyright: ignore[reportPrivateUsage]  # this package's
        say(f"stopped with {_written(run)}; mend it, and run it again to go on")


def _written(run: BulkRun[Any]) -> str:
    """Say how many requests OUTPUT has."""
    books = run._crew.books  # pyright: ignore[reportPrivateUsage]  # this package's
    count, total = books.written, books.progress.total
    return f"{count} finished" if total is None else f"{count} of {total} finished"


@contextmanager
def _ended_by_sigterm() -> Generator[Callable[[], bool], None, None]:
    """Have SIGTERM do what Ctrl-C does; gives a function that says whether it came."""
    came: list[int] = []

    def handle(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # then Python lets nobody listen
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)


class _Failures:
    """What has failed, by kind.

    Args:
        place: Says where a request stands.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._has_final = False

    def add(self, index: int, error: Exception) -> None:
        """Take note of one."""
        kind = type(error).__name__
        self._counts[kind] += 1
        self._first.setdefault(kind, f"{self._place(index)}: {in_words_of_commands(error)}")
        self._has_final = self._has_final or is_final(error)

    def told(self) -> Iterator[str]:
        """Yield a line for each kind, and what may be done."""
        for kind, count in self._counts.most_common():
            words = "" if count == 1 else "the first is "
            yield f"  {count} {kind}: {words}{self._first[kind]}"
        if self._has_final:
            yield "errors that do not pass stay in OUTPUT; --retry-errors asks those requests again, too"


def _follow(run: BulkRun[Any], failures: _Failures) -> None:
    """Let it run to its end; Ctrl-C waits for what is in flight, and another one does not."""
    try:
        for result in run:
            if result.error is not None:
                failures.add(result.index, result.error)
    except KeyboardInterrupt:
        say("stopping when the requests in flight are answered; Ctrl-C again leaves them")
        run.close()
        raise


def _opened(source: str) -> AbstractContextManager[IO[bytes]]:
    if source != "-":
        return Path(source).open("rb")
    stdin = standard_input()
    if stdin is None:
        raise click.ClickException("standard input is closed; name a file as INPUT")
    return nullcontext(stdin.buffer)


def _count(source: str) -> int | None:
    """Count the requests of a file for the bar; None where that takes long, or can be done once only."""
    file = Path(source)
    if source == "-" or not file.is_file() or file.stat().st_size > _LARGE:
        return None
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


class _Lines:
    """The requests of a file, line by line; empty lines are left out.

    Args:
        file: What is read, once.
        name: What it is called in messages.
        model: The model of requests that name none; None to leave them.
    """

    def __init__(self, file: IO[bytes], name: str, model: str | None) -> None:
        self._file = file
        self._name = name
        self._model = model
        self._empty: list[int] = []  # how many requests stand before each empty line

    def __iter__(self) -> Iterator[Any]:
        requests = 0
        for number, line in enumerate(self._read(), start=1):
            content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if content.strip():
                yield self._request(content, number)
                requests += 1
            else:
                self._empty.append(requests)

    def _read(self) -> Iterator[bytes]:
        try:
            yield from self._file
        except OSError as error:
            raise click.ClickException(f"{self._name}: {error.strerror}") from None

    def _request(self, line: bytes, number: int) -> Any:
        try:
            item: Any = json.loads(line.rstrip().decode())
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is no UTF-8"
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at character {error.pos + 1}"
        except (ValueError, RecursionError) as error:
            reason = str(error)
        else:
            if not is_dict(item) or self._model is None:
                return item
            request = item.get("request", item)
            if is_dict(request) and not brings_a_model(request):
                request["model"] = self._model
            return item
        raise click.ClickException(f"{self._name}, line {number}: this is no JSON: {reason}")

    def place(self, index: int) -> str:
        """Say where a request stands."""
        return f"{self._name}, line {index + 1 + bisect_right(self._empty, index)}"
