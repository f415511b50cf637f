"""The ``--config`` option, and loading of the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from proxy.commands import CONFIG
from proxy.config import NoRoute, Settings, SettingsError, load

EXIT_USAGE = 2
"""Exit code for a fault in the settings or on the command line."""
EXIT_TEMPORARY = 1
"""Exit code for a failure that may pass: a supervisor restarts us."""

config_option: Callable[..., Any] = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default="screendoor.toml",
    envvar=CONFIG,
    show_default=True,
    show_envvar=True,
    help="The settings file (TOML).",
)


def load_settings(file: Path, *, secrets: bool = True) -> Settings:
    """Load the settings; if they are invalid, list every problem and exit.

    Without `secrets` only the database's is read, for commands that use no other.
    """
    from proxy.services import notifications, policy_setup

    try:
        settings = load(file, os.environ, secrets=secrets)
        problems = [*policy_setup.check(settings, str(file))]
        if secrets:
            problems += notifications.check(settings, str(file))
        if problems:
            raise SettingsError(problems)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(EXIT_TEMPORARY if isinstance(error, NoRoute) else EXIT_USAGE)
    return settings
