"""The four SIP transaction state machines, without I/O or clock (RFC 3261 §17, RFC 6026, RFC 4320)."""

from proxy.sip.transactions.hop import ack_for, cancel_for
from proxy.sip.transactions.invite_client import InviteClient
from proxy.sip.transactions.invite_server import InviteServer
from proxy.sip.transactions.non_invite_client import NonInviteClient
from proxy.sip.transactions.non_invite_server import NonInviteServer
from proxy.sip.transactions.state import State

__all__ = [
    "InviteClient",
    "InviteServer",
    "NonInviteClient",
    "NonInviteServer",
    "State",
    "ack_for",
    "cancel_for",
]
