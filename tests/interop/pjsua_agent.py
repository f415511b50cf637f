"""Controls PJSIP, a widely used SIP stack in C, as a peer of the edge (GPL, so for tests only)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.interop.baresip_agent import Baresip
from tests.sipp.ports import free_block
from tests.sipp.process import until


class Pjsua(Baresip):
    """A running PJSIP, with the same commands and events as baresip.

    It listens on `port` over UDP, and on the next port over TLS if it is given a folder of `certificates`.
    """

    child = "tests.interop.pjsua_child"

    def __init__(
        self, folder: Path, *, name: str, user: str, port: int, tone: int,
        certificates: Path | None = None, srtp: str = "off", suite: str = "",
    ) -> None:  # fmt: skip
        """`suite`: the only SRTP crypto suite it uses; empty: all that it supports."""
        self._own = {
            "certificates": str(certificates) if certificates else None,
            "srtp": srtp,
            "suite": suite,
            "rtp_port": free_block(8),
        }
        super().__init__(folder, name=name, user=user, port=port, tone=tone)

    def settings(self) -> dict[str, object]:
        return self._own

    def messages(self, direction: str) -> list[str]:
        """The messages it has sent ("TX") or received ("RX") so far."""
        parts = re.split(r"^.*?([TR]X) \d+ bytes .*:$", self.printed, flags=re.MULTILINE)
        return [text.lstrip() for way, text in zip(parts[1::2], parts[2::2], strict=True) if way == direction]

    def notified(self) -> list[int]:
        """The statuses that the NOTIFYs report for its REFER; waits for the last one.

        They are read from the messages, as PJSIP's callback also fires for the 202, unless a NOTIFY arrives
        first on another connection.
        """
        until(lambda: any(event["final"] for event in self.events("notified")), f"{self.name} is notified")
        notifies = [text for text in self.messages("RX") if text.startswith("NOTIFY")]
        return [int(status) for text in notifies for status in re.findall(r"^SIP/2\.0 (\d+) ", text, re.M)]
