"""Finishing the signalling at shutdown: a BYE or CANCEL may be lost, challenged, or not yet sent."""

from __future__ import annotations

import asyncio

from proxy.ua.core import UserAgentCore

PATIENCE_S = 4.0
"""How long to wait for a peer that does not respond: its BYE has been sent four times by then (timer E)."""
_POLL_S = 0.02
"""Polling interval. A notification would cost every call; polling costs only a process about to end."""
_ENDS = ("INVITE", "CANCEL", "BYE")


async def finish_signalling(core: UserAgentCore, patience_s: float = PATIENCE_S) -> None:
    """Return once every peer knows that its call is over, or after `patience_s`."""
    for _ in range(round(patience_s / _POLL_S)):
        if not _signalling_open(core):
            return
        await asyncio.sleep(_POLL_S)


def _signalling_open(core: UserAgentCore) -> bool:
    """Whether a dialog has not ended, an INVITE of ours is not cancelled, or a CANCEL has no response."""
    return core.left_over()["dialogs"] > 0 or any(
        transaction.request.method in _ENDS for transaction in core.clients.live()
    )
