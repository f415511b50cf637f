"""``screendoor notify``: tests whether notices can be delivered."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy.commands.config_option import config_option, load_settings
from proxy.services.notifications import send_tests

NOT_TOLD = 1
"""Exit code if a test notice was not delivered to every target."""


@click.command("notify")
@click.option("--test", is_flag=True, required=True, help="Send a test notification to every [[notify]].")
@config_option
def notify(test: bool, file: Path) -> None:
    """Test whether notices can be delivered."""
    settings = load_settings(file)
    if not settings.notified:
        raise click.UsageError(f"{file} has no [[notify]]")
    came = asyncio.run(send_tests(settings, lambda: datetime.now(UTC)))
    for name, arrived, said in came:
        click.echo(f"{name}: {'delivered' if arrived else 'not delivered'}, {said}")
    sys.exit(0 if all(arrived for _, arrived, _ in came) else NOT_TOLD)
