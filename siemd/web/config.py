"""What `web:` in siemd.yaml may say; light, because every siemd reads it and only few serve."""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from siemd.units import Bytes, Seconds

Role = Literal["viewer", "analyst", "admin"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):(?P<port>\d{1,5})")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9_-]+)*")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class TlsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """TLS by certificate files; they are read again when they change."""

    certificate: Annotated[str, Meta(description="PEM file of the certificate and those that vouch for it.")] = ""
    key: Annotated[str, Meta(description="PEM file of its private key, without a password.")] = ""


class SessionConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Logins of people, and the life of what they are given."""

    idle_s: Annotated[Seconds, Meta(description="A session that is not used for so long ends.")] = msgspec.field(
        name="idle", default=Seconds(8 * 3600)
    )
    absolute_s: Annotated[Seconds, Meta(description="Every session ends after so long.")] = msgspec.field(
        name="absolute", default=Seconds(7 * 86400)
    )
    step_up_s: Annotated[
        Seconds, Meta(description="Changes of accounts want the password again when it was given longer ago.")
    ] = msgspec.field(name="step_up", default=Seconds(600))
    setup_link_s: Annotated[Seconds, Meta(description="How long a one-time link to choose a password is good.")] = (
        msgspec.field(name="setup_link", default=Seconds(86400))
    )
    token_s: Annotated[Seconds, Meta(description="The longest life that an API token may be given.")] = msgspec.field(
        name="token", default=Seconds(365 * 86400)
    )
    password_length: Annotated[int, Meta(description="The fewest characters of a password.", ge=8, le=64)] = 12


class LimitsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What one client may ask of the server."""

    body_bytes: Annotated[Bytes, Meta(description="The largest body of a request.")] = msgspec.field(
        name="body_size", default=Bytes(1 << 20)
    )
    header_bytes: Annotated[Bytes, Meta(description="The most that a request's line and headers may hold.")] = (
        msgspec.field(name="header_size", default=Bytes(16 << 10))
    )
    query_bytes: Annotated[Bytes, Meta(description="The longest query in an address.")] = msgspec.field(
        name="query_size", default=Bytes(8 << 10)
    )
    header_time_s: Annotated[Seconds, Meta(description="A request whose headers are not here by then is cut off.")] = (
        msgspec.field(name="header_time", default=Seconds(10))
    )
    body_time_s: Annotated[Seconds, Meta(description="A body that is not here by then is refused.")] = msgspec.field(
        name="body_time", default=Seconds(30)
    )
    stall_time_s: Annotated[
        Seconds, Meta(description="A client that takes nothing of an answer for so long is cut off.")
    ] = msgspec.field(name="stall_time", default=Seconds(30))
    connections: Annotated[int, Meta(description="Connections at once.", ge=4, le=10_000)] = 500
    connections_per_address: Annotated[
        int,
        Meta(description="Connections at once from one address; proxies of trusted_proxies have no such limit.", ge=2),
    ] = 100
    requests: Annotated[int, Meta(description="Requests in work at once; more are told to come again.", ge=1)] = 64
    query_time_s: Annotated[Seconds, Meta(description="A question to the store that takes longer is ended.")] = (
        msgspec.field(name="query_time", default=Seconds(30))
    )
    time_range_s: Annotated[Seconds, Meta(description="The longest stretch of time that one question may cover.")] = (
        msgspec.field(name="time_range", default=Seconds(400 * 86400))
    )


class OidcConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Login by an identity provider (OpenID Connect); needs siemd's extra `oidc`."""

    issuer: Annotated[str, Meta(description="The provider's address, https://…; empty: no such login.")] = ""
    client_id: Annotated[str, Meta(description="siemd's name at the provider.")] = ""
    client_secret: Annotated[str, Meta(description="Its secret, best as ${NAME} from the environment.")] = ""
    scopes: Annotated[str, Meta(description="What is asked for.")] = "openid profile"
    name_claim: Annotated[str, Meta(description="The claim that holds the user's name.")] = "preferred_username"
    role_claim: Annotated[str, Meta(description="The claim that holds the user's groups.")] = "groups"
    roles: Annotated[
        dict[str, Role], Meta(description="Group at the provider -> viewer, analyst or admin; others may not in.")
    ] = {}


