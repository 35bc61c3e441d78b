"""Capture filters in libpcap's language (`man pcap-filter`), compiled to classic BPF for the kernel."""

from __future__ import annotations

import ctypes
from struct import pack

from siemd.errors import UserError

ETHERNET, RAW_IP = 1, 12  # as pcap_compile knows them (DLT_)
MAX_EXPRESSION = 10_000
_SNAP_BYTES = 262_144
_ANY_NETMASK = 0xFFFFFFFF  # not known

# <linux/filter.h>: codes of instructions, and where the kernel shows the kind of interface
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_HARDWARE_TYPE = 0xFFFFF000 + 28
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772


class FilterError(UserError):
    """A filter that libpcap refuses, or no libpcap to ask."""


def compile_filter(expression: str, link_type: int = ETHERNET) -> bytes:
    """The BPF instructions (struct sock_filter, 8 bytes each) of an expression, none for an empty one.

    Raises FilterError. Scapy, which knows how to call libpcap, is imported here and not before.
    """
    if not expression.strip():
        return b""
    try:
        from importlib import import_module

        pcap = import_module("scapy.libs.winpcapy")
    except OSError:
        raise FilterError(
            "a capture filter needs libpcap", "install it (Debian: `apt-get install libpcap0.8`), or leave out `filter`"
        ) from None
    handle = pcap.pcap_open_dead(link_type, _SNAP_BYTES)
    program = pcap.bpf_program()
    try:
        failed = pcap.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, _ANY_NETMASK)
        if failed:
            reason = pcap.pcap_geterr(handle)
            text = ctypes.string_at(reason).decode("utf-8", "replace")
            raise FilterError(f"not a capture filter: {text}", "the language is that of tcpdump, see `man pcap-filter`")
        code = ctypes.string_at(program.bf_insns, program.bf_len * 8)
        pcap.pcap_freecode(ctypes.byref(program))
        return code
    finally:
        pcap.pcap_close(handle)


def ethernet_only(program: bytes) -> bytes:
    """The same for a socket that hears all interfaces: those without Ethernet are let through whole."""
    if not program:
        return program
    return (
        pack("@HBBI", _LOAD_WORD, 0, 0, _HARDWARE_TYPE)
        + pack("@HBBI", _JUMP_IF_EQUAL, 2, 0, _ARPHRD_ETHER)
        + pack("@HBBI", _JUMP_IF_EQUAL, 1, 0, _ARPHRD_LOOPBACK)
        + pack("@HBBI", _RETURN, 0, 0, _SNAP_BYTES)
        + program
    )
