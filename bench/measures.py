"""The measures of signalling; each covers all the systems it compares, for one repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench import latency, media_measures, memory, parse, policy, screening
from bench.latency import Latency
from bench.rig import rig
from bench.sustained import STEPS, sustained
from bench.systems import AIOSIPUA, HIDING, MINIMAL, SIPPY, STOCK, SYSTEMS, TUNED, TUNED_HIDING, US
from bench.table import SIPMESSAGE
from bench.trials import Trials, label

MAX_TROUBLE: Final = 0.01
"""A run with a larger share of failures and retransmissions gets a remark."""
COARSE: Final = (400, 800, 1200)
"""Rates of a quick search."""


class Bench(Trials):
    """Measures signalling."""

    def cpu(self) -> None:
        """CPU per call, UDP to UDP."""
        self._load("cpu", 500, (US, STOCK, TUNED, MINIMAL))

    def small(self) -> None:
        """The same at rates that the slower peers can handle."""
        self._load("cpu", 200, (US, HIDING, TUNED_HIDING, AIOSIPUA, MINIMAL))
        self._load("cpu", 50, (US, SIPPY, MINIMAL))

    def tls(self) -> None:
        """CPU per call, UDP to TLS."""
        self._load("tls", 500, (US, STOCK, TUNED), secure=True)

    def sustained(self) -> None:
        """The highest rate on one core; that of peers, which is only for information, once."""
        steps = COARSE if self.quick else STEPS
        for name in self.present((US,) if self.quick else (US, STOCK, TUNED)):
            if ("sustained", name) not in self.rested:
                with self.trying("sustained", name):
                    start = 2000 if name == TUNED else 800
                    rate = sustained(SYSTEMS[name].make, self.extent.sustained_s, steps=steps, start=start)
                    self.note("sustained", name, rate)
                    if rate == steps[-1]:
                        self.book.remark(
                            f"sustained: {label(name)} kept {rate} calls/s, and more was not tried"
                        )
                if name != US:
                    self.rested.add(("sustained", name))

    def latency(self) -> None:
        """The delay that the middle box adds for a caller."""
        with self.trying("latency", US):
            direct = latency.direct(SYSTEMS[US].make, self.extent.latency_s)
            for name in self.present((US, STOCK, TUNED)):
                with self.trying("latency", name):
                    self._added(name, latency.through(SYSTEMS[name].make, self.extent.latency_s) - direct)

    def _added(self, name: str, added: Latency) -> None:
        if added.lost:
            self.book.remark(f"latency: {added.lost} calls of the probe were lost by {label(name)}")
        for word, (p50, p99) in zip(("arrived", "rang", "answered"), added.spans, strict=True):
            self.note(f"{word}-50", name, p50)
            self.note(f"{word}-99", name, p99)

    def memory(self) -> None:
        """Memory per open call; once, since it hardly varies."""
        calls = memory.max_calls(self.extent.memory_calls)
        if calls < self.extent.memory_calls:
            self.book.remark(f"memory: {calls} calls, as many as the limit of open files allows")
        for name in self.present((US,) if self.quick else (US, STOCK, TUNED)):
            if ("memory", name) not in self.rested:
                with self.trying("memory", name):
                    self.note("memory", name, memory.memory(SYSTEMS[name].make, calls).per_call)
                    self.rested.add(("memory", name))

    def parse(self) -> None:
        """Parsing and serialising one INVITE."""
        with self.trying("parse", US):
            ours, theirs = parse.parse()
            self.note("parse", US, ours)
            self.note("parse", SIPMESSAGE, theirs)

    def policy(self) -> None:
        """The policy's decision before anything rings: 100,000 contacts, 10,000 patterns."""
        with self.trying("policy", US):
            a_call, memory_mib = policy.policy()
            self.note("policy", US, a_call)
            self.note("policy-memory", US, memory_mib)

    def _load(self, measure: str, rate: int, names: Sequence[str], *, secure: bool = False) -> None:
        for name in self.present(names, secure=secure):
            with self.trying(f"{measure}-{rate}", name), rig(SYSTEMS[name].make, secure=secure) as stand:
                stand.warm(rate)
                run = stand.load(rate, self.extent.load_s)
                self.note(f"{measure}-{rate}", name, run.cpu_ms)
                if run.trouble > MAX_TROUBLE:
                    failed = run.caller.failed + run.callee.failed
                    resent = run.caller.resent + run.callee.resent
                    self.book.remark(
                        f"{measure}-{rate}: {label(name)} had {failed} failures and "
                        f"{resent} retransmissions in {run.caller.created} calls"
                    )


MEASURES: Final[dict[str, Callable[[Bench], None]]] = {
    "cpu": Bench.cpu,
    "small": Bench.small,
    "tls": Bench.tls,
    "latency": Bench.latency,
    "sustained": Bench.sustained,
    "memory": Bench.memory,
    "parse": Bench.parse,
    "policy": Bench.policy,
    "decision": screening.decision,
    "crowd": screening.crowd,
    "media": media_measures.media_cpu,
    "media-latency": media_measures.latency,
    "media-srtp": media_measures.srtp,
    "media-kernel": media_measures.kernel,
    "media-switch": media_measures.switch,
    "media-beside": media_measures.beside,
}
