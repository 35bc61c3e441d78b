"""The headers of many plain frames at once: TCP and UDP in IPv4 or IPv6, in Ethernet with at most one VLAN tag.

What is not plain (options, extension headers, fragments, tunnels, anything cut or contradictory) is marked so, and
nothing more is said of it: the Decoder reads it. Only what tells flows apart, and how their packets matter, is read.
"""

from __future__ import annotations

import secrets
import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siemd.sources.sniffer.frames import FrameBatch, Mask, Numbers, gather
from siemd.sources.sniffer.packet import FIN, RST, SYN, TCP, UDP
from siemd.sources.sniffer.tunnels import PORTS

Hashes = npt.NDArray[np.uint64]

_ETHERNET = 1
_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
_LINK_BYTES, _NETWORK_BYTES = 18, 60

_LINK = np.dtype({"names": ["type", "tag", "inner"], "formats": [">u2"] * 3, "offsets": [12, 14, 16], "itemsize": 18})
# The network header and 20 bytes behind it. ports: both as one number, in the order of the wire.
_IPV4_LAYOUT = np.dtype(
    {
        "names": [
            *("version", "length", "fragment", "protocol"),
            *("from", "to", "from_port", "to_port", "size", "seq", "offset"),
        ],
        "formats": ["u1", ">u2", ">u2", "u1", "u4", "u4", "u2", "u2", ">u2", ">u4", "u1"],
        "offsets": [0, 2, 6, 9, 12, 16, 20, 22, 24, 24, 32],
        "itemsize": _NETWORK_BYTES,
    }
)
_IPV6_LAYOUT = np.dtype(
    {
        "names": ["version", "length", "protocol", "from", "to", "from_port", "to_port", "size", "seq", "offset"],
        "formats": ["u1", ">u2", "u1", ("u8", 2), ("u8", 2), "u2", "u2", ">u2", ">u4", "u1"],
        "offsets": [0, 4, 6, 8, 24, 40, 42, 44, 44, 52],
        "itemsize": _NETWORK_BYTES,
    }
)
# As they stand in `to_port`. TCP to these is looked at, too: it is rare.
_TUNNEL_PORTS = [int.from_bytes(port.to_bytes(2, "big"), sys.byteorder) for port in PORTS]
_SSH = int.from_bytes(b"SSH-", "little")


class FlowHash:
    """Hashes of flows, secret to this process, so that nobody outside can make two flows look like one.

    64 bits, mixed by multiplication with odd numbers and shifts (as in xxhash's and murmur's finalizers).
    """

    def __init__(self) -> None:
        self._odd = [np.uint64(secrets.randbits(64) | 1) for _ in range(4)]

    def mix(self, words: Hashes) -> Hashes:
        """Spread each number over 64 bits."""
        words = words * self._odd[0]
        words ^= words >> np.uint64(32)
        words *= self._odd[1]
        words ^= words >> np.uint64(29)
        return words

    def flow(self, source: Hashes, destination: Hashes, rest: Hashes) -> tuple[Hashes, Hashes]:
        """(The same for both directions, different for each) of mixed ends and what else tells flows apart."""
        both = self.mix(source + destination + rest * self._odd[2])
        return both, both ^ np.where(source < destination, self._odd[3], np.uint64(0))

    def back(self, ways: Hashes) -> Hashes:
        """The hashes of the other directions."""
        return ways ^ self._odd[3]

    def ways(self, flows: Hashes) -> tuple[Hashes, Hashes]:
        """The hashes of the two directions of flows."""
        return flows, flows ^ self._odd[3]


