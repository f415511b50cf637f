"""Calls with relayed audio, through Screendoor or rtpengine: the cost and latency of a packet."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import sealed
from bench.accounting import percentile
from bench.mmsg import large_buffered_socket
from bench.peers.rtpengine import Rtpengine
from bench.peers.screendoor import Screendoor
from bench.place import Place
from bench.probe import HOST, Probe, audio_port, sdp
from bench.process import Program
from bench.rig import BOX_CORE, PEERS_CORE, MakeBox
from bench.rtp import Heard, Work
from tests.sipp.ports import free_port

ROOT: Final = Path(__file__).parents[1]
SET_UP: Final = 100
"""Calls per second during set-up."""
TRIES: Final = 3
WARM_S: Final = 3.5
"""rtpengine may change its mind about a peer's address for three seconds."""
WARM_AGAIN_S: Final = 0.5
SLICE_S: Final = 1.0
STRAIGHT: Final = "straight"
PACKETS_A_SECOND: Final = 50

Sockets = tuple[socket.socket, socket.socket]
"""The sockets of the callers' audio, and of the callees'."""
Ports = tuple[list[int], list[int]]
"""The relay's ports for each caller's packets, and for each callee's."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Established calls, silent so far, through their own middle box."""

    box: Program
    place: Place
    sockets: Sockets
    ports: Ports


@dataclass(frozen=True, slots=True)
class RelayResult:
    """Results of one measurement."""

    cpu_us: float
    """User and system time of all threads of the relay, per packet received from it."""
    sender_us: float
    """The same of the generator, which sends and receives."""
    lost: float
    """Share of the packets."""
    silent: int
    """Streams of which nothing came back."""
    p50_us: float
    p99_us: float
    """Latency from sending to receiving; 0 if unknown."""
    in_kernel: int = 0
    """Streams that the kernel forwarded for the relay at the end."""


@contextmanager
def calls(make: MakeBox, count: int, *, secure: bool = False) -> Iterator[Calls]:
    """Establish that many calls. `set_srtp_policy`: the callees use SRTP."""
    with tempfile.TemporaryDirectory(prefix="screendoor-bench-") as name, ExitStack() as stack:
        near, far = (
            stack.enter_context(large_buffered_socket(HOST)),
            stack.enter_context(large_buffered_socket(HOST)),
        )
        port = free_port()
        place = Place(Path(name), free_port(), port, probe=port, core=BOX_CORE, srtp=secure)
        box = stack.enter_context(make(place))
        audio = near.getsockname()[1], far.getsockname()[1]
        ports = (
            _by_ng(box, place, audio, count) if isinstance(box, Rtpengine) else _by_sip(place, audio, count)
        )
        yield Calls(box, place, (near, far), ports)


