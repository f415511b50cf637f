"""Where a registered phone is that was called: it may register again from elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.transport.flow import Flow
from proxy.ua.bindings import Binding, one_of_each

Phones = Callable[[str], Sequence[Binding]]
"""Where a phone is registered now, by its name; empty if nowhere."""


def nobody(name: str) -> Sequence[Binding]:
    """Where no phone is configured."""
    return ()


class Whereabouts:
    """Of whoever was called at one contact of a phone; whoever was at the others then is somebody else."""

    __slots__ = ("_contact", "_others", "_phones", "_registered", "name")

    def __init__(self, phones: Phones, name: str, contact: Binding, all_contacts: Sequence[Binding]) -> None:
        """`all_contacts`: those that the phone had when it was called."""
        self._phones, self.name, self._contact = phones, name, contact
        self._others = tuple(each for each in all_contacts if not each.of_one_phone(contact))
        self._registered = contact.flow

    def __call__(self, flow: Flow) -> Flow | None:
        """Its flow now, who was at this one last; None where that is closed, and nobody knows another.

        What it has said by re-INVITE holds until it registers elsewhere, though the old way still seems open.
        """
        found = self._found(closed=flow.closed)
        if len(found) != 1 or (found[0].flow == self._registered and not flow.closed):
            return None if flow.closed else flow
        self._registered = found[0].flow
        return self._registered

    def is_of(self, contact: Binding) -> bool:
        """Whether it was surely this phone that was called."""
        return contact.of_one_phone(self._contact)

    def _found(self, *, closed: bool) -> Sequence[Binding]:
        """Where it is by now: where it registered last, else as nobody before."""
        living = self._phones(self.name)
        if own := one_of_each([each for each in living if self.is_of(each)]):
            return [each for each in own if each.replaces(self._contact)] or own
        return [each for each in living if closed and not self._is_another(each)]

    def _is_another(self, binding: Binding) -> bool:
        return any(binding.of_one_phone(each) for each in self._others)