class Columns:
    """What is read of a batch; every array has an entry for each of its frames.

    plain: whether a frame is; the others say nothing where it is not. flags: of TCP, 0 for UDP. odd: whether SYN, FIN
    or RST is among them. size: of the payload. end: TCP's sequence number behind it. flow, way, back: hashes of the
    flow, of its direction and of the other. banner: whether the payload begins as SSH's does.
    """

    __slots__ = ("back", "banner", "end", "flags", "flow", "odd", "plain", "size", "way")

    def __init__(self, batch: FrameBatch, hashed: FlowHash) -> None:
        count, size = len(batch), len(batch.memory)
        self.plain = (batch.link_types == _ETHERNET) & (batch.starts + (_LINK_BYTES + _NETWORK_BYTES) <= size)
        self.flags = np.zeros(count, dtype=np.uint8)
        starts = np.where(self.plain, batch.starts, 0)
        link = gather(batch.memory, starts, _LINK_BYTES).view(_LINK)
        ethertype, vlan = link["type"].astype(np.int64), np.zeros(count, dtype=np.int64)
        tagged = np.isin(ethertype, _TAGS)
        if tagged.any():
            ethertype = np.where(tagged, link["inner"], ethertype)
            vlan = np.where(tagged, link["tag"] & 0x0FFF, vlan)
        network_at = np.where(tagged, 18, 14)
        network = gather(batch.memory, starts + network_at, _NETWORK_BYTES)
        is_ipv6 = ethertype == _IPV6
        read = _read_ipv4(network.view(_IPV4_LAYOUT), hashed)
        if is_ipv6.any():
            other = _read_ipv6(network.view(_IPV6_LAYOUT), hashed)
            read = _Network(*(np.where(is_ipv6, new, old) for new, old in zip(other, read, strict=True)))
        end = network_at + read.length
        transport_at = network_at + read.header
        is_tcp = read.protocol == TCP
        payload_at = transport_at + np.where(is_tcp, read.tcp_header, 8)
        payload_end = np.where(is_tcp, end, transport_at + read.udp_length)
        self.plain &= read.plain & (is_ipv6 | (ethertype == _IPV4)) & (is_tcp | (read.protocol == UDP))
        self.plain &= (end <= batch.lengths) & (payload_end <= end) & (payload_at <= payload_end)
        self.plain &= (read.tcp_header >= 20) | ~is_tcp
        self.plain &= payload_at <= batch.captured
        self.flags[is_tcp] = batch.memory[(starts + transport_at + 13)[is_tcp]]
        self.size = payload_end - payload_at
        self.end = (read.seq + self.size).astype(np.uint32)
        self.flow, self.way = hashed.flow(read.source, read.destination, (vlan << 8 | read.protocol).view(np.uint64))
        self.odd: Mask = self.plain & (self.flags & (SYN | FIN | RST) != 0)
        self.back = hashed.back(self.way)
        begins = gather(batch.memory, np.minimum(starts + payload_at, size - 4), 4)
        self.banner = begins.view("<u4") == _SSH

    def only(self, piece: slice) -> Columns:
        """Those of some of the frames."""
        some = Columns.__new__(Columns)
        for name in Columns.__slots__:
            setattr(some, name, getattr(self, name)[piece])
        return some


class _Network(NamedTuple):
    """Columns of a network header. header: its bytes. length: with what it carries. source, destination: mixed ends."""

    plain: Mask
    header: Numbers
    length: Numbers
    protocol: Numbers
    tcp_header: Numbers
    udp_length: Numbers
    seq: Numbers
    source: Hashes
    destination: Hashes


def _to_tunnel(ports: npt.NDArray[np.uint16]) -> Mask:
    """Whether they are those of a tunnel, whose packets are what they carry."""
    found: Mask = ports == _TUNNEL_PORTS[0]
    for port in _TUNNEL_PORTS[1:]:
        found |= ports == port
    return found


def _read_ipv4(rows: npt.NDArray[np.void], hashed: FlowHash) -> _Network:
    def end(address: str, port: str) -> Hashes:
        return hashed.mix(rows[address].astype(np.uint64) << np.uint64(16) | rows[port])

    return _Network(
        (rows["version"] == 0x45) & (rows["fragment"] & 0x3FFF == 0) & ~_to_tunnel(rows["to_port"]),
        np.full(len(rows), 20),
        rows["length"].astype(np.int64),
        rows["protocol"].astype(np.int64),
        (rows["offset"] >> 4).astype(np.int64) << 2,
        rows["size"].astype(np.int64),
        rows["seq"].astype(np.int64),
        end("from", "from_port"),
        end("to", "to_port"),
    )


def _read_ipv6(rows: npt.NDArray[np.void], hashed: FlowHash) -> _Network:
    def end(address: str, port: str) -> Hashes:
        high, low = rows[address][:, 0], rows[address][:, 1]
        return hashed.mix(hashed.mix(hashed.mix(high.copy()) + low) + rows[port])

    return _Network(
        (rows["version"] >> 4 == 6) & (rows["length"] > 0) & ~_to_tunnel(rows["to_port"]),
        np.full(len(rows), 40),
        rows["length"].astype(np.int64) + 40,
        rows["protocol"].astype(np.int64),
        (rows["offset"] >> 4).astype(np.int64) << 2,
        rows["size"].astype(np.int64),
        rows["seq"].astype(np.int64),
        end("from", "from_port"),
        end("to", "to_port"),
    )
