"""The phones ring, several at once where it is so configured: the first confirmed answer wins (§16.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from proxy.call.introduction import Introduction
from proxy.call.legs import Legs
from proxy.call.outcome import NOT_TAKEN, NotRegistered, status_of
from proxy.call.places import Places
from proxy.call.routing import Destination, Number
from proxy.call.whisper import Whisper
from proxy.sip.errors import SipError
from proxy.ua.bindings import one_of_each
from proxy.ua.errors import Rejected
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.uac import Outgoing
from proxy.ua.up import limit
from proxy.ua.whereabouts import Whereabouts

if TYPE_CHECKING:
    from proxy.call.surroundings import Surroundings

GLOBAL_FAILURE = 600
"""From this status on nobody else is tried: it speaks for the user, not for one phone (RFC 3261 §16.7)."""


class Ringing:
    """Rings the destinations of one call. Its phone legs are ``phone``, ``phone 2`` and so on."""

    __slots__ = ("_around", "_introduction", "_legs", "_number", "_place", "_queue", "_whisper")

    def __init__(
        self,
        around: Surroundings,
        number: Number,
        legs: Legs,
        introduction: Introduction,
        queue: Places,
        whisper: Whisper | None,
    ) -> None:
        """`queue` hears who refused; `whisper` asks whoever picks up; None: nobody is asked."""
        self._around, self._number, self._legs = around, number, legs
        self._introduction, self._queue, self._whisper = introduction, queue, whisper
        self._place: dict[Leg, Destination] = {}
        """What each leg calls, until it is noted that it did not take the call."""

    async def answered(self, places: Iterable[Destination]) -> Leg:
        """Ring these places at once; return the leg that took the call. The others are cancelled.

        Raises how the best of them failed, or LimitReached.
        """
        invites = self._begun(places)
        try:
            if len(invites) == 1:  # as nearly always: no task for it
                winner, outgoing = invites[0]
                await self._attempt(winner, outgoing)
            else:
                winner = await self._first(invites)
        except NOT_TAKEN as failure:
            for leg, _ in invites:
                self._note(leg, failure)
            raise
        self._legs.scribe.answered(winner.name)
        return winner

    def _begun(self, places: Iterable[Destination]) -> list[tuple[Leg, Outgoing]]:
        """A leg to every destination that can be called; raises why, if there is none."""
        invites: list[tuple[Leg, Outgoing]] = []
        failures: list[SipError] = []
        for place in places:
            try:
                for outgoing in self._invites(place):
                    name = f"phone {len(invites) + 1}" if invites else "phone"
                    leg = self._legs.begin(name, outgoing.uri, place.secured_by)
                    self._place[leg] = place
                    invites.append((leg, outgoing))
            except NOT_TAKEN as failure:
                self._legs.scribe.step("not called", str(failure))
                failures.append(failure)
        if not invites:
            raise best(failures)
        return invites

    def _invites(self, place: Destination) -> tuple[Outgoing, ...]:
        """The INVITEs that one destination means: one for each contact of a registered phone."""
        around = self._around
        contacts = around.phones(place.phone) if place.phone else ()
        if place.phone and not contacts:
            raise NotRegistered(f"{place.phone} is not registered")
        if most := self._number.calls_per_destination_per_hour:
            around.tolls.charge(place.uri, most)
        outgoing = self._introduction.to_phone(place)
        if not contacts:
            return (outgoing,)
        phones, name = around.phones, place.phone or ""
        return tuple(
            outgoing._replace(uri=each.uri, flow=each.flow, anew=Whereabouts(phones, name, each, contacts))
            for each in one_of_each(contacts)
        )

    async def _first(self, invites: Sequence[tuple[Leg, Outgoing]]) -> Leg:
        attempts = {asyncio.ensure_future(self._attempt(*each)): each[0] for each in invites}
        try:
            winner = await self._race(attempts)
            for leg in attempts.values():
                if leg is not winner:
                    self._dismiss(leg, EndReason.ELSEWHERE)
            return winner
        finally:
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    async def _race(self, attempts: dict[asyncio.Task[None], Leg]) -> Leg:
        """The first leg that takes the call; raises the best failure when none does, or any can any more."""
        failures: list[SipError] = []
        waiting = set(attempts)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for attempt in [each for each in attempts if each in done]:  # of one tick, the first named
                try:
                    attempt.result()
                    return attempts[attempt]
                except NOT_TAKEN as failure:
                    self._note(attempts[attempt], failure)
                    failures.append(failure)
                    if status_of(failure) >= GLOBAL_FAILURE:
                        waiting = self._spared(failure, {each: attempts[each] for each in waiting})
        raise best(failures)

    def _spared(self, refusal: SipError, waiting: dict[asyncio.Task[None], Leg]) -> set[asyncio.Task[None]]:
        """Who may still take the call though one speaks for all: the others are ended.

        A phone's 6xx ends what rings, but hangs up on nobody who has picked up and is told who calls (§16.7).
        Whoever has picked up himself, and says no by a key, speaks for those as well.
        """
        by_phone = isinstance(refusal, Rejected)
        spared = {each for each, leg in waiting.items() if by_phone and leg.dialog is not None}
        for attempt in waiting.keys() - spared:
            self._dismiss(waiting[attempt], EndReason.DECLINED)
        return spared

    async def _attempt(self, leg: Leg, outgoing: Outgoing) -> None:
        whisper, wanted = self._whisper, self._place[leg].confirm
        if whisper is not None:
            whisper.prepare(wanted)
        async with limit(leg.core.alarms, self._number.ring_limit_s, EndReason.NO_ANSWER):
            await leg.invite(outgoing)
        if whisper is not None:
            await whisper.confirmed(leg, wanted)

    def _note(self, leg: Leg, failure: SipError) -> None:
        """This leg did not take the call."""
        if (place := self._place.pop(leg, None)) is not None:
            self._legs.scribe.not_taken(leg.name, failure)
            leg.end(EndReason.NO_ANSWER)
            if (note := self._queue.refused(place, failure)) is not None:
                self._legs.scribe.step(*note)

    def _dismiss(self, leg: Leg, reason: EndReason) -> None:
        """This leg is not wanted any more."""
        self._place.pop(leg, None)
        leg.end(reason)


def best(failures: Sequence[SipError]) -> SipError:
    """The failure that speaks for all (RFC 3261 §16.7): a 6xx, else of the lowest class, busy first."""

    def rank(failure: SipError) -> tuple[int, bool]:
        status = status_of(failure)
        return (0 if status >= GLOBAL_FAILURE else status // 100), status != 486

    return min(failures, key=rank)
