"""``screendoor contacts``: the stored lists; changes apply from the next call on."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from proxy.commands.common import (
    clean,
    country,
    database,
    json_option,
    parse_duration,
    parse_time,
    print_json,
    table,
    zone,
)
from proxy.commands.config_option import config_option, load_settings
from proxy.config import Settings
from screening.callers.contacts import Contacts, read
from screening.memory import lists

MAX_REMARKS = 20
PAUSE_S = 0.05
"""Pause between two batches of an import. A process waiting for SQLite's lock polls every 25 ms at most, so
it gets its turn.
"""
ONE_HOUR, ONE_DAY = timedelta(hours=1), timedelta(days=1)
list_option = click.option(
    "--list", "which", type=click.Choice(lists.LISTS), default=lists.CONTACT, show_default=True
)


@click.group()
def contacts() -> None:
    """Contacts, and the numbers that are allowed, blocked, very important or expected."""


@contacts.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@config_option
@json_option
def import_files(files: tuple[Path, ...], file: Path, as_json: bool) -> None:
    """Import the contacts of CSV and vCard files; bad rows are left out and listed."""
    settings = load_settings(file, secrets=False)
    results = []
    for each in files:
        imported = read(each.read_bytes(), country(settings))
        new, renamed = _put_contacts(settings, imported.contacts)
        bad = [str(bad_row) for bad_row in imported.bad]
        results.append(
            {"file": str(each), "rows": imported.rows, "new": new, "renamed": renamed,
             "without_number": imported.without_number, "bad": len(bad), "remarks": bad}
        )  # fmt: skip
        if not as_json:
            click.echo(
                f"{each}: {imported.rows} read, {new} new, {renamed} renamed, "
                f"{imported.without_number} without a number, {len(bad)} remarks"
            )
            for line in bad[:MAX_REMARKS]:
                click.echo(f"  {line}", err=True)
            if len(bad) > MAX_REMARKS:
                click.echo(f"  and {len(bad) - MAX_REMARKS} more", err=True)
    if as_json:
        print_json(results)


@contacts.command("list")
@click.option("--list", "which", type=click.Choice(lists.LISTS), help="Only this list.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
@config_option
@json_option
def listed(which: str | None, limit: int, file: Path, as_json: bool) -> None:
    """List the stored entries, newest first; those of the settings file are not included."""
    settings = load_settings(file, secrets=False)
    with database(settings, read_only=True) as connection:
        rows = lists.find_entries(connection, which, limit=limit)
    if as_json:
        return print_json(list(rows))
    names = ("list", "number", "name", "dialed", "until", "calls", "note")
    table(names, [[row[name] for name in names] for row in rows], zone(settings))


@contacts.command()
@click.argument("number")
@list_option
@click.option("--name")
@click.option("--for", "dialed", metavar="NUMBER", help="Only for calls to this number of yours.")
@click.option("--until", metavar="TIME", help="Until then, e.g. 2026-12-24T18:00.")
@click.option("--note")
@config_option
def add(
    number: str,
    which: str,
    name: str | None,
    dialed: str | None,
    until: str | None,
    note: str | None,
    file: Path,
) -> None:
    """Add NUMBER to a list; on lists other than contacts it may be a pattern, as +1900*."""
    settings = load_settings(file, secrets=False)
    end = parse_time(until, zone(settings, dialed))
    _put(settings, lists.Entry(which, number, name, dialed, end, note))


@contacts.command()
@click.argument("number")
@click.option("--note", help="Why.")
@config_option
def block(number: str, note: str | None, file: Path) -> None:
    """Block calls from NUMBER from now on; it may be a pattern, as +1900*."""
    _put(load_settings(file, secrets=False), lists.Entry(lists.BLOCK, number, note=note))


@contacts.command()
@click.argument("number")
@click.option("--within", metavar="TIME", help="For this long from now: 90m, 2h or 3d.")
@click.option("--until", metavar="TIME", help="Until then, e.g. 2026-12-24T18:00.")
@click.option("--calls", type=click.IntRange(1, 1000), help="For this many calls.")
@click.option("--for", "dialed", metavar="NUMBER", help="Only for calls to this number of yours.")
@click.option("--note")
@config_option
def expect(
    number: str,
    within: str | None,
    until: str | None,
    calls: int | None,
    dialed: str | None,
    note: str | None,
    file: Path,
) -> None:
    """Let calls from NUMBER ring, at any hour; or, with "anybody", from whoever calls.

    Without a limit: for a day; with "anybody" for an hour.
    """
    if within is not None and until is not None:
        raise click.UsageError("either --within or --until")
    settings, now = load_settings(file, secrets=False), datetime.now(UTC)
    end = now + parse_duration(within) if within is not None else parse_time(until, zone(settings, dialed))
    if end is None and calls is None:
        anybody = _written(settings, lists.EXPECTED, number) == lists.ANYBODY
        end = now + (ONE_HOUR if anybody else ONE_DAY)
    _put(settings, lists.Entry(lists.EXPECTED, number, None, dialed, end, note, calls))


@contacts.command()
@click.argument("number")
@click.option("--list", "which", type=click.Choice(lists.LISTS), help="Only from this list.")
@config_option
def remove(number: str, which: str | None, file: Path) -> None:
    """Remove NUMBER from the lists."""
    settings = load_settings(file, secrets=False)
    with database(settings) as connection:
        removed = sum(
            lists.remove_number(connection, written, each)
            for each in ([which] if which else lists.LISTS)
            if (written := _normalized_or_none(settings, each, number)) is not None
        )
    if not removed:
        raise click.ClickException(
            f"{number} is on no list" if which is None else f"{number} is not on {which}"
        )
    click.echo(f"{removed} removed")


def _put_contacts(settings: Settings, found: Contacts) -> tuple[int, int]:
    """In batches, so that a running service can write in between.

    It reloads the lists once, at the end or when interrupted.
    """
    new = renamed = 0
    try:
        for part in lists.batches(found.items()):
            if new or renamed:
                time.sleep(PAUSE_S)
            with database(settings, create=True) as connection:
                more = lists.put_contacts(connection, part, datetime.now(UTC), tell=False)
            new, renamed = new + more[0], renamed + more[1]
    finally:
        if new or renamed:
            with database(settings) as connection:
                lists.mark_changed(connection)
    return new, renamed


def _put(settings: Settings, entry: lists.Entry) -> None:
    known = [number.dialed for number in settings.numbers]
    if entry.dialed is not None and entry.dialed not in known:
        raise click.UsageError(f"{entry.dialed} is none of the numbers of this file: {', '.join(known)}")
    now, time_zone = datetime.now(UTC), zone(settings, entry.dialed)
    if entry.until is not None and entry.until <= now:
        raise click.UsageError(f"{clean(entry.until, time_zone)} is over")
    written = _written(settings, entry.list, entry.number)
    kept = replace(entry, number=written)
    with database(settings, create=True) as connection:
        _, new = lists.put(connection, kept, now)
    who = "anybody" if written == lists.ANYBODY else written
    limits = [f"until {clean(entry.until, time_zone)}"] if entry.until else []
    limits += [f"for {entry.calls} call{'s' if entry.calls > 1 else ''}"] if entry.calls else []
    click.echo(" ".join([f"{who} is {'now' if new else 'still'} on the list {entry.list}", *limits]))


def _written(settings: Settings, which: str, number: str) -> str:
    try:
        return lists.normalized(which, number, country(settings))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _normalized_or_none(settings: Settings, which: str, number: str) -> str | None:
    try:
        return lists.normalized(which, number, country(settings))
    except ValueError:
        return None
