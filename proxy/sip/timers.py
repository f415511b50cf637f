"""The timer values of SIP transactions (RFC 3261 §17 and Table 4, RFC 6026 §8.9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Timers:
    """SIP timer values in seconds.

    Only T1, T2 and T4 are configurable; the other timers derive from them. Values are for unreliable
    transports: the transaction machines know which timers are zero, or not set, on a reliable one.
    """

    t1: float = 0.5
    """Round-trip time estimate (§17.1.1.1)."""
    t2: float = 4.0
    """Longest interval between retransmissions of non-INVITE requests and INVITE responses."""
    t4: float = 5.0
    """Longest time a message stays in the network."""

    @cached_property
    def a(self) -> float:
        """First INVITE retransmission; doubles each time (§17.1.1.2)."""
        return self.t1

    @cached_property
    def b(self) -> float:
        """INVITE client gives up (§17.1.1.2)."""
        return 64 * self.t1

    @cached_property
    def d(self) -> float:
        """INVITE client answers repeated 300-699 with ACK: at least 32 s (§17.1.1.2)."""
        return max(32.0, 64 * self.t1)

    @cached_property
    def e(self) -> float:
        """First non-INVITE retransmission; doubles up to T2 (§17.1.2.2)."""
        return self.t1

    @cached_property
    def e_at_t2(self) -> float:
        """Delay from a request until its timer E reaches T2, when a 100 may be sent (RFC 4320 §4.1)."""
        interval, passed = self.e, 0.0
        while interval < self.t2:
            passed, interval = passed + interval, 2 * interval
        return passed

    @cached_property
    def f(self) -> float:
        """Non-INVITE client gives up (§17.1.2.2)."""
        return 64 * self.t1

    @cached_property
    def g(self) -> float:
        """First retransmission of a 300-699 to an INVITE; doubles up to T2 (§17.2.1)."""
        return self.t1

    @cached_property
    def h(self) -> float:
        """INVITE server waits for the ACK (§17.2.1)."""
        return 64 * self.t1

    @cached_property
    def i(self) -> float:
        """INVITE server absorbs repeated ACKs (§17.2.1)."""
        return self.t4

    @cached_property
    def j(self) -> float:
        """Non-INVITE server answers repeated requests (§17.2.2)."""
        return 64 * self.t1

    @cached_property
    def k(self) -> float:
        """Non-INVITE client absorbs repeated responses (§17.1.2.2)."""
        return self.t4

    @cached_property
    def l(self) -> float:  # noqa: E743 (the RFC's letter)
        """INVITE server absorbs repeated INVITEs after a 2xx (RFC 6026 §7.1)."""
        return 64 * self.t1

    @cached_property
    def m(self) -> float:
        """INVITE client passes repeated and forked 2xx up (RFC 6026 §7.2)."""
        return 64 * self.t1
