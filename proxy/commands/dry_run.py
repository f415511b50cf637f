"""``screendoor try`` and ``screendoor prompt``: what the settings would do, without a call."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands.config_option import config_option, load_settings
from proxy.services.briefing_setup import shown
from proxy.services.dry_run import dry_run, number_of, report


@click.command("try")
@click.argument("number")
@click.option(
    "--to", "dialed", metavar="NUMBER", help="The number that is called; required if there are several."
)
@config_option
@click.option(
    "--at",
    metavar="TIME",
    help="Time of the call, e.g. 2026-12-24T23:00 in the number's time zone; default: now.",
)
@click.option("--name", help="The caller's display name.")
@click.option("--again", is_flag=True, help="The caller has just called before.")
@click.option(
    "--verification",
    type=click.Choice(["passed", "A", "B", "C", "failed", "none"]),
    help="The STIR/SHAKEN result for the number.",
)
@click.option("--callback", "called_back", is_flag=True, help="The call is marked as an emergency call-back.")
@click.option(
    "--calls", type=click.IntRange(0, 100), default=0, help="How often the caller has just called before."
)
def try_caller(
    number: str,
    dialed: str | None,
    file: Path,
    at: str | None,
    name: str | None,
    again: bool,
    verification: str | None,
    called_back: bool,
    calls: int,
) -> None:
    """Show what would be done with a caller, and why, without a call; NUMBER may be "anonymous"."""
    settings = load_settings(file, secrets=False)
    try:
        lines = report(
            dry_run(
                settings,
                number,
                dialed,
                at,
                name,
                again,
                verification=verification,
                callback=called_back,
                calls=calls,
            )
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for line in lines:
        click.echo(line)


@click.command("prompt")
@click.option("--to", "dialed", metavar="NUMBER", help="Only for this number of yours; default: all.")
@config_option
def prompt(dialed: str | None, file: Path) -> None:
    """Show the agent's greeting and instructions, with every template filled in."""
    settings = load_settings(file, secrets=False)
    try:
        numbers = settings.numbers if dialed is None else (number_of(settings, dialed),)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for number in numbers:
        for line in shown(settings, number):
            click.echo(line)
