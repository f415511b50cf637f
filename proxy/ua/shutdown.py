"""What is still to be said when every call is over: BYE and CANCEL may be lost, challenged, or unsent."""

from __future__ import annotations

import asyncio

from proxy.ua.core import UserAgentCore

PATIENCE_S = 4.0
"""How long a peer that does not answer is waited for: its BYE has been sent four times by then (timer E)."""
_LOOK_S = 0.02
"""To be told of the end would cost every call; to look costs the last moment of a process."""
_ENDS = ("INVITE", "CANCEL", "BYE")


async def farewell(core: UserAgentCore, patience_s: float = PATIENCE_S) -> None:
    """Return when every peer knows that its call is over, or has been waited for long enough."""
    for _ in range(round(patience_s / _LOOK_S)):
        if not _speaking(core):
            return
        await asyncio.sleep(_LOOK_S)


def _speaking(core: UserAgentCore) -> bool:
    """A dialog has not ended, or an INVITE of ours is not cancelled, or its CANCEL not answered."""
    return core.left_over()["dialogs"] > 0 or any(
        transaction.request.method in _ENDS for transaction in core.clients.live()
    )
