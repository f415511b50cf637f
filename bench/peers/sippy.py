"""Sippy B2BUA's own small program, `b2bua_simple`."""

from __future__ import annotations

from bench.peers import venv
from bench.place import Place
from bench.process import Program


class Sippy(Program):
    """Its logging is off, which is to its advantage; ready once constructed."""

    def __init__(self, place: Place) -> None:
        command = [venv.program("b2bua_simple"), "-f", "-l", "127.0.0.1", "-p", str(place.near)]
        command += ["-n", f"127.0.0.1:{place.far}"]
        super().__init__(
            command, place.folder / "sippy.log", cwd=place.folder, core=place.core,
            environ={"SIPLOG_BEND": "none", "SIPLOG_LVL": "CRIT"},
        )  # fmt: skip
        self.wait_for_port("udp", place.near)
