"""Kernel mode: a relay that leaves plain RTP streams to an eBPF program, which we assemble, load and control
ourselves. All other streams are relayed in userspace.
"""
