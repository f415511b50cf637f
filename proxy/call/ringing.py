"""Rings the phones of one call, several at once if so configured, and those that register meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from proxy.call.destinations import DestinationQueue
from proxy.call.invite_builder import InviteBuilder
from proxy.call.legs import Legs
from proxy.call.outcome import NOT_TAKEN, NotRegistered
from proxy.call.race import Race, best
from proxy.call.routing import Destination, Number
from proxy.call.whisper import Whisper
from proxy.sip.errors import SipError
from proxy.sip.uri import Uri
from proxy.transport.flow import TransportFailed
from proxy.ua.bindings import MAX_CONTACTS, Binding, newest_per_device
from proxy.ua.contact_tracking import ContactTracker
from proxy.ua.errors import TransactionTimeout
from proxy.ua.leg import Leg
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from proxy.ua.scope import limit

if TYPE_CHECKING:
    from proxy.call.context import CallContext

Invite = tuple[Leg, Outgoing]


class Ringing:
    """Rings the destinations of one call. Its phone legs are ``phone``, ``phone 2`` and so on."""

    __slots__ = (
        "_context", "_counted", "_destinations", "_ends_at", "_invite_builder", "_leg_count", "_legs",
        "_number", "_queue", "_race", "_trackers", "_whisper",
    )  # fmt: skip

    def __init__(
        self,
        context: CallContext,
        number: Number,
        legs: Legs,
        invite_builder: InviteBuilder,
        queue: DestinationQueue,
        whisper: Whisper | None,
    ) -> None:
        """`queue` learns of refusals; `whisper` talks to whoever picks up, None if nothing is to be said."""
        self._context, self._number, self._legs = context, number, legs
        self._invite_builder, self._queue, self._whisper = invite_builder, queue, whisper
        self._destinations: dict[Leg, Destination] = {}
        """The destination that each leg calls; removed once the leg has failed."""
        self._trackers: dict[Leg, ContactTracker] = {}
        """The contacts of registered phones that are ringing or have declined."""
        self._counted: set[Destination] = set()
        self._leg_count = 0
        """How many legs the present group of destinations has had."""
        self._race: Race | None = None
        """The race of the present group, if there is one."""
        self._ends_at: float
        """The time at which the present group stops ringing."""

    async def ring(self, destinations: Sequence[Destination]) -> Leg:
        """Ring these destinations at once; return the leg that took the call. The others are cancelled.

        If none does, raises the best failure (see `best`), or LimitReached.
        """
        self._trackers.clear()
        self._leg_count, self._race = 0, None
        self._ends_at = self._context.core.timer_queue.now() + self._number.ring_limit_s
        phones = {destination.phone: destination for destination in destinations if destination.phone}
        invites = self._begin_legs(destinations)
        try:
            if len(invites) == 1 and not phones:  # the usual case; it needs no task
                winner, outgoing = invites[0]
                await self._attempt(winner, outgoing, self._left_s)
            else:
                winner = await self._first_to_answer(invites, phones)
        except NOT_TAKEN as failure:
            for leg in list(self._destinations):
                self._leg_failed(leg, failure)
            raise
        self._legs.journal.answered(winner.name)
        return winner

    def _begin_legs(self, destinations: Iterable[Destination]) -> list[Invite]:
        """Begin a leg to every destination that can be called; raises the best failure if there is none."""
        invites: list[Invite] = []
        failures: list[SipError] = []
        for destination in destinations:
            try:
                for outgoing in self._invites(destination):
                    invites.append((self._leg(destination, outgoing), outgoing))
            except NOT_TAKEN as failure:
                self._legs.journal.step("not called", str(failure))
                failures.append(failure)
        if not invites:
            raise best(failures)
        return invites

    def _invites(self, destination: Destination) -> tuple[Outgoing, ...]:
        """The INVITEs to one destination: several if it is a phone registered with several contacts."""
        contacts = self._context.phones(destination.phone) if destination.phone else ()
        if destination.phone and not contacts:
            raise NotRegistered(f"{destination.phone} is not registered")
        self._count_call(destination)
        outgoing = self._invite_builder.to_phone(destination)
        if not contacts:
            return (outgoing,)
        return tuple(
            self._invite_contact(each, contacts, destination, outgoing)
            for each in newest_per_device(contacts)
        )

    def _invite_contact(
        self, contact: Binding, contacts: Sequence[Binding], destination: Destination, outgoing: Outgoing
    ) -> Outgoing:
        """The INVITE to one of the contacts that a phone has at present."""
        tracker = ContactTracker(self._context.phones, destination.phone or "", contact, contacts)
        other_flow = tracker.other_flow if tracker.other_flow(contact.flow) is not None else None
        return outgoing._replace(
            uri=contact.uri, flow=contact.flow, current_flow=tracker, other_flow=other_flow
        )

    def _count_call(self, destination: Destination) -> None:
        """Count one call to the destination, however many contacts it has; TransportFailed over its cap."""
        if (max_calls := self._number.calls_per_destination_per_hour) and destination not in self._counted:
            self._context.destination_caps.charge(destination.uri, max_calls)
            self._counted.add(destination)

    def _leg(self, destination: Destination, outgoing: Outgoing) -> Leg:
        self._leg_count += 1
        name = f"phone {self._leg_count}" if self._leg_count > 1 else "phone"
        leg = self._legs.begin(name, outgoing.uri, destination.srtp_policy)
        self._destinations[leg] = destination
        if isinstance(outgoing.current_flow, ContactTracker):
            self._trackers[leg] = outgoing.current_flow
        return leg

    async def _first_to_answer(self, invites: Iterable[Invite], phones: Mapping[str, Destination]) -> Leg:
        """The first leg that takes the call; contacts of `phones` that register meanwhile join the race."""
        race = self._race = Race(self._leg_failed, self._dismiss)
        for leg, outgoing in invites:
            race.enter(leg, self._attempt(leg, outgoing, self._left_s))
        with self._context.new_contacts.watching(
            phones, partial(self._phone_registered, race, phones, self._leg_count)
        ):
            return await race.winner()

    def _phone_registered(
        self, race: Race, phones: Mapping[str, Destination], legs_before: int, name: str
    ) -> None:
        """Ring the new contacts of a phone that has just registered, for as long as the others still ring.

        A device that rings already, or has declined, is not called again, wherever it registers from.
        """
        trackers = {leg: where for leg, where in self._trackers.items() if where.name == name}
        flows = [leg.follow_phone() for leg in trackers]  # legs whose device has moved follow it
        destination, contacts = phones[name], self._context.phones(name)
        for contact in newest_per_device(contacts):
            known = contact.flow in flows or any(each.matches(contact) for each in trackers.values())
            if not known and race.open and self._left_s > 0 and self._leg_count - legs_before < MAX_CONTACTS:
                try:
                    self._count_call(destination)
                except TransportFailed:
                    return
                outgoing = self._invite_contact(
                    contact, contacts, destination, self._invite_builder.to_phone(destination)
                )
                leg = self._leg(destination, outgoing)
                self._legs.journal.step("rung as well", f"{name} has registered")
                race.enter(leg, self._attempt(leg, outgoing, self._left_s))

    @property
    def _left_s(self) -> float:
        """Seconds for which the present group may ring on."""
        return self._ends_at - self._context.core.timer_queue.now()

    async def _attempt(self, leg: Leg, outgoing: Outgoing, seconds: float) -> None:
        """Call one phone for so many seconds."""
        whisper, confirmation = self._whisper, self._destinations[leg].confirm
        if whisper is not None:
            whisper.prepare(confirmation)
        async with limit(leg.core.timer_queue, seconds, EndReason.NO_ANSWER):
            await leg.invite(outgoing)
        if whisper is not None:
            await whisper.confirm(leg, confirmation)

    def _leg_failed(self, leg: Leg, failure: SipError) -> bool:
        """Record that a leg did not take the call, and end it; returns whether others ring in its place."""
        if isinstance(failure, TransportFailed | TransactionTimeout):
            self._trackers.pop(leg, None)  # the INVITE may never have reached its phone
        if (destination := self._destinations.pop(leg, None)) is not None:
            self._legs.journal.leg_failed(leg.name, failure)
            leg.end(EndReason.NO_ANSWER)
            if (note := self._queue.refused(destination, failure, partial(_our_hosts, leg))) is not None:
                self._legs.journal.step(*note)
        return self._ring_redirected()

    def _ring_redirected(self) -> bool:
        """While other phones ring, ring at once where one has sent the call (RFC 3261 §16.7, step 4).

        If none rings any more, the redirection is followed by the next group.
        """
        if self._race is None or not self._race.is_under_way or not (group := self._queue.redirected_group()):
            return False
        try:
            invites = self._begin_legs(group)
        except NOT_TAKEN:
            return False
        for leg, outgoing in invites:
            self._race.enter(leg, self._attempt(leg, outgoing, self._number.ring_limit_s))
        return True

    def _dismiss(self, leg: Leg, reason: EndReason) -> None:
        """End a leg that is not needed any more."""
        self._destinations.pop(leg, None)
        leg.end(reason)


def _our_hosts(leg: Leg) -> set[str]:
    """How the phone of this leg may write our address: the public one, or that of its private network."""
    advertised = leg.core.advertised
    here = Uri.parse(f"sip:{advertised.towards(leg.flow)}").host
    return {host.lower() for host in (advertised.host, advertised.host6, here) if host}
