"""One-time codes as the second factor (RFC 6238), and recovery codes for who lost the device."""

from __future__ import annotations

import base64
import re
import secrets
import time

import pyotp

STEP_S = 30
DRIFT_STEPS = 1  # clocks of phones that are off by so much are taken
RECOVERY_CODES = 10
_CODE = re.compile(r"\d{6}")
_NOT_CODE = re.compile(r"[\s-]")


def new_totp_secret() -> str:
    """160 random bits in base32, as authenticators want them."""
    return pyotp.random_base32()


def otpauth_uri(secret: str, name: str, host: str) -> str:
    """What an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=f"{name}@{host}", issuer_name="siemd")


def matching_step(secret: str, code: str, now_s: float | None = None) -> int | None:
    """The time step that a code belongs to, None when it is wrong; whoever asks must refuse a step used before."""
    code = _NOT_CODE.sub("", code)
    if not code.isascii() or not _CODE.fullmatch(code):
        return None
    current = int(time.time() if now_s is None else now_s) // STEP_S
    totp = pyotp.TOTP(secret)
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if secrets.compare_digest(totp.at(step * STEP_S), code):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Codes of 80 bits, each good once: xxxx-xxxx-xxxx-xxxx."""
    codes = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
        codes.append("-".join(text[start : start + 4] for start in range(0, 16, 4)))
    return codes


def plain_recovery_code(text: str) -> str | None:
    """A recovery code as it is hashed, from how somebody typed it; None when it can't be one."""
    plain = _NOT_CODE.sub("", text).lower()
    return plain if re.fullmatch(r"[a-z2-7]{16}", plain) else None
