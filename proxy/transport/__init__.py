"""SIP transport: UDP, TCP and TLS flows (RFC 3261 §18), and URI resolution (RFC 3263)."""
