"""``screendoor trace``: the stored SIP messages of a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import click

from proxy.commands.common import clean, database, full_call_id, zone
from proxy.commands.config_option import config_option, load_settings
from proxy.observe.ladder import LEGEND, heading, ladder_line
from proxy.observe.pcapng import pcapng
from proxy.observe.trace import TracedMessage
from proxy.sip.errors import ParseError
from proxy.sip.message import parse_message
from proxy.transport.flow import format_address
from screening.memory import sip_trace


@click.command()
@click.argument("call")
@click.option("--whole", is_flag=True, help="Print every message with headers and body.")
@click.option(
    "--pcap",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a capture file (pcapng) for Wireshark or sngrep instead.",
)
@config_option
def trace(call: str, whole: bool, pcap: Path | None, file: Path) -> None:
    """Draw the SIP of one call, leg by leg, TLS in the clear. CALL may be abbreviated.

    Traces are stored if the settings have sip = "on" in [memory], about a second after the call.
    """
    settings = load_settings(file, secrets=False)
    with database(settings, read_only=True) as connection:
        name = full_call_id(connection, call)
        messages = [TracedMessage.of(message) for message in sip_trace.load(connection, name)]
    if not messages:
        why = "it is in progress (the API shows it), has just ended, or was made before traces were stored"
        if settings.memory.sip == "off":
            why = 'memory.sip is "off"'
        raise click.ClickException(f"no SIP is kept of call {name}: {why}")
    if pcap is None:
        for line in _ladder(messages, zone(settings), whole=whole):
            click.echo(line)
        return
    try:
        pcap.write_bytes(pcapng(messages))
    except OSError as error:
        raise click.ClickException(f"{pcap}: {error.strerror}") from error
    click.echo(f"{pcap}: {len(messages)} messages")


def _ladder(messages: Sequence[TracedMessage], time_zone: tzinfo | None, *, whole: bool) -> Iterator[str]:
    began = messages[0].at
    yield f"{datetime.fromtimestamp(began, UTC).astimezone(time_zone):%Y-%m-%d %H:%M:%S.%f %Z}"
    yield from (heading("caller", "agent", "phone").rstrip(), LEGEND)
    for seen in messages:
        yield _line(seen, began)
        if whole:
            yield from _message_lines(seen)


def _line(seen: TracedMessage, began: float) -> str:
    try:
        return clean(
            ladder_line(seen.at - began, seen.leg, sent=seen.sent, message=parse_message(seen.octets))
        )
    except ParseError as error:
        return f"{seen.at - began:8.3f}  {seen.leg}: not understood: {clean(error)}"


def _message_lines(seen: TracedMessage) -> Iterable[str]:
    """The addresses and text of a message; control characters are shown as `?`."""
    arrow = "→" if seen.sent else "←"
    local, remote = format_address(seen.local), format_address(seen.remote)
    yield f"          {seen.leg}, {seen.transport.upper()} {local} {arrow} {remote}"
    text = seen.octets.decode("utf-8", "replace")
    yield from (f"          | {clean(line)}" for line in text.splitlines())
    yield ""
