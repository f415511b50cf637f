"""Controls rtpengine, a media gateway in C, by its "ng" protocol (bencode over UDP)."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from typing import Any

from tests.sipp.ports import free_block, free_port
from tests.sipp.process import Process, installed

HOST = "127.0.0.1"
MEDIA_PORTS = 40
PATIENCE_S = 5.0


class Rtpengine(Process):
    """A running rtpengine without its kernel module; ready once constructed."""

    def __init__(self, folder: Path) -> None:
        self._control, first = free_port(), free_block(MEDIA_PORTS)
        self._cookies = itertools.count(1)
        command = [
            installed("rtpengine", "rtpengine-daemon"), "--foreground", "--log-stderr", "--log-level=5",
            f"--interface={HOST}", f"--listen-ng={HOST}:{self._control}", "--table=-1",
            f"--port-min={first}", f"--port-max={first + MEDIA_PORTS - 1}", "--num-threads=1",
        ]  # fmt: skip
        super().__init__(command, folder / "rtpengine.log", cwd=folder)
        self.wait_for_port("udp", self._control)

    def offer(self, sdp: bytes, **told: object) -> bytes:
        """Pass an offer through rtpengine; returns the rewritten SDP."""
        return self._sdp("offer", sdp, **{"from-tag": "one"}, **told)

    def answer(self, sdp: bytes, **told: object) -> bytes:
        """Pass the answer through rtpengine; returns the rewritten SDP."""
        return self._sdp("answer", sdp, **{"from-tag": "one", "to-tag": "other"}, **told)

    def _sdp(self, command: str, sdp: bytes, **told: object) -> bytes:
        asked = {
            "command": command,
            "call-id": "c",
            "sdp": sdp,
            "ICE": "remove",
            "replace": ["origin"],
            **told,
        }
        said = self._asks(asked)
        assert said[b"result"] == b"ok", said
        body: bytes = said[b"sdp"]
        return body

    def _asks(self, asked: dict[str, Any]) -> dict[bytes, Any]:
        cookie = b"%d " % next(self._cookies)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.settimeout(PATIENCE_S)
            control.sendto(cookie + bencoded(asked), (HOST, self._control))
            said = control.recv(65535)
        assert said.startswith(cookie)
        found, rest = _read(said.removeprefix(cookie))
        assert rest == b""
        assert isinstance(found, dict)
        return found


def bencoded(value: object) -> bytes:
    """Encode a value in bencode (BEP 3)."""
    match value:
        case bytes():
            return b"%d:%b" % (len(value), value)
        case str():
            return bencoded(value.encode())
        case list():
            return b"l" + b"".join(map(bencoded, value)) + b"e"
        case dict():
            parts = (bencoded(name) + bencoded(value[name]) for name in sorted(value))
            return b"d" + b"".join(parts) + b"e"
    raise TypeError(value)


def _read(text: bytes) -> tuple[Any, bytes]:
    kind = text[:1]
    if kind == b"i":
        number, _, rest = text[1:].partition(b"e")
        return int(number), rest
    if kind in (b"l", b"d"):
        found, rest = [], text[1:]
        while not rest.startswith(b"e"):
            value, rest = _read(rest)
            found.append(value)
        return (found if kind == b"l" else dict(zip(found[::2], found[1::2], strict=True))), rest[1:]
    size, _, rest = text.partition(b":")
    return rest[: int(size)], rest[int(size) :]
