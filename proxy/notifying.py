"""The command ``screendoor notify``: whether those who are told can be told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy.config import Settings

NOT_TOLD = 1
"""Exit code where a test did not arrive everywhere."""


def command(settings_of: Callable[[Path], Settings]) -> click.Command:
    """The command; `settings_of` reads a settings file, or ends the process."""

    @click.command("notify")
    @click.option("--test", is_flag=True, required=True, help="Send a test notice to every [[notify]].")
    @click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        default="screendoor.toml",
        envvar="SCREENDOOR_CONFIG",
        show_default=True,
        show_envvar=True,
        help="The settings file (TOML).",
    )
    def notify(test: bool, file: Path) -> None:
        """Say whether those who are told what happened can be told."""
        from proxy.telling import tried

        settings = settings_of(file)
        if not settings.notified:
            raise click.UsageError(f"{file} has no [[notify]]")
        came = asyncio.run(tried(settings, lambda: datetime.now(UTC)))
        for name, arrived, said in came:
            click.echo(f"{name}: {'told' if arrived else 'not told'}, {said}")
        sys.exit(0 if all(arrived for _, arrived, _ in came) else NOT_TOLD)

    return notify
