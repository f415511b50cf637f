"""The command line: ``screendoor run``, ``demo``, ``check-config``, and the subcommands in `commands`.

Slow imports happen inside the command that needs them, so that ``--version`` and ``--help`` answer at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from proxy import commands
from proxy.commands import CONFIG
from proxy.version import VERSION

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from proxy.config import Settings

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _disk_full_is_an_error() -> Iterator[None]:
    """Turn "disk full" while printing into a one-line error instead of a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        with suppress(OSError, ValueError):  # else Python would try to write the rest at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(f"cannot write: {error.strerror}") from error


def _reopen_closed_streams() -> None:
    """Replace a standard stream that was closed at start (`2>&-`) by /dev/null.

    Otherwise its file descriptor would be reused, by a socket for example.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: SIM115  # open until exit


def _replace_unencodable() -> None:
    """Print `?` for characters that the terminal's or file's encoding (Latin-1, say) cannot represent."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


class Commands(click.Group):
    """The commands of this file, and those of `commands`, which are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *commands.WHERE})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; ``--help`` and ``--version`` print here."""
        _reopen_closed_streams()
        with _disk_full_is_an_error():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        _replace_unencodable()
        with _disk_full_is_an_error():
            return super().invoke(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by name, importing it if needed."""
        if name in commands.WHERE:
            file, function = commands.WHERE[name].split(".")
            found: click.Command = getattr(import_module(f"proxy.commands.{file}"), function)
            return found
        return super().get_command(ctx, name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="screendoor", message="%(prog)s %(version)s")
def main() -> None:
    """Screendoor lets an AI answer the door: it screens calls and rings your phone for the wanted ones."""


@main.command()
@click.option(
    "--config",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    envvar=CONFIG,
    show_envvar=True,
    help="The settings file (TOML).",
)
def run(file: Path) -> None:
    """Take calls until told to stop (SIGTERM or Ctrl-C lets live calls finish)."""
    import structlog

    from proxy import log
    from proxy.commands.config_option import load_settings
    from proxy.config import warnings
    from proxy.services.policy_setup import ending, remarks

    settings = load_settings(file)
    log.configure(settings.log.level, settings.log.format)
    today = datetime.now(UTC).date()
    for text in [*warnings(settings), *map(str, ending(settings, today)), *remarks(settings)]:
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
    help="What the simulated AI decides; challenge and refuse need no AI.",
)
@click.option(
    "--provider",
    type=click.Choice(["realtime", "live", "live-client", "azure"]),
    default="realtime",
    show_default=True,
    help='The simulated AI; live-client is GPT-Live with delegation = "client".',
)
@click.option("--fault", metavar="NAME", help='Inject a fault; "all" tries every one.')
def demo(
    serve: bool,
    decision: str,
    fault: str | None,
    provider: Literal["realtime", "live", "live-client", "azure"],
) -> None:
    """Run one whole screened call on this machine, with a simulated carrier, AI and phone."""
    if serve and fault is not None:
        raise click.UsageError("either --serve or --fault")
    from proxy.lab.demo import main as lab

    sys.exit(lab(serve, decision, fault, provider))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path), envvar=CONFIG)
def check_config(file: Path) -> None:
    """Read a settings file and list everything that is wrong with it.

    Without FILE it is the one that SCREENDOOR_CONFIG names.
    """
    from proxy import certificate_expiry
    from proxy.commands.config_option import load_settings
    from proxy.config import warnings
    from proxy.kernel_forwarding import missing
    from proxy.services.policy_setup import ending, remarks, summary
    from proxy.transport.flow import format_address

    settings = load_settings(file)
    now = datetime.now(UTC)
    over = (remark.text for remark in certificate_expiry.remarks(settings, now))
    told = (
        *warnings(settings),
        *over,
        *missing(settings),
        *map(str, ending(settings, now.date())),
        *remarks(settings),
    )
    for text in told:
        click.echo(f"warning: {text}", err=True)
    click.echo(f"{file}: in order")
    for listen in settings.listeners:
        click.echo(f"  listens      {listen.transport} {format_address(listen.bind)}")
    click.echo(f"  webhook      http{'s' if settings.http.certificate else ''} port {settings.http.bind[1]}")
    for number in settings.numbers:
        places = ", ".join(destination.text for destination in number.destinations)
        agents = " or ".join(agent.name for agent in settings.agents_of(number))
        click.echo(
            f"  {number.dialed}  {f'screened by {agents}' if agents else 'not screened'}, then {places}"
        )
    for one in settings.notified:
        click.echo(f"  tells        {one.name}, by {'webhook' if one.webhook else 'apprise'}")
    for line in summary(settings):
        click.echo(f"  contacts     {line}")


def _run(settings: Settings) -> int:
    """Run the application; expected errors, such as a port in use, print one line instead of a traceback."""
    import asyncio

    from proxy.running import run as take_calls
    from proxy.sip.errors import SipError

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
    click.echo(f"screendoor: {_error_text(reason)}", err=True)
    return 1


def _error_text(error: Exception) -> str:
    """Format an error without the errno that Python puts first."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _leaf(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, ExceptionGroup) else first


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """Return uvloop's loop factory if it is installed; None for the standard loop.

    By default uvloop runs only two DNS lookups at a time: two lookups stuck at a dead name server (of a
    notification target, say) would delay those for the vendor and the phones.
    """
    try:
        import uvloop
    except ImportError:
        return None
    os.environ.setdefault("UV_THREADPOOL_SIZE", "64")  # half of the threads may do DNS lookups
    return uvloop.new_event_loop
