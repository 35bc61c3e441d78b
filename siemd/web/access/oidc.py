"""Login by an identity provider: OpenID Connect, authorization code with PKCE, state and nonce.

Nothing of a login that is under way is stored here: state, nonce and the verifier are made of one secret, which only
the browser that began has, in a cookie. Loaded only when it is configured; it needs the extra `oidc`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from siemd.errors import UserError
from siemd.web.access.roles import ROLES
from siemd.web.config import OidcConfig, Role

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]  # none with a shared key
TIMEOUT_S = 10.0
ANSWER_MAX_BYTES = 1 << 20
DISCOVERY_S = 3600.0
LEEWAY_S = 60  # between the clocks
AT_ONCE = 4  # requests to the provider


class ProviderError(UserError):
    """The provider did not do its part, or said something that can't be believed."""


class Metadata(msgspec.Struct):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Claims(msgspec.Struct):
    """Who the provider says somebody is."""

    subject: str
    name: str
    role: Role | None  # None: in no group that may enter


class _TokenAnswer(msgspec.Struct):
    id_token: str


class Provider:
    """One identity provider; discovery is remembered for an hour."""

    def __init__(self, config: OidcConfig) -> None:
        self._config = config
        self._metadata: tuple[float, Metadata] | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def begin(self, secret: str, redirect_uri: str) -> str:
        """Where to send a browser that holds `secret`."""
        metadata = await self._discover()
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._config.scopes,
            "state": derive(secret, "state"),
            "nonce": derive(secret, "nonce"),
            "code_challenge": _digest(derive(secret, "verifier")),
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{separator}{urlencode(query)}"

    async def finish(self, secret: str, code: str, redirect_uri: str) -> Claims:
        """Exchange the code for who somebody is; raises ProviderError when that can't be believed."""
        metadata = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": derive(secret, "verifier"),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported and self._config.client_secret:
            pair = f"{quote(self._config.client_id, safe='')}:{quote(self._config.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self._config.client_id
            if self._config.client_secret:
                form["client_secret"] = self._config.client_secret
        answer = await self._ask(metadata.token_endpoint, headers, urlencode(form).encode())
        keys = await self._ask(metadata.jwks_uri, {})
        try:
            token = msgspec.json.decode(answer, type=_TokenAnswer).id_token
            key_set = KeySet.import_key_set(msgspec.json.decode(keys))
            claims = self._check(token, key_set, derive(secret, "nonce"))
        except (msgspec.DecodeError, JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderError("the provider's answer can't be believed", type(error).__name__) from None
        return self._map(claims)

    def _check(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token whose signature, issuer, audience, times and nonce are right."""
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._config.issuer},
            aud={"essential": True, "value": self._config.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self._config.client_id:
            raise ValueError("azp")
        return claims

    def _map(self, claims: Mapping[str, Any]) -> Claims:
        subject, name = claims["sub"], claims.get(self._config.name_claim)
        if not isinstance(name, str) or not isinstance(subject, str) or not subject:
            raise ProviderError(f"the provider says no {self._config.name_claim}", "see web.oidc.name_claim")
        groups = claims.get(self._config.role_claim, [])
        groups = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        found = {
            self._config.roles[group] for group in groups if isinstance(group, str) and group in self._config.roles
        }
        role = max(found, key=ROLES.index, default=None)
        return Claims(hashlib.sha256(f"{self._config.issuer}\n{subject}".encode()).hexdigest(), name, role)

    async def _discover(self) -> Metadata:
        if self._metadata and time.monotonic() - self._metadata[0] < DISCOVERY_S:
            return self._metadata[1]
        answer = await self._ask(self._config.issuer.rstrip("/") + "/.well-known/openid-configuration", {})
        try:
            metadata = msgspec.json.decode(answer, type=Metadata)
        except msgspec.DecodeError:
            raise ProviderError("what the provider says of itself can't be read") from None
        if metadata.issuer != self._config.issuer:
            raise ProviderError("the provider calls itself otherwise", "set web.oidc.issuer to exactly what it says")
        if self._config.issuer.startswith("https:"):
            for place in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
                if not place.startswith("https://"):
                    raise ProviderError("the provider wants to speak without TLS")
        self._metadata = (time.monotonic(), metadata)
        return metadata

    async def _ask(self, url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        async with self._slots:
            try:
                return await asyncio.to_thread(_fetch, url, headers, body)
            except (OSError, ValueError) as error:  # URLError is an OSError
                reason = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
                raise ProviderError("the identity provider does not answer as it should", reason) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Who sends us elsewhere is not asked further."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """No."""


def _fetch(url: str, headers: dict[str, str], body: bytes | None) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError(url)
    request = urllib.request.Request(url, body, {"Accept": "application/json", **headers})  # noqa: S310 - seen above
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
        read: bytes = answer.read(ANSWER_MAX_BYTES + 1)
    if len(read) > ANSWER_MAX_BYTES:
        raise ValueError("too long")
    return read


def derive(secret: str, what: str) -> str:
    """One of the values of a login: 43 characters that tell nothing of the secret or of each other."""
    return _text(hmac.new(secret.encode(), what.encode(), hashlib.sha256).digest())


def _digest(text: str) -> str:
    return _text(hashlib.sha256(text.encode()).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
