"""rtpengine in userspace (no kernel table), controlled by its ng protocol: bencode over UDP."""

from __future__ import annotations

import re
import socket
import subprocess
from typing import Final

from bench.place import Place
from bench.process import Program
from tests.sipp.process import installed

PORTS: Final = (20000, 29999)
PATIENCE_S: Final = 5.0

Value = str | int | bytes | list["Value"] | dict[str, "Value"]


class Rtpengine(Program):
    """The daemon, ready once constructed; it takes commands at `place.near`."""

    def __init__(self, place: Place) -> None:
        command = [installed("rtpengine", "rtpengine-daemon"), "--foreground", "--log-stderr"]
        command += [
            "--log-level=4",
            "--table=-1",
            "--interface=127.0.0.1",
            f"--listen-ng=127.0.0.1:{place.near}",
        ]
        command += [f"--port-min={PORTS[0]}", f"--port-max={PORTS[1]}", "--config-file=none"]
        command += [f"--pidfile={place.folder}/rtpengine.pid"]
        super().__init__(command, place.folder / "rtpengine.log", cwd=place.folder, core=place.core)
        self._ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._ask.settimeout(PATIENCE_S)
        self._ask.connect(("127.0.0.1", place.near))
        self.wait_for_port("udp", place.near)

    def offer(self, call: int, sdp: str, **more: Value) -> str:
        """Send the caller's offer; returns it as rewritten for the callee."""
        return self._told("offer", call, {"from-tag": "caller", "sdp": sdp, **more})

    def answer(self, call: int, sdp: str, **more: Value) -> str:
        """Send the callee's answer; returns it as rewritten for the caller."""
        return self._told("answer", call, {"from-tag": "caller", "to-tag": "callee", "sdp": sdp, **more})

    def _told(self, command: str, call: int, more: dict[str, Value]) -> str:
        told: dict[str, Value] = {"command": command, "call-id": f"bench-{call}", "ICE": "remove", **more}
        told |= {"DTLS": "off", "rtcp-mux": ["demux"]}
        self._ask.send(f"{command}{call} ".encode() + bencode(told))
        answer, _ = bdecode(self._ask.recv(65535).partition(b" ")[2])
        assert isinstance(answer, dict)
        assert answer["result"] == b"ok", f"rtpengine refused: {answer}"
        sdp = answer["sdp"]
        assert isinstance(sdp, bytes)
        return sdp.decode()


def version() -> str:
    """Return its version; AssertionError if it is not installed."""
    command = [installed("rtpengine", "rtpengine-daemon"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"(\d+\.\d+\.\d+)", said.stdout + said.stderr)
    return found[1] if found else "unknown"


def bencode(value: Value) -> bytes:
    """Encode a value as bencode (BEP 3)."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case dict():
            return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def bdecode(text: bytes, at: int = 0) -> tuple[Value, int]:
    """Decode the value at this offset; returns it and the offset of the next."""
    kind = text[at : at + 1]
    if kind == b"i":
        end = text.index(b"e", at)
        return int(text[at + 1 : end]), end + 1
    if kind == b"l" or kind == b"d":
        found: list[Value] = []
        at += 1
        while text[at : at + 1] != b"e":
            value, at = bdecode(text, at)
            found.append(value)
        if kind == b"l":
            return found, at + 1
        keys = [key.decode() for key in found[::2] if isinstance(key, bytes)]
        return dict(zip(keys, found[1::2], strict=True)), at + 1
    colon = text.index(b":", at)
    end = colon + 1 + int(text[at:colon])
    return text[colon + 1 : end], end
