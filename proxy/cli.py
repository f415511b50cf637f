"""The command line: ``screendoor run``, ``demo``, ``check-config``, ``try``, ``notify`` and ``costs``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click
import structlog

from proxy import costing, log, notifying
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
    from proxy.judging import ending, remarks

    settings = _settings(file)
    log.configure(settings.log.level, settings.log.format)
    now = datetime.now(UTC)
    for text in [*warnings(settings, now), *ending(settings, now.date()), *remarks(settings)]:
        structlog.get_logger("screendoor").warning(text)
    sys.exit(_run(settings))


@main.command()
@click.option("--serve", is_flag=True, help="Keep the lab running after the call.")
@click.option(
    "--decision",
    type=click.Choice(
        ["allow", "reject", "voicemail", "message", "connect-to", "end-call", "challenge", "refuse"]
    ),
    default="allow",
    show_default=True,
    help="What the simulated AI decides; the last two do without it.",
)
@click.option(
    "--provider",
    type=click.Choice(["realtime", "live", "live-client", "azure"]),
    default="realtime",
    show_default=True,
    help="Whose simulated AI screens; live-client is GPT-Live with a delegate that we ask.",
)
@click.option("--fault", metavar="NAME", help='Let something go wrong; "all" tries every fault.')
def demo(
    serve: bool,
    decision: str,
    fault: str | None,
    provider: Literal["realtime", "live", "live-client", "azure"],
) -> None:
    """Run one whole screened call on this machine, with a simulated carrier, AI and phone."""
    from proxy.lab.demo import main as lab

    sys.exit(lab(serve, decision, fault, provider))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Read a settings file and list everything that is wrong with it."""
    from proxy.forwarding import missing
    from proxy.judging import ending, remarks, summary

    settings = _settings(file)
    now = datetime.now(UTC)
    told = (*warnings(settings, now), *missing(settings), *ending(settings, now.date()), *remarks(settings))
    for text in told:
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
    for one in settings.notified:
        click.echo(f"  tells        {one.name}, by {'webhook' if one.webhook else 'apprise'}")
    for line in summary(settings):
        click.echo(f"  contacts     {line}")


@main.command("try")
@click.argument("number")
@click.option("--to", "dialed", metavar="NUMBER", help="The number that is called, if there are several.")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default="screendoor.toml",
    envvar="SCREENDOOR_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file (TOML).",
)
@click.option("--at", metavar="TIME", help="When, as 2026-12-24T23:00 by the number's time zone; else now.")
@click.option("--name", help="The name that the caller shows.")
@click.option("--again", is_flag=True, help="The caller has called a moment before.")
@click.option(
    "--verification",
    type=click.Choice(["passed", "A", "B", "C", "failed", "none"]),
    help="What STIR/SHAKEN says of the number.",
)
@click.option("--callback", "called_back", is_flag=True, help="The call is marked as an emergency call-back.")
@click.option("--calls", type=click.IntRange(0, 100), default=0, help="How often he called a moment before.")
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
    """Say what would be done with a caller, and why, without a call; NUMBER may be "anonymous"."""
    from proxy.tried import told, trial

    settings = _settings(file)
    try:
        lines = told(
            trial(
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


@main.command("prompt")
@click.option("--to", "dialed", metavar="NUMBER", help="The number that is called; without it, all of them.")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default="screendoor.toml",
    envvar="SCREENDOOR_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file (TOML).",
)
def show_prompt(dialed: str | None, file: Path) -> None:
    """Show what the agent says first and is told, with every template filled in."""
    from proxy.talking import shown
    from proxy.tried import number_of

    settings = _settings(file)
    try:
        numbers = settings.numbers if dialed is None else (number_of(settings, dialed),)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for number in numbers:
        for line in shown(settings, number):
            click.echo(line)


def _settings(file: Path) -> Settings:
    from proxy import judging, telling

    try:
        settings = load(file, os.environ)
        if problems := [*judging.check(settings, str(file)), *telling.check(settings, str(file))]:
            raise SettingsError(problems)
        return settings
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(USAGE_FAULT)


main.add_command(notifying.command(_settings))
main.add_command(costing.command(_settings))


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
