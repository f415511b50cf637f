"""The `screendoor` command line: output, exit codes, and options handed to the lab."""

from __future__ import annotations

import asyncio
import errno
import logging
import platform
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import structlog
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.sip.errors import SipError
from proxy.transport.devcert import make_authority
from proxy.version import VERSION

ROOT = Path(__file__).parents[1]
LAB = str(ROOT / "config/lab.toml")

Run = Callable[[object], Awaitable[int]]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Replace the application with a stub that listens nowhere."""

    def put(run: Run) -> None:
        module = ModuleType("proxy.running")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "proxy.running", module)

    return put


def raising(error: BaseException) -> Run:
    async def run(settings: object) -> int:
        raise error

    return run


def test_version_prints_the_version() -> None:
    assert call("--version").output == f"screendoor {VERSION}\n"


def test_help_names_every_command() -> None:
    assert all(command in call("--help").output for command in ("run", "demo", "check-config"))


def test_check_config_summarizes_a_valid_file() -> None:
    result = call("check-config", LAB)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{LAB}: in order",
        "  listens      udp 127.0.0.1:5060",
        "  listens      tcp 127.0.0.1:5060",
        "  webhook      http port 8080",
        "  *  screened by local, then sip:phone@127.0.0.1:5090",
    ]


def test_check_config_lists_backup_agents_beside_the_first(tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    backup = '[[agent]]\nname = "spare"\nprovider = "sip"\nsip = "sip:agent@127.0.0.1:5081"\n[http]'
    text = Path(LAB).read_text().replace('name = "local"', 'name = "local"\nbackup = "spare"')
    file.write_text(text.replace("[http]", backup))
    assert "  *  screened by local or spare, then" in call("check-config", str(file)).stdout


def test_check_config_prints_ipv6_listeners_in_brackets(tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(Path(LAB).read_text().replace('"127.0.0.1:5060"', '"[::1]:5060"'))
    assert "  listens      udp [::1]:5060\n" in call("check-config", str(file)).stdout


def test_the_settings_file_may_be_named_by_screendoor_config(application: Callable[[Run], None]) -> None:
    async def run(settings: object) -> int:
        return 7

    application(run)
    named = {"SCREENDOOR_CONFIG": LAB}
    assert CliRunner().invoke(main, ["check-config"], env=named).stdout.startswith(f"{LAB}: in order")
    assert CliRunner().invoke(main, ["run"], env=named).exit_code == 7
    assert CliRunner().invoke(main, ["run"], env={"SCREENDOOR_CONFIG": None}).exit_code == 2


def test_check_config_prints_doubtful_settings_as_warnings(tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(Path(LAB).read_text().replace('srtp = "off"', 'srtp = "offer"'))
    result = call("check-config", str(file))
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: agent local: srtp")


@pytest.mark.parametrize("fault", ["all", "refer-silent"])
def test_demo_refuses_serve_together_with_fault(fault: str) -> None:
    result = call("demo", "--serve", "--fault", fault)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: either --serve or --fault")


def test_check_config_warns_of_an_expiring_certificate(tmp_path: Path) -> None:
    issued = datetime.now(UTC) - timedelta(days=80)
    chain, key = make_authority().issue(["localhost"], starts=issued, days=90)
    (tmp_path / "web.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    file = tmp_path / "sd.toml"
    web = '[http]\ncertificate = "web.pem"\nkey = "file:key.pem"'
    file.write_text(Path(LAB).read_text().replace("[http]", web))
    (line,) = call("check-config", str(file)).stderr.splitlines()
    assert line.startswith(
        f"warning: {tmp_path}/web.pem: the certificate ends on {issued + timedelta(days=90):%F}:"
    )


def test_check_config_warns_of_kernel_forwarding_without_ebpf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(Path(LAB).read_text().replace("[media]", '[media]\nmode = "kernel"'))
    assert call("check-config", str(file)).stderr == ""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    result = call("check-config", str(file))
    assert result.exit_code == 0
    assert result.stderr == 'warning: media.mode = "kernel" falls back to "relay": no eBPF on Darwin x86_64\n'


@pytest.mark.parametrize("command", [["check-config"], ["run", "--config"]])
def test_every_problem_is_a_line_on_standard_error_and_the_exit_code_is_2(
    command: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(
        Path(LAB).read_text().replace('"127.0.0.1:5070"', '"x"').replace("udp", "sctp").replace("*", "911")
    )
    result = call(*command, str(file))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f'{file}: listen[0].transport: expected one of "udp", "tcp" or "tls", got "sctp"',
        f"{file}: number[0].dialed: expected no emergency number (they are never screened,"
        ' and never a transfer target), got "911"',
    ]


def test_a_missing_network_exits_with_1_so_that_systemd_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(probe: socket.socket, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    file = tmp_path / "sd.toml"
    file.write_text(Path(LAB).read_text().replace('address = "127.0.0.1"', 'address = "auto"'))
    monkeypatch.setattr(socket.socket, "connect", nowhere)
    result = call("run", "--config", str(file))
    assert result.exit_code == 1  # systemd restarts it, unlike after exit code 2
    assert result.stderr == (
        f'{file}: public.address: expected an IP address, got "auto" without a route to find it by\n'
    )


def test_a_missing_settings_file_is_a_one_line_error(tmp_path: Path) -> None:
    result = call("run", "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"{tmp_path}/none.toml: file: expected a file that can be read, got No such file or directory\n"
    )


def test_run_passes_the_settings_on_uvloop_and_exits_with_the_returned_code(
    application: Callable[[Run], None],
) -> None:
    seen: list[object] = []

    async def run(settings: object) -> int:
        seen.append((settings, type(asyncio.get_running_loop()).__module__))
        return 7

    application(run)
    assert call("run", "--config", LAB).exit_code == 7
    ((settings, loop),) = seen
    assert settings.public.host == "127.0.0.1"  # type: ignore[attr-defined]
    assert loop == "uvloop"


def test_uvloop_resolves_many_names_concurrently() -> None:
    program = """
