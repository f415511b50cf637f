"""Latching: which source address counts as the peer, to receive from and send to (symmetric RTP, RFC 4961).

SDP often names an address that packets do not come from: carriers send from another port or machine, and NATs
rewrite addresses. So we latch onto the source of the first valid packet. From then on the latch moves only to

- the address in the peer's SDP, at any time: a stranger's packet may have come first;
- a source that continues the same stream (SSRC and sequence numbers) once the old source is silent: a NAT
  gave the peer another port or address; a stranger does not know the 32 bits of the SSRC;
- a source whose packets pass SRTP authentication, likewise: a stranger's do not get this far;
- another port of the same host once the old one has been silent for long: the peer has restarted.

A re-INVITE that names another address opens the latch; one that repeats the address does not. For a moment
longer, packets from the old source count as in flight: they are heard, and the latch stays open. Nobody else
gets in, however long the silence: such a call ends for inactivity rather than in a stranger's hands.
"""

from __future__ import annotations

from proxy.media.udp import Address

REBOUND_S = 0.2
"""Silence after which the same stream may come from another address: the time of ten packets."""
RESTARTED_S = 3.0
"""Silence after which the same host may start a new stream from another port."""
MOVING_S = 1.0
"""How long the old source is still heard (but not sent to) after the peer's SDP names another address."""


def may_take(
    source: Address, *, holder: Address | None, named: Address | None, silent_s: float, same_line: bool
) -> bool:
    """Whether the latch may move to this source. `holder`: the present one; `named`: the address in the
    peer's SDP; `same_line`: the packet continues the holder's stream, or is authentic under its SRTP key.
    """
    if holder is None or source == named:
        return True
    if same_line:
        return silent_s >= REBOUND_S
    return source[0] == holder[0] and silent_s >= RESTARTED_S
