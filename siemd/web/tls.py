"""TLS by certificate files, which are read again when they change, so that a renewed certificate needs no restart."""

from __future__ import annotations

import ssl
from pathlib import Path

from siemd.errors import UserError
from siemd.web.config import TlsConfig

_HINT = "web.tls wants PEM files that siemd may read, the key without a password"
Stamp = tuple[tuple[int, int], ...]


class Certificate:
    """The server's side of TLS; new connections get the newest certificate that could be read."""

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._load(self.context)

    def reload(self) -> bool:
        """Read the files again if they changed; whether they did. UserError when they can't be used: the old ones stay.

        A pair of which only one half is new does not fit together and is left until the other half is there.
        """
        if self._look() == self._stamp:
            return False
        self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))  # a try that can't harm what is in use
        self._stamp = self._load(self.context)
        return True

    def _load(self, context: ssl.SSLContext) -> Stamp:
        stamp = self._look()
        try:
            context.load_cert_chain(self._config.certificate, self._config.key, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"the certificate {self._config.certificate} cannot be used: {error}", _HINT) from None
        return stamp

    def _look(self) -> Stamp:
        try:
            found = [Path(path).stat() for path in (self._config.certificate, self._config.key)]
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}", _HINT) from None
        return tuple((stat.st_mtime_ns, stat.st_size) for stat in found)
