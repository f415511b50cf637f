"""aiosipua as a B2BUA: its server and its client in one process, connected by `aiosipua_b2bua.py`."""

from __future__ import annotations

from pathlib import Path

from bench.peers import venv
from bench.place import Place
from bench.process import Program

JOINED = Path(__file__).with_name("aiosipua_b2bua.py")


class Aiosipua(Program):
    """Ready for calls once constructed."""

    def __init__(self, place: Place) -> None:
        command = [venv.program("python"), "-P", str(JOINED), str(place.near), str(place.far)]
        super().__init__(command, place.folder / "aiosipua.log", cwd=place.folder, core=place.core)
        self.wait_for_port("udp", place.near)
