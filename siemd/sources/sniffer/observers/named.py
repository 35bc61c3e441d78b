"""Addresses that name servers lately told: who connects to one follows a name, which a sweep does not."""

from __future__ import annotations

from siemd.sources.sniffer.state import Aging

_BYTES = (4, 16)


class NamedAddresses:
    """Whose name was asked for, by anyone: a host asks by one address and connects from another (IPv4, IPv6)."""

    def __init__(self, cap: int) -> None:
        self._addresses: Aging[tuple[bytes, int], bool] = Aging(cap)

    def tell(self, address: bytes, vlan: int) -> None:
        """A name server told this address."""
        if len(address) in _BYTES and self._addresses.get((address, vlan)) is None:
            self._addresses.put((address, vlan), True)

    def knows(self, address: bytes, vlan: int) -> bool:
        """Whether one lately told this address."""
        return self._addresses.get((address, vlan)) is not None

    def age(self) -> None:
        """Forget what was not used for a generation."""
        self._addresses.age()

    def counters(self) -> dict[str, int]:
        """Sizes and losses."""
        return {"named_addresses_held": len(self._addresses), "named_addresses_forgotten": self._addresses.evicted}
