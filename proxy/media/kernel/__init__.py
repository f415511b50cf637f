"""`kernel` mode: plain streams are forwarded by an eBPF program that we assemble, load and feed ourselves."""
