"""The least that a B2BUA in Python can do (`minimal_b2bua.py`): a yardstick for what the language costs."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.place import Place
from bench.process import Program

B2BUA = Path(__file__).with_name("minimal_b2bua.py")


class Minimal(Program):
    """Run by our own Python and event loop; ready once constructed."""

    def __init__(self, place: Place) -> None:
        command = [sys.executable, "-P", str(B2BUA), str(place.near), str(place.far)]
        command += [str(place.folder / "minimal.jsonl")]
        super().__init__(command, place.folder / "minimal.log", cwd=place.folder, core=place.core)
        self.wait_for_port("udp", place.near)
