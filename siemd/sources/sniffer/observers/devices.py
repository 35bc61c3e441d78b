"""Network cards that were not seen before: by ARP, neighbour discovery, or when they ask for an address."""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.facts import address, fact, mac
from siemd.sources.sniffer.packet import Packet
from siemd.sources.sniffer.state import Aging

MAX_FACTS = 32  # in one tick; a flood of made-up addresses would otherwise be a flood of events


class DeviceObserver:
    """States `device`. What is forgotten is new when it comes back: only the cap makes it forget, not time."""

    def __init__(self, learning_us: int, cap: int) -> None:
        self._learning_us = learning_us
        self._began_us = -1
        self._known: Aging[tuple[bytes, int], bool] = Aging(cap)
        self._held: list[tuple[int, bytes, bytes, int, bool]] = []
        self.held_back = 0

    def feed(self, packet: Packet, hardware: bytes, claimed: bytes, now_us: int) -> None:
        """A network card was heard of, with the address that it claims (zeros or empty for none)."""
        if self._began_us < 0:
            self._began_us = now_us
        key = (hardware, packet.vlan)
        if self._known.get(key) is not None or len(hardware) != 6 or hardware[0] & 1 or not any(hardware):
            return
        self._known.put(key, True)
        if len(self._held) >= MAX_FACTS:
            self.held_back += 1
            return
        learning = now_us - self._began_us < self._learning_us
        self._held.append((packet.time_us, hardware, claimed if any(claimed) else b"", packet.vlan, learning))

    def tick(self) -> list[NetworkEvent]:
        """The facts of this tick."""
        held, self._held = self._held, []
        return [_fact(*one) for one in held]

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {
            "devices_held": len(self._known),
            "devices_forgotten": self._known.evicted,
            "devices_held_back": self.held_back,
        }


def _fact(time_us: int, hardware: bytes, claimed: bytes, vlan: int, learning: bool) -> NetworkEvent:
    name, who = mac(hardware), address(claimed)
    return fact(
        "device",
        time_us,
        {"source_mac": name, "random_mac": bool(hardware[0] & 2), "learning": learning, "vlan": vlan},
        source_ip=who,
        message=f"{name} was heard for the first time" + (f", as {who}" if who else ""),
    )
