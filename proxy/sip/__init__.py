"""The SIP protocol (RFC 3261) without I/O: messages, header values, transactions, dialogs.

Bytes and `now` go in; values and effects come out. No sockets, tasks, clocks, randomness or logging in here.
"""
