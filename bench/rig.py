"""A middle box between SIPp callers and a SIPp callee, and the cost of a load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.accounting import Tally
from bench.place import Place
from bench.process import Program
from bench.sipp import HOLD_MS, PATIENCE_S, Callee, Caller
from proxy.transport.devcert import write_certificates
from tests.sipp.ports import free_port
from tests.sipp.process import installed

BOX_CORE: Final = 0
PEERS_CORE: Final = 1
"""Both SIPps, the TLS terminator and the probe share the other CPU."""
WARM_S = 1.0

GATE = """\
foreground = yes
pid =
debug = warning
[callee]
accept = 127.0.0.1:{gate}
connect = 127.0.0.1:{port}
cert = {folder}/fullchain.pem
key = {folder}/privkey.pem
TIMEOUTclose = 0
"""

MakeBox = Callable[[Place], Program]


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of one load, and whether it succeeded."""

    cpu_ms: float
    """User and system time of all processes of the middle box, per answered call."""
    caller: Tally
    callee: Tally
    elapsed_s: float
    """From the first call to the end of the last."""

    @property
    def trouble(self) -> float:
        """Failures and retransmissions of both SIPps, per call placed."""
        return (self.caller.trouble + self.callee.trouble) / max(self.caller.created, 1)


class Rig:
    """A middle box ready for calls."""

    def __init__(self, place: Place, callee: Callee, box: Program) -> None:
        self.place, self.callee, self.box = place, callee, box

    def calls(
        self, rate: int, seconds: float, *, hold_ms: int = HOLD_MS, patience_s: float = PATIENCE_S
    ) -> Caller:
        """Start a caller; leaving its block stops it."""
        return Caller(
            self.place.folder,
            self.place.near,
            rate=rate,
            calls=round(rate * seconds),
            hold_ms=hold_ms,
            patience_s=patience_s,
            core=PEERS_CORE,
        )

    def warm(self, rate: int, seconds: float = WARM_S) -> None:
        """Place some calls first, to load code, fill pools and open the TLS connection."""
        with self.calls(rate, seconds) as caller:
            caller.finish()

    def load(self, rate: int, seconds: float, *, patience_s: float = PATIENCE_S) -> Run:
        """Place calls at this rate and measure their cost. AssertionError if SIPp did not start."""
        before, spent, began = self.callee.settled(), self.box.cpu_s, time.monotonic()
        with self.calls(rate, seconds, patience_s=patience_s) as caller:
            ours, elapsed_s = caller.finish(), time.monotonic() - began
        assert ours.created, "SIPp has made no call"  # else the cost would seem to be zero
        theirs, spent = self.callee.settled() - before, self.box.cpu_s - spent
        return Run(1000 * spent / max(ours.good, 1), ours, theirs, elapsed_s)


@contextmanager
def rig(make: MakeBox, *, secure: bool = False, probe: int | None = None, calls: int = 2000) -> Iterator[Rig]:
    """A callee and a middle box before it, with a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="screendoor-bench-") as name, ExitStack() as stack:
        folder, far = Path(name), free_port()
        if secure:
            callee = _behind_tls(folder, far, stack)
        else:
            callee = stack.enter_context(Callee(folder, far, core=PEERS_CORE))
        place = Place(folder, free_port(), far, secure, probe, BOX_CORE, calls)
        box = stack.enter_context(make(place))
        time.sleep(0.5)
        yield Rig(place, callee, box)


def _behind_tls(folder: Path, gate: int, stack: ExitStack) -> Callee:
    """Put stunnel before the callee: Debian's SIPp has no TLS. Its CPU time is not counted."""
    write_certificates(folder, ["localhost", "127.0.0.1"])
    port = free_port()
    callee = Callee(
        folder, port, transport="tcp", contact_port=gate, contact_param=";transport=tls", core=PEERS_CORE
    )
    stack.enter_context(callee)
    settings = folder / "stunnel.conf"
    settings.write_text(GATE.format(gate=gate, port=port, folder=folder), encoding="utf-8")
    terminator = Program(
        [installed("stunnel4", "stunnel4"), str(settings)],
        folder / "stunnel.log",
        cwd=folder,
        core=PEERS_CORE,
    )
    stack.enter_context(terminator)
    terminator.wait_for_port("tcp", gate)
    return callee
