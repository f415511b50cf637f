"""Bytes: UDP, TCP and TLS flows, and where a URI leads (RFC 3261 §18, RFC 3263)."""
