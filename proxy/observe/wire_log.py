"""Every message in the log, whole, at DEBUG."""

from __future__ import annotations

import structlog

from proxy.observe.masking import masked
from proxy.observe.trace import end
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow

log = structlog.get_logger("screendoor")


def log_message(direction: str, flow: Flow, message: Request | Response) -> None:
    """`<` received, `>` sent; secrets are crossed out."""
    lines = masked(message.encode()).decode("utf-8", "replace").splitlines()
    log.debug(direction, peer=f"{flow.transport}:{end(flow.remote)}", message="\n".join(lines))
