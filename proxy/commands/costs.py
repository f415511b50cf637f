"""``screendoor costs``: costs of today and this month, by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.commands.common import database
from proxy.commands.config_option import settings_of, with_config
from proxy.config import Settings

COLUMNS = ("calls", "minutes", "tokens", "money")


@click.command("costs")
@with_config
def costs(file: Path) -> None:
    """Show what agents have cost today and this month, by number, from the memory."""
    for line in lines(spent(settings_of(file, secrets=False), datetime.now(UTC))):
        click.echo(line)


def spent(settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """Costs from the database."""
    from proxy.services import costs

    with database(settings, reads=True) as connection:
        return costs.spent(connection, settings, now)


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """A table: one line per number, the total last."""
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
