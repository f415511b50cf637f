"""Fuzz target for parse_sdp: a description that round-trips, or SdpError."""

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.media"]):
    from proxy.media.audio_line import AudioLine, refuse_all
    from proxy.media.interface import MediaRefused
    from proxy.media.negotiation import read_offer
    from proxy.media.sdp import SdpError, parse_sdp

from tests.fuzz.target import fuzz, torture_messages
from tests.kit.messages import SDP


def one(data: bytes) -> None:
    with contextlib.suppress(MediaRefused):
        read_offer(data, ip_version=4, voice_key=None, anchor=None)
    with contextlib.suppress(MediaRefused):
        line, layout = AudioLine.read(data)
        assert AudioLine.read(line.write((1, 1), "192.0.2.1", layout))[0] == line
    refuse_all(data)
    try:
        description = parse_sdp(data)
    except SdpError:
        return
    assert parse_sdp(description.encode()) == description
    for section in description.media:
        section.audio_formats()
        _ = section.ptime, description.direction(section)
        with contextlib.suppress(SdpError):
            description.connection(section)


if __name__ == "__main__":
    bodies = {message.partition(b"\r\n\r\n")[2] for message in torture_messages()}
    fuzz(one, [SDP, *sorted(bodies)])
