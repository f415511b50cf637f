"""The systems measured: how each is started, and whether it is installed."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.peers import kamailio, rtpengine, venv
from bench.peers.aiosipua import Aiosipua
from bench.peers.kamailio import Kamailio
from bench.peers.minimal import Minimal
from bench.peers.rtpengine import Rtpengine
from bench.peers.screendoor import Screendoor
from bench.peers.sippy import Sippy
from bench.rig import MakeBox
from proxy.version import VERSION


@dataclass(frozen=True, slots=True)
class System:
    """A middle box of the table."""

    name: str
    """Its name on the command line."""
    label: str
    make: MakeBox
    version: Callable[[], str]
    """Returns the version; AssertionError, which says what to install, if it is not installed."""


US: Final = "screendoor"
STOCK, TUNED = "kamailio", "kamailio-fm"
HIDING, TUNED_HIDING = "topoh", "topoh-fm"
SIPPY, AIOSIPUA, MINIMAL = "sippy", "aiosipua", "minimal"
RTPENGINE: Final = "rtpengine"

SYSTEMS: Final = {
    system.name: system
    for system in (
        System(US, "Screendoor", Screendoor, lambda: VERSION),
        System(STOCK, "Kamailio as installed", partial(Kamailio, fast=False), kamailio.version),
        System(TUNED, "Kamailio `-x fm -X fm`", partial(Kamailio, fast=True), kamailio.version),
        System(
            HIDING,
            "Kamailio + topoh as installed",
            partial(Kamailio, fast=False, topoh=True),
            kamailio.version,
        ),
        System(
            TUNED_HIDING,
            "Kamailio + topoh `-x fm -X fm`",
            partial(Kamailio, fast=True, topoh=True),
            kamailio.version,
        ),
        System(SIPPY, "Sippy B2BUA", Sippy, lambda: venv.version("sippy")),
        System(AIOSIPUA, "aiosipua as a B2BUA", Aiosipua, lambda: venv.version("aiosipua")),
        System(MINIMAL, "minimal B2BUA in Python", Minimal, platform.python_version),
        System(RTPENGINE, "rtpengine in userspace", Rtpengine, rtpengine.version),
    )
}


def missing(name: str, *, secure: bool = False) -> str | None:
    """Return what to install before this system can be measured; None if it can."""
    try:
        SYSTEMS[name].version()
    except AssertionError as reason:
        return str(reason)
    if secure and shutil.which("stunnel4") is None:
        return "stunnel4 is not installed: apt-get install stunnel4"
    if secure and name in (STOCK, TUNED) and not kamailio.speaks_tls():
        return "Kamailio's TLS module is not installed: apt-get install kamailio-tls-modules"
    return None
