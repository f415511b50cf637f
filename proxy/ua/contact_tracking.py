"""Tracks the flow of a registered phone during a call, since it may register again from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.transport.flow import Flow
from proxy.ua.bindings import Binding, newest_per_device

BindingLookup = Callable[[str], Sequence[Binding]]
"""Returns the live bindings of a phone, by its name."""


def no_bindings(name: str) -> Sequence[Binding]:
    """The `BindingLookup` of a core without configured phones."""
    return ()


class ContactTracker:
    """Finds the device that was called at one contact, among contacts that may belong to other devices."""

    __slots__ = ("_contact", "_others", "_phones", "_registered", "name")

    def __init__(
        self, phones: BindingLookup, name: str, contact: Binding, all_contacts: Sequence[Binding]
    ) -> None:
        """`all_contacts`: the contacts of the phone when it was called."""
        self._phones, self.name, self._contact = phones, name, contact
        self._others = tuple(each for each in all_contacts if not each.same_device(contact))
        self._registered = contact.flow

    def __call__(self, flow: Flow) -> Flow | None:
        """The device's current flow, given its last one; None if that is closed and no other is known.

        A flow that the device moved to by re-INVITE stays valid until it registers elsewhere, even if the old
        one still seems open.
        """
        found = self._found(closed=flow.closed)
        if len(found) != 1 or (found[0].flow == self._registered and not flow.closed):
            return None if flow.closed else flow
        self._registered = found[0].flow
        return self._registered

    def other_flow(self, flow: Flow) -> Flow | None:
        """The next flow, in turn, of a device that has registered over several; None if there is no other.

        RFC 5626 §7: a flow that fails is replaced by another one of the same instance, never used beside it.
        """
        ways = [each for each in self._phones(self.name) if each.another_way_to(self._contact)]
        flows = [each.flow for each in sorted(ways, key=lambda each: -each.registered_at)]
        after = flows[flows.index(flow) + 1 :] if flow in flows else []
        return next((each for each in (*after, *flows) if each != flow), None)

    def matches(self, contact: Binding) -> bool:
        """Whether this contact certainly belongs to the device that was called."""
        return contact.same_device(self._contact)

    def _found(self, *, closed: bool) -> Sequence[Binding]:
        """Its bindings now: its own latest, or else those that belong to no other known device."""
        living = self._phones(self.name)
        if own := newest_per_device([each for each in living if self.matches(each)]):
            return [each for each in own if each.replaces(self._contact)] or own
        return [each for each in living if closed and not self._is_another(each)]

    def _is_another(self, binding: Binding) -> bool:
        return any(binding.same_device(each) for each in self._others)
