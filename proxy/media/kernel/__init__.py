"""`kernel` mode: a relay whose plain streams are forwarded by an eBPF program that we assemble, load and feed
ourselves; all other streams it relays as ever.
"""
