"""The command line: ``screendoor run``, ``demo`` and ``check-config``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from proxy import log
from proxy.config import Settings, SettingsError, load, warnings
from proxy.sip.errors import SipError
from proxy.version import VERSION

USAGE_FAULT = 2
"""Exit code for a fault in the settings or on the command line."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="screendoor", message="%(prog)s %(version)s")
def main() -> None:
    """Screendoor lets an AI answer the door: it screens calls and rings your phone for the wanted ones."""


@main.command()
@click.option(
    "--config", "file", required=True, type=click.Path(path_type=Path), help="The settings file (TOML)."
)
def run(file: Path) -> None:
    """Take calls until told to stop (SIGTERM or Ctrl-C lets live calls finish)."""
    settings = _settings(file)
    log.configure(settings.log.level, settings.log.format)
    for text in warnings(settings, datetime.now(UTC)):
        structlog.get_logger("screendoor").warning(text)
    sys.exit(_run(settings))


@main.command()
@click.option("--serve", is_flag=True, help="Keep the lab running after the call.")
@click.option(
    "--decision",
    type=click.Choice(["allow", "reject", "voicemail"]),
    default="allow",
    show_default=True,
    help="What the simulated AI decides.",
)
@click.option("--fault", metavar="NAME", help='Let something go wrong; "all" tries every fault.')
def demo(serve: bool, decision: str, fault: str | None) -> None:
    """Run one whole screened call on this machine, with a simulated carrier, AI and phone."""
    from proxy.lab.demo import main as lab

    sys.exit(lab(serve, decision, fault))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Read a settings file and list everything that is wrong with it."""
    from proxy.forwarding import missing

    settings = _settings(file)
    for text in (*warnings(settings, datetime.now(UTC)), *missing(settings)):
        click.echo(f"warning: {text}", err=True)
    click.echo(f"{file}: in order")
    for listen in settings.listeners:
        click.echo(f"  listens      {listen.transport} {listen.bind[0]}:{listen.bind[1]}")
    click.echo(f"  webhook      http{'s' if settings.http.certificate else ''} port {settings.http.bind[1]}")
    for number in settings.numbers:
        places = ", ".join(destination.text for destination in number.destinations)
        agent = settings.agent_of(number)
        click.echo(
            f"  {number.dialed}  {f'screened by {agent.name}' if agent else 'not screened'}, then {places}"
        )


def _settings(file: Path) -> Settings:
    from proxy.assembly import check

    try:
        settings = load(file, os.environ)
        if problems := check(settings, str(file)):
            raise SettingsError(problems)
        return settings
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(USAGE_FAULT)


def _run(settings: Settings) -> int:
    """Run the application; a port that is taken, and the like, is one line and no traceback."""
    from proxy.app import run as take_calls

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(take_calls(settings))
        except KeyboardInterrupt:
            return 130
        except (OSError, SipError) as error:
            reason: Exception = error
        except ExceptionGroup as group:
            expected, bugs = group.split((OSError, SipError))
            if expected is None or bugs is not None:
                raise
            reason = _leaf(expected)
    click.echo(f"screendoor: {reason}", err=True)
    return 1


def _leaf(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, ExceptionGroup) else first


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it exists; None for the standard one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
