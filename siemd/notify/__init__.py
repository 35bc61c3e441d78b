"""How people are told of alerts. A new channel is one file here and one line in CHANNELS."""

from __future__ import annotations

from siemd.notify.base import Channel
from siemd.notify.chat import Chat
from siemd.notify.email import Email
from siemd.notify.syslog import Syslog
from siemd.notify.webhook import Webhook

CHANNELS: dict[str, type[Channel]] = {
    "email": Email,
    "webhook": Webhook,
    "syslog": Syslog,
    "chat": Chat,
}

__all__ = ["CHANNELS", "Channel"]
