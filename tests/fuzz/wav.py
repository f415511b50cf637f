"""Fuzz target for WAV files, as voices and as prompts: audio, or an error of one printable line."""

import sys
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.media"]):
    from proxy.media.clip import ClipError, clip_from_wav
    from proxy.media.recorder import wav_header
    from proxy.media.wav import WavError, read_wav, write_wav

from tests.fuzz.target import fuzz

SOUND = array("h", range(400))
MONO, WIDE = (
    wav_header(400),
    wav_header(400).replace((8000).to_bytes(4, "little"), (16000).to_bytes(4, "little")),
)
SEEDS = [
    MONO + SOUND.tobytes(),
    WIDE + SOUND.tobytes(),
    wav_header(200, 2) + SOUND.tobytes(),
    write_wav(SOUND),
]
FOLDER = TemporaryDirectory()
FILE = Path(FOLDER.name, "prompt.wav")


def one(data: bytes) -> None:
    why = ""
    try:
        sound = read_wav(data)
    except WavError as error:
        why = str(error)
    else:
        assert 8000 <= sound.rate <= 48_000
        assert len(sound.samples) <= len(data)
    FILE.write_bytes(data)
    try:
        clip = clip_from_wav(FILE)
    except ClipError as error:
        why += str(error)
    else:
        assert clip.seconds > 0
    assert why.isprintable()


if __name__ == "__main__":
    fuzz(one, SEEDS)
