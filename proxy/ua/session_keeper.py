"""The session timer of one leg (RFC 4028): a peer that falls silent is noticed, a refresh of ours is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.sip.session import Expired, Refresh, SessionTimer
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class SessionKeeper:
    """Runs the timer that the peer asked for, in its INVITE or in its 2xx to ours; idle where it did not."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._timer: SessionTimer | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @staticmethod
    def too_small(request: Request) -> list[tuple[str, str]] | None:
        """Headers of the 422 owed to an interval that is too small (§9), else None; raises ParseError."""
        asked = SessionTimer.answering(request)
        return list(asked.headers) if asked.too_small else None

    def answering(self, invite: Request) -> list[tuple[str, str]]:
        """Headers for the 2xx to the INVITE that begins the leg; the clock starts."""
        self._timer = SessionTimer.answering(invite)
        self._timer.start(self._now())
        self._arm()
        return list(self._timer.headers)

    def agreed(self, response: Response) -> None:
        """The 2xx to our first INVITE is in: the peer may want a timer though we asked for none (§7.2)."""
        self._timer = SessionTimer.offering()
        self.answered(response)

    def answered(self, response: Response) -> None:
        """The peer has answered our INVITE."""
        if self._timer is None:
            return
        try:
            self._timer.refreshed(self._now(), response)
        except ParseError as error:
            self._leg.log.warning("session timer not understood", reason=str(error))
        self._arm()

    def refreshed(self, request: Request) -> list[tuple[str, str]]:
        """Headers for our 2xx to the peer's re-INVITE or UPDATE; raises ParseError."""
        if self._timer is None:
            return []
        self._timer.refreshed(self._now(), request)
        self._arm()
        return list(self._timer.headers)

    def headers(self) -> list[tuple[str, str]]:
        """What a re-INVITE of ours carries, lest it switch the timer off (§7.4)."""
        return [] if self._timer is None else list(self._timer.refresh_headers)

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self) -> None:
        self.stop()
        if self._timer is not None and self._timer.deadline is not None and not self._leg.ended.done():
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_at(self._timer.deadline, self._expire, self._timer.deadline)

    def _expire(self, due: float) -> None:
        assert self._timer is not None
        for effect in self._timer.expire(max(self._now(), due)):
            match effect:
                case Refresh():
                    self._leg.core.spawn(self._refresh())
                case Expired():
                    self._leg.lost(EndReason.SESSION_EXPIRED)
        self._arm()

    async def _refresh(self) -> None:
        try:
            await self._leg.refresh()
        except SipError as error:
            self._leg.log.debug("session not refreshed", answer=str(error))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
