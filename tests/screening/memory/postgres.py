"""A private PostgreSQL server for the tests, in a temporary folder and on a Unix socket there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.sipp.process import killed_with_parent

LIMIT_S = 30.0


def binaries() -> Path:
    """Where `initdb` and `postgres` are; Debian keeps them off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    other = shutil.which("initdb")
    assert other, "PostgreSQL is not installed: apt-get install postgresql (`make tools` does it)"
    return Path(other).parent


class Postgres:
    """A server, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        """Creates `folder`; its name must be short, because it holds a socket."""
        self._bin, self.folder = binaries(), folder
        folder.mkdir(mode=0o755)
        self._user: dict[str, int] = {}
        if os.getuid() == 0:  # the server refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self._server: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", "screendoor", "-A", "trust", "-N", "-E", "UTF8")
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://screendoor@/{name}?host={self.folder}"

    def create(self, name: str, *more: str) -> str:
        """Create an empty database, with more arguments for `createdb`; returns its URL."""
        self._run("createdb", "-h", str(self.folder), "-U", "screendoor", *more, name)
        return self.url(name)

    def start(self) -> None:
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off")
        options = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as out:
            self._server = subprocess.Popen(
                killed_with_parent([self._bin / "postgres", "-D", self.folder / "data", *options], "INT"),
                stdout=out, stderr=out, cwd=self.folder, env=self._environ(), **self._user,
            )  # fmt: skip
        until = time.monotonic() + LIMIT_S
        while subprocess.run([self._bin / "pg_isready", "-q", "-h", self.folder], check=False).returncode:
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "PostgreSQL does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, disconnecting all clients."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGINT)  # fast shutdown
            server.wait(LIMIT_S)

    def _run(self, program: str, *arguments: str) -> None:
        ran = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True, text=True, timeout=LIMIT_S, cwd=self.folder, env=self._environ(),
            check=False, **self._user,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
