"""What the commands share: database access, parsing of arguments and output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, select

from proxy.config import Settings
from screening.memory.database import Database
from screening.memory.errors import Unavailable
from screening.memory.schema import calls

MAX_LISTED = 10
"""Calls listed when an abbreviation is ambiguous."""
_DURATION = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def database(settings: Settings, *, create: bool = False, read_only: bool = False) -> Iterator[Connection]:
    """A database transaction, also while the service runs. Errors end the command with a one-line message.

    With `create` a missing database is created. With `read_only` the transaction never blocks the service.
    """
    if settings.memory.url == "off":
        raise click.ClickException('nothing is kept: memory.url is "off"')
    try:
        opened = Database(settings.memory.url)
        if opened.file is not None and not create and not opened.file.exists():
            raise click.ClickException(
                f"{opened.file}: there is no database yet (memory.url, relative to this folder)"
            )
        with opened.transaction(read_only=read_only) as connection:
            yield connection
    except (OSError, Unavailable) as error:
        raise click.ClickException(str(error)) from error


def country(settings: Settings) -> str:
    """Default country of numbers without ``+``."""
    from proxy.services import policy_setup

    return policy_setup.country(settings, settings.numbers[0])


def number_of(settings: Settings, text: str) -> str:
    """A caller's number in E.164."""
    if not any(each.isdecimal() for each in text):
        raise click.UsageError(f"a number such as +14155550100 instead of {text!r}")
    from proxy.services import number_matching

    return number_matching.caller_of(settings, text)


def full_call_id(connection: Connection, name: str) -> str:
    """Expand an abbreviated call id."""
    if connection.execute(select(calls.c.id).where(calls.c.id == name)).first() is not None:
        return name
    query = select(calls.c.id).where(calls.c.id.startswith(name, autoescape=True)).order_by(calls.c.id)
    found = list(connection.execute(query.limit(MAX_LISTED)).scalars()) if name else []
    if not found:
        raise click.ClickException(f"there is no call {name}")
    if len(found) > 1:
        raise click.ClickException(f"several calls begin with {name}: {', '.join(found)}")
    return str(found[0])


def zone(settings: Settings, dialed: str | None = None) -> tzinfo | None:
    """The user's time zone for a number, or common to all; None: the machine's."""
    if dialed is None and settings.screening.time_zone is not None:
        return settings.screening.time_zone
    of = [number for number in settings.numbers if dialed in (None, number.dialed)]
    found = {settings.screening_of(number).time_zone for number in of}
    return found.pop() if len(found) == 1 else None


def parse_time(text: str | None, zone: tzinfo | None) -> datetime | None:
    """Parse a time such as 2026-12-24, 2026-12-24T18:00 or 3d (days ago), by default in `zone`."""
    if text is None:
        return None
    if _DURATION.fullmatch(text):
        return datetime.now(UTC) - parse_duration(text)
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.UsageError(f"a time such as 2026-12-24T18:00, or 3d, instead of {text!r}") from None


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as 90m, 2h, 3d or 1w."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.UsageError(f"a time such as 90m, 2h or 3d instead of {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def print_json(value: object) -> None:
    """Print JSON, in ASCII."""
    from screening.memory.history import json_ready

    click.echo(json.dumps(json_ready(value), indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], zone: tzinfo | None) -> None:
    """Print a table, times in this zone. Text from callers cannot inject terminal control codes or markup."""
    cleaned = [[clean(cell, zone) for cell in row] for row in rows]
    console = Console()
    if not console.is_terminal:
        return _print_lines([list(columns), *cleaned])
    shown = Table(*columns, box=None, pad_edge=False)
    for row in cleaned:
        shown.add_row(*map(Text, row))
    console.print(shown)


def _print_lines(rows: Sequence[Sequence[str]]) -> None:
    """One line per row where output is not a terminal; there may be a hundred thousand."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded))


def clean(value: object, zone: tzinfo | None = None) -> str:
    """A value as one line of printable text; None is empty."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    text = "".join(each if each.isprintable() else "?" for each in str(value))
    return text.encode("utf-8", "replace").decode("utf-8")


def message_text(message: Mapping[str, Any]) -> str | None:
    """The text of a message: the transcript, or what the agent wrote down."""
    taken = message["message"] or {}
    if not taken:
        return message["transcript"] or None
    back = f" (call back: {taken['call_back']})" if taken.get("call_back") else ""
    return f"{'Urgent: ' if taken.get('urgent') else ''}{message['transcript'] or taken['text']}{back}"


def who(row: Mapping[str, Any]) -> str:
    """The caller of a row: number and name."""
    return " ".join(each for each in (row["caller"] or "anonymous", row["caller_name"]) if each)
