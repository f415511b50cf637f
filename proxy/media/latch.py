"""Who may be a leg's peer: the source its packets are taken from, and sent to (symmetric RTP, RFC 4961).

SDP often names an address that packets do not come from: carriers send from another port or machine, and NATs
from another address. So the first valid packet decides, and locks. From then on the lock moves only to

- the address that the peer's SDP names, at any time: a stranger may have been faster;
- whoever goes on with the very line heard so far (SSRC and sequence number) once its old source is silent: a
  NAT that gave the peer another port or address; a stranger does not know the 32 bits of the SSRC;
- whoever has the SRTP key, likewise: there a stranger does not get this far;
- another port of the same machine once the old one has long been silent: the peer has started anew.

A re-INVITE that names another address opens the lock; one that repeats the address does not. What comes from
the old source for a moment longer was on its way: it is heard, and the lock stays open. Nobody else gets in,
however long the silence: such a call ends by its inactivity, not in a stranger's hands.
"""

from __future__ import annotations

from proxy.media.udp import Address

REBOUND_S = 0.2
"""Silence after which the same line may come from elsewhere: ten packets' time."""
RESTARTED_S = 3.0
"""Silence after which the same machine may begin a new line from another port."""
MOVING_S = 1.0
"""So long after the peer has named another address its old source is heard, and not sent to."""


def may_take(
    source: Address, *, holder: Address | None, named: Address | None, silent_s: float, same_line: bool
) -> bool:
    """Whether a source becomes the peer's. `holder`: who is it now; `named`: the address in the peer's SDP;
    `same_line`: its SSRC and number go on with what the holder said, or it has the key.
    """
    if holder is None or source == named:
        return True
    if same_line:
        return silent_s >= REBOUND_S
    return source[0] == holder[0] and silent_s >= RESTARTED_S
