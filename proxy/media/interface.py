"""The media interface of a call: one `MediaSession` per call, in relay or direct mode (RFC 7092)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.media.clip import Clip
from proxy.media.quality import Quality
from proxy.media.sdes import SrtpPolicy
from proxy.media.tones import Tones, quiet, tones_of


class MediaRefused(Exception):
    """The peer's SDP cannot be used; the call answers 488 (RFC 3261 §13.3.1.3) or ends the leg."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Counts:
    """Packet counters of one leg."""

    packets_in: int = 0
    """RTP packets accepted from the peer."""
    packets_out: int = 0
    """RTP packets sent to the peer, tones included."""
    lost: int = 0
    """Gaps in the peer's sequence numbers (RFC 3550 §6.4.1: expected less received, never below zero)."""
    dropped: int = 0
    """Packets refused: malformed, of unknown payload type, from a source other than the latched one, or
    failing SRTP authentication.
    """
    rtcp_in: int = 0
    """RTCP packets received; they are processed here, never forwarded."""
    unauthentic: int = 0
    """Those of `dropped` that failed SRTP authentication; if all do, the keys do not match."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """The tones and music that the legs of one call hear."""

    tones: Tones = field(default_factory=lambda: tones_of("us"))
    hold: Clip | None = None
    """Music on hold; None: the hold tone."""
    machines: frozenset[str] = frozenset(("agent",))
    """Legs that are not people: on hold they get silence, as they would take a tone for speech."""

    def held(self, leg: str) -> Clip:
        """What a leg hears while the other one holds it."""
        return quiet() if leg in self.machines else self.hold or self.tones.hold


class Recording(Protocol):
    """A WAV file being written."""

    path: Path

    @property
    def active(self) -> bool:
        """Still recording; false once closed, or after the disk has failed."""
        ...

    @property
    def voiced_at(self) -> float | None:
        """Clock time at which speech was last heard in it; None before any was."""
        ...

    def close(self, *, keep: bool = True) -> float:
        """Finish the file (or remove it) and return its length in seconds. Calling it again returns the same
        length, and can still remove a file that was kept.
        """
        ...


class MediaSession(Protocol):
    """The media of one call. Legs go by name (`caller`, `agent`, `phone`) and open on first use."""

    def use_ip_version(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """The leg's signalling uses this IP version: offer it audio over the same, if we have an address.

        A leg's own offer is answered in the IP version it uses. `near`: the peer's signalling host and our
        address in a private network we share with it. If its audio comes from that host too, our SDP names
        that address.
        """
        ...

    def set_srtp_policy(self, leg: str, policy: SrtpPolicy) -> None:
        """Set the leg's SRTP policy, before its first offer or answer; the default is `ACCEPT`."""
        ...

    def srtp_suite(self, leg: str) -> str | None:
        """Name of the SRTP crypto-suite in force; None: plain RTP."""
        ...

    def fall_back(self, leg: str) -> bool:
        """The peer refused our offer: return whether a different one is worth sending.

        In relay mode that is plain RTP in place of SRTP; False if we offered no SRTP, or require it, or
        already have an agreement. In direct mode also True if that offer was another leg's: ours is next.
        """
        ...

    def offer(self, leg: str) -> bytes:
        """Our SDP offer to that leg (RFC 3264 §5). The first call allocates its ports; later ones re-offer
        with the same origin id and port, and `o=` version + 1. Raises NoPortFree.

        Empty, for a leg that is not called yet: its peer is to make the first offer.
        """
        ...

    def repeat_sdp(self, leg: str) -> bytes:
        """The SDP we last sent that leg, byte for byte: a session refresh (RFC 4028 §7.4). A leg that was
        sent none gets our offer; one whose offer `accept` left open gets our answer. Raises as those do.
        """
        ...

    def answered(self, leg: str, sdp: bytes) -> None:
        """Take the peer's answer to our offer (RFC 3264 §7). Raises MediaRefused."""
        ...

    def pass_early_media(self, leg: str, to: str) -> None:
        """Let `to` hear that leg's early media in place of ringback; otherwise nobody hears it."""
        ...

    def take_early_media(self, leg: str, sdp: bytes) -> None:
        """Take the SDP of a leg's early media (in a provisional response); unusable SDP is ignored."""
        ...

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """Take the peer's offer, initial or re-offer, and return our answer (RFC 3264 §6, §8).

        Raises MediaRefused (488) or NoPortFree (503); after a refused re-offer the old agreement stays in
        force. Empty: the answer depends on another leg. For an initial offer, fetch it with `repeat_sdp` when
        the INVITE is to be answered; for a later one, `proxy.media.direct` says when.
        """
        ...

    def join(self, a: str, b: str) -> None:
        """Connect a and b to each other only (a hold stays respected, §8.4). Whoever they were joined to
        hears nobody.
        """
        ...

    def part(self, leg: str) -> None:
        """The leg neither hears nor is heard; it keeps its ports."""
        ...

    def sounds(self, sounds: Sounds) -> None:
        """Set the tones the legs hear from now on; the default is North America's."""
        ...

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Play ringback to the leg while it hears nothing else; silent packets count as nothing.

        `after_s`: first wait for so much silence. `until_heard`: it ends once the joined leg is audible.
        """
        ...

    def fill(self, leg: str, clip: Clip | None) -> None:
        """Loop the clip to the leg while it would get no packets at all; None stops it."""
        ...

    async def play(self, leg: str, clip: Clip) -> None:
        """Play the clip to the leg, which hears nothing else meanwhile; several play one after the other.

        Returns when it has been played or the leg is released. Cancelling stops it.
        """
        ...

    async def digit(self, leg: str) -> str:
        """Wait for the leg's next key (`0`-`9`, `*`, `#`, `A`-`D`), from RTP (RFC 4733) or `key_pressed`.
        Each key is returned once. Keeps waiting even if the leg is released.
        """
        ...

    def key_pressed(self, leg: str, digit: str, seconds: float = 0.1) -> None:
        """A key press reported by signalling (INFO); the joined leg is sent it as RTP telephone-events."""
        ...

    def record(self, leg: str, path: Path) -> Recording:
        """Write what the peer sends to a WAV file (8 kHz, mono, 16 bit) until closed or released. Raises
        OSError if the file cannot be created, MediaRefused if the leg's audio is not G.711.
        """
        ...

    def record_both(self, caller: str, path: Path) -> Recording:
        """Write a stereo WAV file until closed or released: left what the peer sends, right what we send it,
        tones included. Raises OSError if the file cannot be created, MediaRefused if the leg's audio is not
        G.711.
        """
        ...

    def prefer_g711(self) -> None:
        """Prefer G.711 from now on wherever the peer supports it, so that everything can be recorded."""
        ...

    def release(self, leg: str) -> None:
        """End the leg: its ports are returned. An unknown leg is ignored."""
        ...

    def counts(self, leg: str) -> Counts:
        """The leg's packet counters; still available after its release."""
        ...

    def quality(self, leg: str) -> Quality:
        """Audio quality both ways; still available after the leg's release. Zeros for an unknown leg."""
        ...

    def quiet_s(self, leg: str) -> float | None:
        """Seconds since the leg was last heard (RTP or RTCP) or last negotiated. None where no packets are
        due: the leg is not open, has no agreement, does not send, or holds us.
        """
        ...

    def close(self) -> None:
        """Release every leg; calling it again does nothing."""
        ...
