"""SIP as a pure protocol (RFC 3261): messages, values, machines.

Bytes and `now` go in, values and effects come out: no socket, task, clock, chance or log line lives here.
"""
