"""``screendoor calls`` and ``screendoor call``: the call history."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from typing import Any

import click

from proxy.commands.common import (
    clean,
    database,
    full_call_id,
    json_option,
    message_text,
    number_of,
    parse_time,
    print_json,
    table,
    who,
    zone,
)
from proxy.commands.config_option import config_option, load_settings
from proxy.services import number_matching
from screening.contract import Verification
from screening.memory import history


@click.command()
@click.option(
    "--since", metavar="TIME", help="Only calls since then: 2026-12-24, 2026-12-24T18:00, or 3d (ago)."
)
@click.option("--until", metavar="TIME", help="Only calls before then.")
@click.option("--caller", metavar="NUMBER")
@click.option("--dialed", metavar="NUMBER", help="Only calls to this number of yours.")
@click.option("--result", help="Only calls with this result, e.g. bridged or voicemail.")
@click.option("--decision", type=click.Choice(["ALLOW", "REJECT", "VOICEMAIL"], case_sensitive=False))
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@config_option
@json_option
def calls(
    since: str | None,
    until: str | None,
    caller: str | None,
    dialed: str | None,
    result: str | None,
    decision: str | None,
    limit: int,
    file: Path,
    as_json: bool,
) -> None:
    """List calls, newest first."""
    settings = load_settings(file, secrets=False)
    time_zone = zone(settings)
    wanted = history.CallFilter(
        parse_time(since, time_zone),
        parse_time(until, time_zone),
        caller=(number := caller and number_of(settings, caller)),
        dialed=dialed and number_matching.dialed_of(settings, dialed),
        result=result,
        decision=decision,
        same_caller=number_matching.same_caller(settings, number or ""),
    )
    with database(settings, read_only=True) as connection:
        rows = history.find_calls(connection, wanted, limit=limit)
    if as_json:
        return print_json(rows)
    shown = [
        (row["id"][:8], row["began"], who(row), row["dialed"], row["result"] or row["state"], row["why"])
        for row in rows
    ]
    table(("call", "began", "caller", "dialed", "result", "why"), shown, time_zone)


@click.command()
@click.argument("call")
@config_option
@json_option
def call(call: str, file: Path, as_json: bool) -> None:
    """Show one call: its story, its transcript, and why it was decided so. CALL may be abbreviated."""
    settings = load_settings(file, secrets=False)
    with database(settings, read_only=True) as connection:
        row = history.get_call(connection, full_call_id(connection, call))
    assert row is not None, "it was named"
    if as_json:
        return print_json(row)
    for line in _detail_lines(row, zone(settings)):
        click.echo(clean(line))


def _detail_lines(row: dict[str, Any], time_zone: tzinfo | None) -> list[str]:
    record = row["record"] or {}
    lines = [f"{row['id']}  {clean(row['began'], time_zone)}  {who(row)} calls {row['dialed']}"]
    facts = {
        "result": " - ".join(each for each in (row["result"] or row["state"], row["reason"]) if each),
        "plan": row["plan"],
        "decision": row["decision"],
        "why": row["why"],
        "ended by": row["ended_by"],
        "message": row["voicemail"] and _message(row["voicemail"]),
        "number": _verification(record.get("verification")),
        "recording": row["recording"],
        "cost": _cost(row["cost_money"], record.get("cost") or {}),
    }
    lines += [f"  {name:<10} {value}" for name, value in facts.items() if value]
    if legs := record.get("legs"):
        lines += ["legs", *map(_leg, legs)]
    if steps := record.get("steps"):
        lines += ["story", *(f"  {step}" for step in steps)]
    if row["transcript"]:
        lines += ["transcript"]
        lines += [
            f"  {said['at_s'] or 0:6.1f} {said['speaker']}: {said['text']}" for said in row["transcript"]
        ]
    return lines


def _leg(leg: dict[str, Any]) -> str:
    """How a leg ended, and the Call-IDs that identify it in the peer's log."""
    ended = "; ".join(each for each in (leg["end"], leg["peer_reason"]) if each)
    return f"  {leg['name']:<6} {leg['peer']}: {ended}, Call-ID {' and '.join(leg.get('call_ids') or '-')}"


def _message(row: dict[str, Any]) -> str:
    """The audio and text of a voicemail."""
    sound = f"{row['seconds'] or 0:g} s, {row['file']}" if row["file"] else ""
    return ": ".join(each for each in (sound, message_text(row)) if each)


def _verification(verification: dict[str, Any] | None) -> str | None:
    """What STIR/SHAKEN says about the caller's number."""
    return str(Verification(**verification)) if verification else None


def _cost(money: float | None, cost: dict[str, Any]) -> str | None:
    return f"{money:.4f} {cost.get('currency', '')}".rstrip() if money else None
