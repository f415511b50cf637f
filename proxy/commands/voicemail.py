"""``screendoor voicemail``: the messages that callers left."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.commands.common import (
    clean,
    database,
    named,
    put_out,
    table,
    who,
    with_json,
    words_of,
    zone,
)
from proxy.commands.config_option import settings_of, with_config
from proxy.config import Settings
from screening.memory import history

PLAYERS = (
    ("aplay", "-q"),
    ("paplay",),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
"""Programs that can play a WAV file, in order of preference."""


@click.group()
def voicemail() -> None:
    """Voicemails: list them, play them, save them."""


@voicemail.command("list")
@click.option("--new", is_flag=True, help="Only messages that nobody has heard yet.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@with_config
@with_json
def listed(new: bool, limit: int, file: Path, as_json: bool) -> None:
    """List messages, newest first."""
    settings = settings_of(file, secrets=False)
    with database(settings, reads=True) as connection:
        rows = history.find_voicemails(connection, heard=False if new else None, limit=limit)
    if as_json:
        return put_out(list(rows))
    shown = [
        [
            row["call"][:8],
            row["left_at"],
            who(row),
            row["seconds"],
            row["heard_at"] or "new",
            words_of(row),
        ]
        for row in rows
    ]
    table(("call", "left", "caller", "seconds", "heard", "transcript"), shown, zone(settings))


@voicemail.command()
@click.argument("call")
@with_config
def play(call: str, file: Path) -> None:
    """Play the message of CALL, which may be abbreviated, or show its text; it then counts as heard."""
    settings = settings_of(file, secrets=False)
    row = _found(settings, call)
    if not row["file"]:  # the agent took it: there is only text
        click.echo(clean(words_of(row)))
        return _heard(settings, row)
    path = _sound(row)
    player = next((each for each in PLAYERS if shutil.which(each[0])), None)
    if player is None:
        wanted = ", ".join(each[0] for each in PLAYERS)
        raise click.ClickException(f"there is none of {wanted} to play it; the message is in {path}")
    if subprocess.run([*player, str(path.resolve())], check=False).returncode != 0:
        raise click.ClickException(f"{player[0]} cannot play it; the message is in {path}")
    _heard(settings, row)


@voicemail.command()
@click.argument("call", required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."))
@with_config
def export(call: str | None, folder: Path, file: Path) -> None:
    """Copy the message of CALL, or all of them, into a folder."""
    settings = settings_of(file, secrets=False)
    if call is not None:
        one = _found(settings, call)
        found = [(one, _sound(one))]
    else:
        with database(settings, reads=True) as connection:
            rows = history.find_voicemails(connection, limit=1_000_000)
        found = [(row, Path(row["file"])) for row in rows if row["file"] and Path(row["file"]).is_file()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for row, path in found:
            kept = folder / f"{row['left_at']:%Y%m%dT%H%M%SZ}-{row['call']}.wav"
            shutil.copyfile(path, kept)
            click.echo(str(kept))
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _found(settings: Settings, call: str) -> dict[str, Any]:
    with database(settings, reads=True) as connection:
        row = history.get_voicemail(connection, named(connection, call))
    if row is None:
        raise click.ClickException(f"there is no message of the call {call}")
    return row


def _sound(row: dict[str, Any]) -> Path:
    if not row["file"]:
        raise click.ClickException("this message has no sound: the agent took it")
    path = Path(row["file"])
    if not path.is_file():
        raise click.ClickException(f"{path}: the message is not there")
    return path


def _heard(settings: Settings, row: dict[str, Any]) -> None:
    with database(settings) as connection:
        history.set_heard(connection, row["call"], datetime.now(UTC))
