"""``screendoor costs``: costs of today and this month, by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.commands.common import database
from proxy.commands.config_option import config_option, load_settings
from proxy.config import Settings

COLUMNS = ("calls", "minutes", "tokens", "money")


@click.command("costs")
@config_option
def costs(file: Path) -> None:
    """Show what agents have cost today and this month, by number, from the memory."""
    for line in lines(spent(load_settings(file, secrets=False), datetime.now(UTC))):
        click.echo(line)


def spent(settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """Costs from the database."""
    from proxy.services import costs

    with database(settings, read_only=True) as connection:
        return costs.spent(connection, settings, now)


def lines(costs_by_number: list[dict[str, Any]]) -> Iterator[str]:
    """A table: one line per number, the total last."""
    width = max(len("all numbers"), *(len(each["dialed"] or "") for each in costs_by_number))
    head = "".join(f"{column:>10}" for column in COLUMNS)
    yield f"{costs_by_number[0]['currency']:<{width}}  {'today':<40}  this month"
    yield f"{'':<{width}}  {head}  {head}"
    for each in costs_by_number:
        name = each["dialed"] or "all numbers"
        yield f"{name:<{width}}  {_columns(each['today'])}  {_columns(each['month'])}"


def _columns(total: Mapping[str, Any]) -> str:
    money, minutes = f"{total['money']:.2f}", f"{total['minutes']:.1f}"
    return f"{total['calls']:>10}{minutes:>10}{total['tokens']:>10}{money:>10}"
