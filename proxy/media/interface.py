"""What the call story asks of media: one `MediaSession` per call, whatever its mode (RFC 7092 names them)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.media.clip import Clip
from proxy.media.quality import Quality
from proxy.media.sdes import SrtpPolicy
from proxy.media.tones import Tones, quiet, tones_of


class MediaRefused(Exception):
    """The peer's SDP cannot be used; the story answers 488 (RFC 3261 §13.3.1.3) or ends the leg."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Counts:
    """What one leg's RTP has done so far."""

    packets_in: int = 0
    """RTP packets accepted from the peer."""
    packets_out: int = 0
    """RTP packets sent to the peer, tones included."""
    lost: int = 0
    """Gaps in the peer's sequence numbers (RFC 3550 §6.4.1: expected less received, never below zero)."""
    dropped: int = 0
    """Packets refused: malformed, of an unknown payload type, from a source we are not latched to, or not to
    be opened with its key.
    """
    rtcp_in: int = 0
    """RTCP packets received; they are read, never forwarded."""
    unauthentic: int = 0
    """Of those dropped, the ones its SRTP key does not fit; if all are, the keys do not match."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """What the legs of one call are played by the media itself."""

    tones: Tones = field(default_factory=lambda: tones_of("us"))
    hold: Clip | None = None
    """Music for whoever is on hold; None: the hold tone."""
    machines: frozenset[str] = frozenset(("agent",))
    """Legs that are no people: on hold they get silence, since they would take a tone for something said."""

    def held(self, leg: str) -> Clip:
        """What a leg hears while the other holds."""
        return quiet() if leg in self.machines else self.hold or self.tones.hold


class Recording(Protocol):
    """A WAV file being written."""

    path: Path

    @property
    def on(self) -> bool:
        """It goes on; false once it was closed, or the disk has failed."""
        ...

    @property
    def voiced_at(self) -> float | None:
        """Clock time at which somebody was last heard in it; None before that."""
        ...

    def close(self, *, keep: bool = True) -> float:
        """Finish the file, or have it removed, and return its length in seconds. Again: the same number; a
        file that was kept can still be removed.
        """
        ...


class MediaSession(Protocol):
    """The media of one call. Legs are named by the story (`caller`, `agent`, `phone`), open on first use."""

    def over(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """Its signalling goes over IPv4 or IPv6: offer it audio over the same, if we have an address of it.

        What a leg offers us is answered in its own IP version. `near`: the host that signals and our own
        address, in a private network that both are in; where audio comes from that host, too, that address is
        what the leg is told.
        """
        ...

    def secure(self, leg: str, policy: SrtpPolicy) -> None:
        """How its audio is to be protected, told before its first offer or answer; untold, by `ACCEPT`."""
        ...

    def secured(self, leg: str) -> str | None:
        """The crypto suite under which its audio goes; None: it is plain RTP."""
        ...

    def concede(self, leg: str) -> bool:
        """The peer has refused our offer: whether the next one is another, of plain RTP.

        False where we offered none of SRTP, or require it, or something is agreed. True also where it was not
        offered what we can do ourselves (`direct`), and will be.
        """
        ...

    def offer(self, leg: str) -> bytes:
        """Our SDP offer towards that leg (RFC 3264 §5); the first call takes its ports, later ones re-offer
        with the same origin id and port and `o=` version + 1. Raises NoPortFree.

        Empty, for a leg that is yet to be called: its peer is to make the first offer.
        """
        ...

    def again(self, leg: str) -> bytes:
        """What we told that leg last, to the byte: nothing has changed (RFC 4028 §7.4). A leg that was told
        nothing yet gets our offer; one whose offer `accept` left open, our answer. Raises what those raise.
        """
        ...

    def answered(self, leg: str, sdp: bytes) -> None:
        """Take the peer's answer to our offer (RFC 3264 §7). Raises MediaRefused."""
        ...

    def pass_early(self, leg: str, to: str) -> None:
        """What that leg plays before it answers is for `to`, over our ringback; otherwise nobody hears it."""
        ...

    def early(self, leg: str, sdp: bytes) -> None:
        """The peer describes what it plays before it answers; what cannot be used is ignored."""
        ...

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """Take the peer's offer, the first or a re-INVITE's, and return our answer (RFC 3264 §6, §8).

        Raises MediaRefused (488) or NoPortFree (503); a refused re-offer leaves what was agreed in force.
        Empty: what to answer hangs on another leg. It is `again`, once the INVITE is to be answered; to a
        later offer when `proxy.media.direct` says so.
        """
        ...

    def join(self, a: str, b: str) -> None:
        """From now on a and b hear each other and nobody else (§8.4 hold respected). Whoever they were joined
        to hears nobody.
        """
        ...

    def part(self, leg: str) -> None:
        """The leg neither hears nor feeds anybody; it keeps its ports."""
        ...

    def sounds(self, sounds: Sounds) -> None:
        """Of which tones the legs hear from now on; before that, those of North America."""
        ...

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Play the ringback tone to the leg while nothing else is heard; packets of silence are nothing.

        `after_s`: how long nothing must have been heard first. `until_heard`: it ends by itself as soon as
        the joined leg is audible.
        """
        ...

    def fill(self, leg: str, clip: Clip | None) -> None:
        """Play the clip over and over to the leg while it would get no packet at all; None: no longer."""
        ...

    async def play(self, leg: str, clip: Clip) -> None:
        """Play the clip to the leg, which hears nobody else meanwhile; one after the other.

        Returns when it has been played, or the leg is gone; cancelled, it stops.
        """
        ...

    async def digit(self, leg: str) -> str:
        """The next key that the leg has pressed (`0`-`9`, `*`, `#`, `A`-`D`), in RTP (RFC 4733) or as told by
        `pressed`; each is given once. It waits for as long as it is let, even if the leg is gone.
        """
        ...

    def pressed(self, leg: str, digit: str, seconds: float = 0.1) -> None:
        """The leg says by its signalling (INFO) that it pressed a key; who hears the leg is told in RTP."""
        ...

    def record(self, leg: str, path: Path) -> Recording:
        """Write what the leg says to a WAV (8 kHz, mono, 16 bit) until closed or the leg is released. Raises
        OSError if the file cannot be made, MediaRefused for a leg whose audio is not G.711.
        """
        ...

    def record_both(self, caller: str, path: Path) -> Recording:
        """Write a WAV in stereo, left what the leg says, right what it hears from us, tones included, until
        closed or the leg is released. Raises OSError if the file cannot be made, MediaRefused for a leg whose
        audio is not G.711.
        """
        ...

    def plain(self) -> None:
        """Agree on G.711 from now on wherever the peer speaks it, so that nothing is lost to a recording."""
        ...

    def release(self, leg: str) -> None:
        """The leg is gone: its ports go back. A leg never opened is ignored."""
        ...

    def counts(self, leg: str) -> Counts:
        """The leg's packet counters; they outlive its release."""
        ...

    def quality(self, leg: str) -> Quality:
        """How well the leg was heard, and heard us; outlives its release. Zeros for a leg that never was."""
        ...

    def quiet_s(self, leg: str) -> float | None:
        """Seconds since the leg was last heard, by RTP or RTCP, or agreed with; None where nothing is due: it
        is not open, has not agreed, says that it will not send, or holds us.
        """
        ...

    def close(self) -> None:
        """Everything back to the pool; again does nothing."""
        ...
