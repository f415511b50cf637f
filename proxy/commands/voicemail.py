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
    full_call_id,
    json_option,
    message_text,
    print_json,
    table,
    who,
    zone,
)
from proxy.commands.config_option import config_option, load_settings
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
@config_option
@json_option
def listed(new: bool, limit: int, file: Path, as_json: bool) -> None:
    """List messages, newest first."""
    settings = load_settings(file, secrets=False)
    with database(settings, read_only=True) as connection:
        rows = history.find_voicemails(connection, heard=False if new else None, limit=limit)
    if as_json:
        return print_json(list(rows))
    shown = [
        [
            row["call"][:8],
            row["left_at"],
            who(row),
            row["seconds"],
            row["heard_at"] or "new",
            message_text(row),
        ]
        for row in rows
    ]
    table(("call", "left", "caller", "seconds", "heard", "transcript"), shown, zone(settings))


@voicemail.command()
@click.argument("call")
@config_option
def play(call: str, file: Path) -> None:
    """Play the message of CALL, which may be abbreviated, or show its text; it then counts as heard."""
    settings = load_settings(file, secrets=False)
    row = _get_voicemail(settings, call)
    if not row["file"]:  # the agent took it: there is only text
        click.echo(clean(message_text(row)))
        return _mark_heard(settings, row)
    path = _audio_file(row)
    player = next((each for each in PLAYERS if shutil.which(each[0])), None)
    if player is None:
        wanted = ", ".join(each[0] for each in PLAYERS)
        raise click.ClickException(f"there is none of {wanted} to play it; the message is in {path}")
    if subprocess.run([*player, str(path.resolve())], check=False).returncode != 0:
        raise click.ClickException(f"{player[0]} cannot play it; the message is in {path}")
    _mark_heard(settings, row)


@voicemail.command()
@click.argument("call", required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."))
@config_option
def export(call: str | None, folder: Path, file: Path) -> None:
    """Copy the message of CALL, or all of them, into a folder."""
    settings = load_settings(file, secrets=False)
    if call is not None:
        row = _get_voicemail(settings, call)
        found = [(row, _audio_file(row))]
    else:
        with database(settings, read_only=True) as connection:
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


def _get_voicemail(settings: Settings, call: str) -> dict[str, Any]:
    with database(settings, read_only=True) as connection:
        row = history.get_voicemail(connection, full_call_id(connection, call))
    if row is None:
        raise click.ClickException(f"there is no message of the call {call}")
    return row


def _audio_file(row: dict[str, Any]) -> Path:
    if not row["file"]:
        raise click.ClickException("this message has no audio: the agent took it as text")
    path = Path(row["file"])
    if not path.is_file():
        raise click.ClickException(f"{path}: the file is missing")
    return path


def _mark_heard(settings: Settings, row: dict[str, Any]) -> None:
    with database(settings) as connection:
        history.set_heard(connection, row["call"], datetime.now(UTC))
