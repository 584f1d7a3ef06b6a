"""`gigachat-sdk models`: what the account may use."""

from __future__ import annotations

import click

from ._client import base_url, open_client, use_emulator


@click.command(short_help="List the models that the account may use.")
@click.option("--json", "as_json", is_flag=True, help="Print what the service answered, as JSON.")
@base_url
@use_emulator
def models(as_json: bool, base_url: str | None, use_emulator: bool) -> None:
    """List the models that the account may use: name, type, owner.

    The authorization key is read from the environment variable GIGACHAT_CREDENTIALS.
    """
    with open_client(use_emulator=use_emulator, base_url=base_url) as client:
        page = client.models.list()
    if as_json:
        print(page.to_json(indent=2))
        return
    rows = [(model.id, model.type or "", model.owned_by) for model in page]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for name, kind, owner in rows:
        print(f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {owner}".rstrip())
