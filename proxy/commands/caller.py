"""``screendoor forget`` and ``screendoor export``: everything stored about one caller."""

from __future__ import annotations

import time
from pathlib import Path

import click

from proxy.commands.common import database, number_of, print_json
from proxy.commands.config_option import config_option, load_settings
from proxy.config import Settings
from proxy.config.memory import OFF
from proxy.services import erasure, number_matching
from screening.memory import privacy

PAUSE_S = 0.02
"""Pause between two steps of a deletion, in which a process waiting for SQLite's lock gets its turn."""


@click.command()
@click.argument("number")
@click.option("--lists", "from_lists", is_flag=True, help="Also remove the number from the lists.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
def forget(number: str, from_lists: bool, yes: bool, file: Path) -> None:
    """Delete the calls of NUMBER with transcripts, voicemails, recordings, and cached speech about
    callers.
    """
    settings = load_settings(file, secrets=False)
    whole = number_of(settings, number)
    if not yes:
        click.confirm(f"Delete all that is kept of {whole}, for good?", abort=True)
    try:
        outside = erasure.erase_caller(settings, whole)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if outside != (0, 0):
        click.echo(f"{outside.records} lines of the records and {outside.spoken} spoken texts deleted")
    if settings.memory.url != OFF:
        deleted = _delete(settings, whole, from_lists)
        click.echo(
            f"{deleted.calls} calls, {deleted.files} files and {deleted.entries} entries of lists deleted"
        )
        if deleted.going_on:
            click.echo(
                f"{deleted.going_on} calls are in progress: run this again when they are over", err=True
            )
    else:
        click.echo('memory.url is "off": messages and recordings stay until you delete them', err=True)
    if settings.records is not None and not settings.records.exists():
        click.echo(f"{settings.records}: no such file (records, relative to this folder)", err=True)


def _delete(settings: Settings, number: str, from_lists: bool) -> privacy.CallerDeletion:
    """In steps, so that a running service can write in between."""
    same_caller = number_matching.same_caller(settings, number)
    deletion = privacy.CallerDeletion(number, same_caller=same_caller, from_lists=from_lists)
    while True:
        with database(settings) as connection:
            more = deletion.step(connection)
        if not more:
            return deletion
        time.sleep(PAUSE_S)


@click.command()
@click.argument("number")
@config_option
def export(number: str, file: Path) -> None:
    """Print everything stored about NUMBER as JSON; the paths of its files follow on standard error."""
    settings = load_settings(file, secrets=False)
    whole = number_of(settings, number)
    with database(settings, read_only=True) as connection:
        found = privacy.export_caller(
            connection, whole, same_caller=number_matching.same_caller(settings, whole)
        )
    print_json(found.data)
    for path in found.files:
        click.echo(str(path), err=True)
