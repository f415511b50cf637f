"""PJSIP as one peer of the edge: the most widely used SIP stack of all, in C, and GPL: for tests alone."""

from __future__ import annotations

import re
from pathlib import Path

from tests.interop.baresip_agent import Baresip
from tests.sipp.ports import free_block
from tests.sipp.process import until


class Pjsua(Baresip):
    """A running PJSIP, which obeys and tells as baresip does.

    It listens on `port` with UDP, and with TLS on the next one if it has the `certificates` of a folder.
    """

    child = "tests.interop.pjsua_child"

    def __init__(
        self, folder: Path, *, name: str, user: str, port: int, tone: int,
        certificates: Path | None = None, srtp: str = "off", suite: str = "",
    ) -> None:  # fmt: skip
        """`suite`: the only one of SRTP that it speaks; empty: all of its own."""
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
        """What it has sent ("TX") or received ("RX") so far."""
        parts = re.split(r"^.*?([TR]X) \d+ bytes .*:$", self.said, flags=re.MULTILINE)
        return [text.lstrip() for way, text in zip(parts[1::2], parts[2::2], strict=True) if way == direction]

    def notified(self) -> list[int]:
        """What the NOTIFYs say of its REFER, once the last one has come.

        Its own callback takes the 202 for a NOTIFY too, unless one is there before it, on another connection.
        """
        until(lambda: any(event["final"] for event in self.events("notified")), f"{self.name} is notified")
        notifies = [text for text in self.messages("RX") if text.startswith("NOTIFY")]
        return [int(status) for text in notifies for status in re.findall(r"^SIP/2\.0 (\d+) ", text, re.M)]
