"""`gigachat-sdk chat`: ask the model."""

from __future__ import annotations

import codecs
import locale
import sys
from typing import TextIO

import click

from .. import Client
from .._accumulate import IN_PROGRESS
from ..errors import StreamError
from ..types import ChatCompletionParams, MessageParam
from ._client import base_url, open_client, use_emulator
from ._streams import say, standard_input

# Control characters but tab and line ends: an answer must not steer the terminal.
_CONTROLS = dict.fromkeys([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)])


_HELP = """Ask the model and print its answer.

PROMPT is the question; "-", or leaving it out when something is piped in, reads it from standard input.
The authorization key is read from the environment variable GIGACHAT_CREDENTIALS; it is no option, since every user of
the machine can read what stands on a command line.

\b
  gigachat-sdk chat "Привет!"
  gigachat-sdk chat -m GigaChat-2-Max -s "Отвечай одним словом." "Столица России?"
  git diff | gigachat-sdk chat -s "Напиши сообщение коммита." -
"""


@click.command(help=_HELP, short_help="Ask the model.")
@click.argument("prompt", required=False)
@click.option("-m", "--model", metavar="NAME", help="The model, for example GigaChat-2-Max. [GIGACHAT_MODEL]")
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
@click.option("-t", "--temperature", type=float, metavar="NUMBER", help="Over 0; the higher, the more varied.")
@click.option("--max-tokens", type=int, metavar="COUNT", help="The most tokens to answer.")
@click.option("--stream/--no-stream", default=True, help="Print the answer as it arrives (default), or when complete.")
@base_url
@use_emulator
def chat(
    prompt: str | None,
    model: str | None,
    system: str | None,
    temperature: float | None,
    max_tokens: int | None,
    stream: bool,
    base_url: str | None,
    use_emulator: bool,
) -> None:
    """Ask the model and print its answer."""
    stdin = standard_input()
    is_terminal = stdin is not None and stdin.isatty()
    question = _piped_text(stdin) if prompt == "-" or (prompt is None and not is_terminal) else prompt
    if question is None or not question.strip():
        raise click.UsageError(
            "there is no question: give it as an argument, or pipe it in", click.get_current_context()
        )
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    params: ChatCompletionParams = {
        "messages": messages,
        "model": model,
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    with open_client(use_emulator=use_emulator, base_url=base_url) as client:
        reason = _print_stream(client, params) if stream else _print_whole(client, params)
    if reason not in (None, "stop"):
        say(f"note: the answer ended early, finish reason {reason}")


def _piped_text(stdin: TextIO | None) -> str:
    """Read the question from standard input: UTF-8, else the encoding of this system."""
    data = b"" if stdin is None else stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = locale.getpreferredencoding(do_setlocale=False)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        other = "" if codecs.lookup(encoding).name == "utf-8" else f", nor in {encoding}"
        raise click.UsageError(f"standard input is no text in UTF-8{other}") from None


def _print_whole(client: Client, params: ChatCompletionParams) -> str | None:
    choices = client.chat.completions.create(**params).choices
    text = (choices[0].message.content or "") if choices else ""
    print(text.translate(_CONTROLS))
    return choices[0].finish_reason if choices else None


def _print_stream(client: Client, params: ChatCompletionParams) -> str | None:
    reason: str | None = None
    last = ""
    try:
        with client.chat.completions.create(stream=True, **params) as stream:
            for chunk in stream:
                for choice in chunk.choices[:1]:
                    is_progress = choice.delta.role == IN_PROGRESS
                    piece = "" if is_progress else (choice.delta.content or "").translate(_CONTROLS)
                    _write(piece)
                    last = piece or last
                    reason = choice.finish_reason or reason
    except StreamError:
        if last and not last.endswith("\n"):
            _write("\n")  # so that the error has a line of its own
        raise
    if not last.endswith("\n"):
        _write("\n")
    return reason


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
