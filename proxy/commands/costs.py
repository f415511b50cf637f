"""``screendoor costs``: what the calls of today and of this month have cost, by number."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.commands.given import settings_of, with_config
from proxy.config import Settings

COLUMNS = ("calls", "minutes", "tokens", "money")


@click.command("costs")
@with_config
def costs(file: Path) -> None:
    """Say what agents have cost today and this month, by number, as the memory has it."""
    settings = settings_of(file, secrets=False)
    if settings.memory.url == "off":
        click.echo("screendoor: the memory is off ([memory] url), and nothing can be added up", err=True)
        sys.exit(1)
    try:
        found = spent(settings, datetime.now(UTC))
    except OSError as error:
        click.echo(f"screendoor: {error}", err=True)
        sys.exit(1)
    for line in lines(found):
        click.echo(line)


def spent(settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """What the memory says; raises OSError where it cannot be read."""
    from proxy.office import bookkeeping
    from screening.memory.database import Database
    from screening.memory.errors import Away

    database = Database(settings.memory.url)
    if database.file is not None and not database.file.exists():
        raise FileNotFoundError(f"no call was ever kept in {database.file}")
    try:
        with database.connect() as connection:
            return bookkeeping.spent(connection, settings, now)
    except Away as away:
        raise OSError(str(away)) from away


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """A table: a number a line, and all of them last."""
    width = max(len("all numbers"), *(len(each["dialed"] or "") for each in found))
    head = "".join(f"{column:>10}" for column in COLUMNS)
    yield f"{found[0]['currency']:<{width}}  {'today':<40}  this month"
    yield f"{'':<{width}}  {head}  {head}"
    for each in found:
        name = each["dialed"] or "all numbers"
        yield f"{name:<{width}}  {_cells(each['today'])}  {_cells(each['month'])}"


def _cells(told: Mapping[str, Any]) -> str:
    money, minutes = f"{told['money']:.2f}", f"{told['minutes']:.1f}"
    return f"{told['calls']:>10}{minutes:>10}{told['tokens']:>10}{money:>10}"
