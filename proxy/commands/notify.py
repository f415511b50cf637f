"""The command ``screendoor notify``: whether those who are told can be told."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy.commands.config_option import settings_of, with_config
from proxy.services.notifications import tried

NOT_TOLD = 1
"""Exit code where a test did not arrive everywhere."""


@click.command("notify")
@click.option("--test", is_flag=True, required=True, help="Send a test notice to every [[notify]].")
@with_config
def notify(test: bool, file: Path) -> None:
    """Say whether those who are told what happened can be told."""
    settings = settings_of(file)
    if not settings.notified:
        raise click.UsageError(f"{file} has no [[notify]]")
    came = asyncio.run(tried(settings, lambda: datetime.now(UTC)))
    for name, arrived, said in came:
        click.echo(f"{name}: {'told' if arrived else 'not told'}, {said}")
    sys.exit(0 if all(arrived for _, arrived, _ in came) else NOT_TOLD)