import asyncio, os
from proxy.cli import _loop_factory

async def looked_up():
    await asyncio.get_running_loop().getaddrinfo("localhost", 443)
    print(len(os.listdir("/proc/self/task")))

with asyncio.Runner(loop_factory=_loop_factory()) as runner:
    runner.run(looked_up())
"""
    threads = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert int(threads.stdout) > 60  # half of them are resolver threads


def test_a_process_without_standard_streams_writes_to_dev_null() -> None:
    program = f"""
import os
import structlog
from proxy import log
from proxy.cli import main

main(["check-config", {LAB!r}], standalone_mode=False)
log.configure()
structlog.get_logger("screendoor").warning("who hears that?")
os._exit(7 if all(os.fstat(n).st_rdev == os.stat(os.devnull).st_rdev for n in range(3)) else 8)
"""
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program]
    assert subprocess.run(closed, check=False).returncode == 7


def test_run_uses_asyncio_if_uvloop_is_not_installed(
    application: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def run(settings: object) -> int:
        return 0 if type(asyncio.get_running_loop()).__module__.startswith("asyncio") else 1

    application(run)
    assert call("run", "--config", LAB).exit_code == 0


@pytest.mark.parametrize(
    "error",
    [
        OSError(98, "Address already in use: 127.0.0.1:5060"),
        SipError("Address already in use: 127.0.0.1:5060"),
        ExceptionGroup("x", [ExceptionGroup("y", [OSError(98, "Address already in use: 127.0.0.1:5060")])]),
    ],
)
def test_a_port_in_use_is_one_line_without_traceback(
    application: Callable[[Run], None], error: Exception
) -> None:
    application(raising(error))
    result = call("run", "--config", LAB)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("screendoor: ")
    assert line.endswith("Address already in use: 127.0.0.1:5060")


def test_a_permission_error_names_the_folder(application: Callable[[Run], None]) -> None:
    async def forbidden(settings: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "recordings")

    application(forbidden)
    result = call("run", "--config", LAB)
    assert (result.exit_code, result.stderr) == (1, "screendoor: recordings: Permission denied\n")


def test_an_unexpected_exception_is_not_caught(application: Callable[[Run], None]) -> None:
    application(raising(ExceptionGroup("x", [OSError("port"), ValueError("bug")])))
    assert isinstance(call("run", "--config", LAB).exception, ExceptionGroup)


def test_an_interrupt_exits_with_130_without_output(application: Callable[[Run], None]) -> None:
    application(raising(KeyboardInterrupt()))
    result = call("run", "--config", LAB)
    assert (result.exit_code, result.stderr) == (130, "")


def test_run_logs_the_warnings_of_the_settings(application: Callable[[Run], None], tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(Path(LAB).read_text().replace('srtp = "off"', 'srtp = "offer"'))

    async def run(settings: object) -> int:
        return 0

    application(run)
    assert "agent local: srtp" in call("run", "--config", str(file)).stderr


def test_demo_passes_its_options_to_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def lab(*arguments: object) -> int:
        asked.append(arguments)
        return 3

    monkeypatch.setitem(sys.modules, "proxy.lab.demo", SimpleNamespace(main=lab))
    assert call("demo").exit_code == 3
    assert call("demo", "--serve", "--decision", "reject", "--provider", "live").exit_code == 3
    assert call("demo", "--fault", "phone-busy").exit_code == 3
    assert asked == [
        (False, "allow", None, "realtime"),
        (True, "reject", None, "live"),
        (False, "allow", "phone-busy", "realtime"),
    ]


def test_demo_refuses_an_unknown_decision() -> None:
    assert call("demo", "--decision", "maybe").exit_code == 2