class Listen(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback


class WebConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The API, for the console and for programs."""

    enabled: Annotated[bool, Meta(description="Serve it inside `siemd run`; `siemd web` serves it by itself.")] = False
    listen: Annotated[
        str,
        Meta(description="Address and port. Other than on the loopback siemd wants tls, or behind_tls_proxy."),
    ] = "127.0.0.1:8514"
    hosts: Annotated[
        list[str],
        Meta(
            description="Names under which people reach siemd, as in https://NAME/. Known without being named: this "
            "host's name, localhost and IP addresses; requests for any other are refused."
        ),
    ] = []
    base_path: Annotated[str, Meta(description="The path below which a proxy serves siemd, such as /siemd.")] = ""
    tls: TlsConfig = msgspec.field(default_factory=TlsConfig)
    behind_tls_proxy: Annotated[
        bool,
        Meta(
            description="A proxy of trusted_proxies ends TLS and says X-Forwarded-Proto: https; none other may connect."
        ),
    ] = False
    trusted_proxies: Annotated[
        list[str],
        Meta(description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    ] = []
    sessions: SessionConfig = msgspec.field(default_factory=SessionConfig)
    limits: LimitsConfig = msgspec.field(default_factory=LimitsConfig)
    oidc: OidcConfig = msgspec.field(default_factory=OidcConfig)

    @property
    def has_tls(self) -> bool:
        """Whether siemd itself speaks TLS."""
        return bool(self.tls.certificate)

    def address(self) -> Listen:
        """Where to listen; `problem` says whether it can be read."""
        match = _LISTEN.fullmatch(self.listen)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(self.listen)
        host = match["host"].strip("[]")
        if host != "localhost":
            ipaddress.ip_address(host)
        return Listen(host, int(match["port"]))

    def proxies(self) -> list[Network]:
        """The networks of trusted_proxies."""
        return [ipaddress.ip_network(text, strict=False) for text in self.trusted_proxies]

    def problem(self) -> tuple[str, str, str] | None:
        """The key, what is wrong with it and what to do; None when the server may start so."""
        try:
            listen = self.address()
        except ValueError:
            return "listen", f"`{self.listen}` is no address with a port", "write 127.0.0.1:8514, or [::1]:8514"
        try:
            self.proxies()
        except ValueError as error:
            return "trusted_proxies", f"{error}", "write addresses or networks such as 10.0.0.0/8"
        if not _BASE_PATH.fullmatch(self.base_path):
            return "base_path", f"`{self.base_path}` is no path", "write /siemd, or nothing"
        for name in self.hosts:
            if not _HOST_NAME.fullmatch(name):
                return "hosts", f"`{name}` is no name of a host", "write siem.example.org, without https:// and port"
        if bool(self.tls.certificate) != bool(self.tls.key):
            return "tls", "a certificate needs its key, and a key its certificate", "set tls.certificate and tls.key"
        if self.behind_tls_proxy and not self.trusted_proxies:
            return "behind_tls_proxy", "it is not said which proxy that is", "name its address in web.trusted_proxies"
        if not listen.is_loopback and not self.has_tls and not self.behind_tls_proxy:
            return (
                "listen",
                f"{self.listen} can be reached from elsewhere, and passwords would cross the network in the clear",
                "set web.tls, or web.behind_tls_proxy when a proxy ends TLS, or listen on 127.0.0.1",
            )
        return self._problem_of_oidc()

    def _problem_of_oidc(self) -> tuple[str, str, str] | None:
        oidc = self.oidc
        if oidc.issuer and not (oidc.client_id and oidc.roles):
            return "oidc", "an issuer needs client_id and roles", "set them, or leave oidc.issuer empty"
        if oidc.issuer and not re.fullmatch(
            r"https://[^\s?#]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/[^\s?#]*)?", oidc.issuer
        ):
            return "oidc", f"`{oidc.issuer}` is no https:// address", "write the provider's address with https://"
        if oidc.issuer and importlib.util.find_spec("joserfc") is None:
            return "oidc", "a part of siemd is missing that this needs", "install it: pip install 'siemd[oidc]'"
        return None