def relayed(make: MakeBox, streams: int, seconds: float, *, secure: bool = False) -> RelayResult:
    """Measure half as many calls as streams, with both sides of each sending."""
    with calls(make, streams // 2, secure=secure) as stand:
        return _spoken(stand.sockets, stand.ports, seconds, stand.box, secure=secure)


def unrelayed(streams: int, seconds: float) -> RelayResult:
    """Measure the same packets without a relay: the share of the generator itself."""
    with large_buffered_socket(HOST) as near, large_buffered_socket(HOST) as far:
        return _spoken((near, far), straight((near, far), streams), seconds, None)


def alternately(
    makes: Mapping[str, MakeBox], streams: int, slices: int, warm_again_s: float = WARM_AGAIN_S
) -> dict[str, list[RelayResult]]:
    """Measure each relay, and no relay (STRAIGHT), for a second in turn, in alternating order.

    Disturbances of the machine thus affect all of them alike. Relays that are not being measured are stopped.
    `warm_again_s`: warm-up before each measurement but the first.
    """
    heard: dict[str, list[RelayResult]] = {name: [] for name in (STRAIGHT, *makes)}
    with ExitStack() as stack:
        near, far = (
            stack.enter_context(large_buffered_socket(HOST)),
            stack.enter_context(large_buffered_socket(HOST)),
        )
        ways = {STRAIGHT: ((near, far), straight((near, far), streams))}
        boxes: dict[str, Program] = {}
        for name, make in makes.items():
            stand = stack.enter_context(calls(make, streams // 2))
            ways[name], boxes[name] = (stand.sockets, stand.ports), stand.box
        for turn in range(slices):
            for name in tuple(ways)[:: -1 if turn % 2 else 1]:
                with ExitStack() as stopped:
                    for other in boxes.keys() - {name}:
                        stopped.enter_context(boxes[other].stopped())
                    warm_s = warm_again_s if heard[name] else WARM_S
                    heard[name].append(_spoken(*ways[name], SLICE_S, boxes.get(name), warm_s=warm_s))
    return heard


def straight(sockets: Sockets, streams: int) -> Ports:
    """The ports for each side to send straight to the other, without a relay."""
    near, far = (sock.getsockname()[1] for sock in sockets)
    return [far] * (streams // 2), [near] * (streams // 2)


@contextmanager
def speaking(
    sockets: Sockets, ports: Ports, seconds: float, *, secure: bool = False, warm_s: float = WARM_S
) -> Iterator[subprocess.Popen[str]]:
    """Run a generator on the peers' CPU."""
    fds = sockets[0].fileno(), sockets[1].fileno()
    encrypted = sealed.packets(round((warm_s + seconds + 1) * PACKETS_A_SECOND)) if secure else None
    work = Work(fds, ports, warm_s, seconds, encrypted, HOST)
    command = ["taskset", "-c", str(PEERS_CORE), sys.executable, "-m", "bench.rtp"]
    with subprocess.Popen(
        command, cwd=ROOT, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as generator:
        try:
            assert generator.stdin is not None
            generator.stdin.write(json.dumps(asdict(work)))
            generator.stdin.close()
            yield generator
        finally:
            generator.kill()


def warmed(generator: subprocess.Popen[str]) -> None:
    """Wait for the end of the warm-up."""
    _line(generator)


def _line(generator: subprocess.Popen[str]) -> str:
    assert generator.stdout is not None
    line = generator.stdout.readline()
    assert line, "the generator of audio died"
    return line


def _spoken(
    sockets: Sockets,
    ports: Ports,
    seconds: float,
    box: Program | None,
    *,
    secure: bool = False,
    warm_s: float = WARM_S,
) -> RelayResult:
    with speaking(sockets, ports, seconds, secure=secure, warm_s=warm_s) as generator:
        warmed(generator)
        before = 0.0 if box is None else box.cpu_s
        _line(generator)
        spent = 0.0 if box is None else box.cpu_s - before
        heard = Heard(**json.loads(_line(generator)))
    assert heard.received, "no packet came back from the relay"
    times = heard.latencies_us or [0.0]
    return RelayResult(
        1e6 * spent / heard.received,
        1e6 * heard.cpu_s / heard.received,
        heard.lost / max(heard.sent, 1),
        heard.silent,
        percentile(times, 0.5),
        percentile(times, 0.99),
        box.kernel_streams if isinstance(box, Screendoor) else 0,
    )


def _by_sip(place: Place, audio: tuple[int, int], count: int) -> Ports:
    answer = partial(sealed.answer, audio[1]) if place.srtp else None
    probe = Probe(place.near, place.far, audio=audio, answer=answer, hold_ns=None)
    ports: list[tuple[int, int]] = []
    for _ in range(TRIES):  # the probe does not retransmit, and UDP may lose packets
        probe.run(SET_UP, (count - len(ports)) / SET_UP)
        both = [(call.caller_sends_to, call.callee_sends_to) for call in probe.calls.values()]
        ports = [(here, there) for here, there in both if here is not None and there is not None]
        if len(ports) == count:
            break
    probe.close()
    assert len(ports) == count, f"{count - len(ports)} of {count} calls were not answered"
    return [here for here, _ in ports], [there for _, there in ports]


def _by_ng(box: Rtpengine, place: Place, audio: tuple[int, int], count: int) -> Ports:
    near, far = audio
    inner = "RTP/SAVP" if place.srtp else "RTP/AVP"
    ports: Ports = [], []
    for call in range(count):
        offered = box.offer(call, sdp(near), **{"transport-protocol": inner})
        answer = sealed.answer(far, offered) if place.srtp else sdp(far)
        answered = box.answer(call, answer, **{"transport-protocol": "RTP/AVP"})
        for side, text in zip(ports, (answered, offered), strict=True):
            side.append(audio_port(text) or 0)
    return ports
