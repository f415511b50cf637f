"""The INVITEs to agent and phones: what each says about the caller, and the retry if a trunk refuses that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from proxy.call.border import Identity, towards_agent, towards_phone
from proxy.call.identity_profile import IdentityProfile
from proxy.call.routing import Agent, Destination, Trunk
from proxy.sip.message import Response
from proxy.sip.reason import blocked_by_network
from proxy.ua.outgoing_invite import Outgoing

REMEMBERED_S = 3600.0
"""For so long a trunk that refused another identity profile is called with `trunk_did` at once."""

_KNOWN_TEXTS = {"D35": "Telnyx", "D36": "Telnyx", "D51": "Telnyx", "32204": "Twilio"}
"""Error codes by which carriers refuse a caller's number."""
_CODE = re.compile(rf"\b({'|'.join(_KNOWN_TEXTS)})\b", re.IGNORECASE).search


class IdentityRefusals:
    """The trunks that recently refused to carry a caller's own number; shared by all calls."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def remember(self, trunk: Trunk) -> None:
        self._until[trunk.name] = self._clock() + REMEMBERED_S

    def forget(self, trunk: Trunk) -> None:
        """Forget a refusal: the trunk refuses our own number as well, so it refused something else."""
        self._until.pop(trunk.name, None)

    def recently_refused(self, trunk: Trunk) -> bool:
        until = self._until.get(trunk.name)
        return until is not None and self._clock() < until


class InviteBuilder:
    """Makes the INVITEs of one call, which introduce its caller to the agent and the phones."""

    def __init__(
        self,
        caller: Identity,
        dialed: str,
        host: str,
        refusals: IdentityRefusals,
        step: Callable[[str, str], None],
    ) -> None:
        """`dialed`: the number that was called; `host`: our public name; `step` writes to the journal."""
        self.caller, self._dialed, self._host = caller, dialed, host
        self._refusals, self._step = refusals, step

    def to_agent(self, agent: Agent, headers: Mapping[str, str]) -> Outgoing:
        """The INVITE to the agent, with the screening's headers."""
        return towards_agent(self.caller, agent, headers, self._host)

    def to_phone(self, destination: Destination) -> Outgoing:
        """The INVITE to a destination; sent again as `trunk_did` if its trunk refuses the caller's number."""
        trunk = destination.trunk
        if trunk is None:
            return towards_phone(self.caller, destination, self._host)
        profile = destination.identity_profile
        if profile is IdentityProfile.TRUNK_DID:
            return self._invite_as(destination, profile)
        if self._refusals.recently_refused(trunk):
            return self._invite_as(destination, IdentityProfile.TRUNK_DID)
        return self._invite_as(destination, profile)._replace(
            alternative=lambda refusal: self._retry_as_trunk_did(destination, trunk, refusal)
        )

    def _invite_as(self, destination: Destination, profile: IdentityProfile) -> Outgoing:
        return towards_phone(self.caller, destination, self._host, dialed=self._dialed, profile=profile)

    def _retry_as_trunk_did(
        self, destination: Destination, trunk: Trunk, refusal: Response
    ) -> Outgoing | None:
        """The same INVITE as `trunk_did`; None if the refusal has nothing to do with the number.

        The trunk is called so from now on, unless it refuses that as well. A refusal by a network behind the
        trunk is not remembered: that network blocks this caller, and others may pass.
        """
        if blocked_by_network(refusal):
            by_did = IdentityProfile.TRUNK_DID
            self._step("number blocked", f"a network blocks the caller's: called again as {by_did.value}")
            return self._invite_as(destination, by_did)
        if refusal.status != 403:
            return None
        self._refusals.remember(trunk)
        self._step(
            "identity refused",
            f"trunk {trunk.name} answers {why(refusal)} to {destination.identity_profile.value}: "
            f"called again as {IdentityProfile.TRUNK_DID.value}, and so for an hour",
        )
        return self._invite_as(destination, IdentityProfile.TRUNK_DID)._replace(
            alternative=lambda again: self._retry_refused(trunk, again)
        )

    def _retry_refused(self, trunk: Trunk, refusal: Response) -> None:
        if refusal.status == 403:
            self._refusals.forget(trunk)
            self._step("identity not to blame", f"trunk {trunk.name} answers {why(refusal)} to it, too")


def why(refusal: Response) -> str:
    """A refusal as text: its status, and the carrier's error code if it is a known one.

    The carrier's own text is not repeated: there may be a telephone number in it.
    """
    said = [refusal.reason]
    for name in ("Warning", "Reason", "X-Twilio-Error"):
        said += refusal.headers.get_all(name)
    code = next((found[1].upper() for text in said if (found := _CODE(text))), None)
    return f"{refusal.status} ({_KNOWN_TEXTS[code]} {code})" if code else str(refusal.status)
