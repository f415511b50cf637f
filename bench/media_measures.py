"""The measures of audio: Screendoor beside rtpengine, and signalling while 500 calls are relayed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from statistics import median
from typing import Final

from bench import media
from bench.latency import probed
from bench.media import RelayResult
from bench.peers.screendoor import Screendoor
from bench.rig import MakeBox
from bench.systems import RTPENGINE, SYSTEMS, US
from bench.table import BEFORE, QUIET
from bench.trials import Trials, label

STREAMS: Final = 1000
"""500 calls, both directions: 50,000 packets per second."""
FEW: Final = 200
MAX_LOST: Final = 0.001
MAX_IN_KERNEL: Final = 0.9
"""The share of streams in the kernel if it forwards any; each comes back for a packet now and then."""
HERE: Final = "relay"
"""Screendoor with `mode = "relay"`, in measures that are also taken of the default mode."""


def media_cpu(trials: Trials) -> None:
    """CPU per packet relayed by a process."""
    _cpu(trials, "media")


def srtp(trials: Trials) -> None:
    """The same if the callees use SRTP."""
    _cpu(trials, "media-srtp", secure=True)


def latency(trials: Trials) -> None:
    """Added latency of a packet: with few streams in the default mode and in `relay`, and with many."""
    peers = {name: SYSTEMS[name].make for name in trials.present((RTPENGINE,))}
    with trials.trying("late", US):  # new streams are handed over to the kernel after a while
        makes = {US: SYSTEMS[US].make, HERE: relaying(), **peers}
        _late(trials, "late", makes, FEW, media.WARM_S)
    with trials.trying("crowd", US):
        _late(trials, "crowd", {US: relaying(), **peers}, STREAMS)


def kernel(trials: Trials) -> None:
    """CPU per packet in the default mode, where the kernel forwards.

    Forwarding is charged to the sending process, so that is measured.
    """
    with trials.trying("media-kernel", US):
        direct = media.unrelayed(STREAMS, trials.extent.media_s)
        run = _run(trials, "media-kernel", US, SYSTEMS[US].make, STREAMS)
        assert run.in_kernel > MAX_IN_KERNEL * STREAMS, f"the kernel forwards {run.in_kernel} streams"
        trials.note("media-kernel", US, run.cpu_us + run.sender_us - direct.sender_us)
        beside = trials.book.read("media", RTPENGINE)
        if beside is None:
            media_cpu(trials)
            beside = trials.book.read("media", RTPENGINE)
        if beside is not None:
            trials.note("media-kernel", RTPENGINE, beside)


def relaying() -> MakeBox:
    """Make a Screendoor that relays in its process, as rtpengine does."""
    return partial(Screendoor, mode="relay")


def switch(trials: Trials) -> None:
    """The longest silence of several calls at the switch to the phone."""
    with trials.trying("switch", US):
        command = [sys.executable, "-m", "bench.switch", str(trials.extent.switches)]
        ran = subprocess.run(
            command, cwd=media.ROOT, capture_output=True, text=True, timeout=30 * trials.extent.switches,
            check=True,
        )  # fmt: skip
        gaps, usual = zip(*json.loads(ran.stdout), strict=True)
        trials.note("switch", US, max(gaps))
        trials.note("switch", BEFORE, max(usual))


def beside(trials: Trials) -> None:
    """How long a caller waits for an answer while 500 other calls have audio, and while they are silent."""
    seconds = trials.extent.latency_s
    for name, talking in ((QUIET, False), (US, True)):
        with trials.trying("beside", US), media.calls(relaying(), STREAMS // 2) as calls:
            ports = calls.ports if talking else media.straight(calls.sockets, STREAMS)
            with media.speaking(calls.sockets, ports, seconds + 4) as speakers:
                media.warmed(speakers)
                waited = probed(calls.place.near, calls.place.far, seconds)
            trials.note("beside-50", name, waited.answered[0])
            trials.note("beside-99", name, waited.answered[1])


def _late(
    trials: Trials,
    measure: str,
    makes: Mapping[str, MakeBox],
    streams: int,
    warm_again_s: float = media.WARM_AGAIN_S,
) -> None:
    heard = media.alternately(makes, streams, trials.extent.slices, warm_again_s)
    direct = heard.pop(media.STRAIGHT)
    for name, runs in heard.items():
        system = US if name == HERE else name
        _doubt(trials, measure, system, *runs)
        for part, late in (("50", attrgetter("p50_us")), ("99", attrgetter("p99_us"))):
            added = median(map(late, runs)) - median(map(late, direct))
            if name != HERE:
                trials.note(f"{measure}-{part}", name, added)
            if HERE in heard and name != US:
                trials.note(f"{measure}-{HERE}-{part}", system, added)
    if HERE in heard and min(run.in_kernel for run in heard[US]) < MAX_IN_KERNEL * streams:
        trials.book.remark(f"{measure}: the kernel forwards too little for us here: as shipped is as `relay`")


def _cpu(trials: Trials, measure: str, *, secure: bool = False) -> None:
    for name in trials.present((US, RTPENGINE)):
        with trials.trying(measure, name):
            make = relaying() if name == US else SYSTEMS[name].make
            run = _run(trials, measure, name, make, STREAMS, secure=secure)
            trials.note(measure, name, run.cpu_us)


def _run(
    trials: Trials, measure: str, name: str, make: MakeBox, streams: int, *, secure: bool = False
) -> RelayResult:
    run = media.relayed(make, streams, trials.extent.media_s, secure=secure)
    _doubt(trials, measure, name, run)
    return run


def _doubt(trials: Trials, measure: str, name: str, *runs: RelayResult) -> None:
    lost, silent = max(run.lost for run in runs), max(run.silent for run in runs)
    if lost > MAX_LOST:
        trials.book.remark(f"{measure}: {label(name)} lost {lost:.1%} of the packets")
    if silent:
        trials.book.remark(f"{measure}: of {silent} streams through {label(name)} nothing came back")
