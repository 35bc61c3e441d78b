"""What is known of IP addresses without asking anybody: the country they were given to, and what kind they are."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from siemd.web.access.roles import Right
from siemd.web.asking import comma_list
from siemd.web.problems import Refused

MAX_ADDRESSES = 500
_KINDS = ("loopback", "link_local", "multicast", "unspecified", "private", "reserved")  # the first that holds


class AddressInfo(msgspec.Struct):
    """An address. country: ISO 3166-1 alpha-2 of the registry's assignment, not of where it is used; empty: unknown.

    kind: loopback, link_local, multicast, unspecified, private, reserved, or global; empty when it is no address.
    """

    address: str
    country: str
    kind: str


@get("/api/v1/addresses", opt={"right": Right.SELF}, tags=["statistics"], sync_to_thread=False)
def show_addresses(
    address: Annotated[
        str, QueryParameter(max_length=MAX_ADDRESSES * 46, description=f"With commas, at most {MAX_ADDRESSES}.")
    ],
) -> list[AddressInfo]:
    """Country and kind of addresses, in the order they were asked for."""
    from iptocc import country_code

    asked = comma_list(address)
    if len(asked) > MAX_ADDRESSES:
        raise Refused(422, f"at most {MAX_ADDRESSES} addresses are told at once")
    return [
        AddressInfo(text, country or "", kind_of(text))
        for text, country in zip(asked, country_code(asked), strict=True)
    ]


def kind_of(text: str) -> str:
    """What kind of address a text is; empty when it is none."""
    try:
        known = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return next((kind for kind in _KINDS if getattr(known, f"is_{kind}")), "global")


HANDLERS = [show_addresses]
