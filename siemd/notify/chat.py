"""Chat services (Matrix, Slack, Teams, Telegram and a hundred others) by apprise, an extra that is loaded late."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from siemd.notify.base import Message, Mistake, Undelivered
from siemd.notify.text import tame

MISSING = "chat needs the Python package apprise"
INSTALL = "install it beside siemd: pip install 'siemd[chat]', or pip install apprise"
_TYPES = {"critical": "failure", "high": "failure", "medium": "warning"}


class ChatConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="channel", tag="chat"):
    """A chat service, by apprise (`pip install apprise`)."""

    urls: Annotated[
        list[str],
        Meta(
            description="Addresses as apprise writes them (github.com/caronc/apprise/wiki), as ${NAME} from the "
            "environment where they hold secrets.",
            min_length=1,
        ),
    ]

    def mistakes(self) -> Iterator[Mistake]:
        """An address without a scheme; whether apprise knows it is seen when it is used (`siemd notify test`)."""
        for url in self.urls:
            if "://" not in url:
                yield "urls", "an address of apprise begins with the name of a service and ://", "such as mailto://…"


class Chat:
    """Sends by apprise, which says no more than whether it worked, and, in its log, why not."""

    Config: ClassVar[type[msgspec.Struct]] = ChatConfig

    def __init__(self, config: ChatConfig) -> None:
        self._config = config
        self.description = f"chat by {', '.join(tame(url.partition(':')[0], 20) for url in config.urls)}"

    def send(self, message: Message) -> str:
        """Hand the message to every address."""
        self.ready()
        import apprise

        sender: Any = apprise.Apprise()
        for number, url in enumerate(self._config.urls, 1):
            if not sender.add(url):  # the address itself may be a secret
                raise Undelivered(f"apprise does not know address {number}", "see github.com/caronc/apprise/wiki")
        capture: Any = apprise.LogCapture
        with capture(level=apprise.logging.WARNING) as captured:
            done = sender.notify(
                title=message.subject, body=message.text, notify_type=_TYPES.get(message.level, "info"),
                body_format=apprise.NotifyFormat.TEXT, interpret_escapes=False,
            )  # fmt: skip
            said = captured.getvalue() if captured else ""
        if not done:
            reason = tame(said.strip().rpartition("\n")[2].rpartition(" - ")[2], 200)
            raise Undelivered(f"apprise could not deliver: {reason or 'it does not say why'}")
        return "taken by apprise"

    def ready(self) -> None:
        """Look whether apprise is there."""
        if importlib.util.find_spec("apprise") is None:
            raise Undelivered(MISSING, INSTALL)

    def abort(self) -> None:
        """Nothing to be done: apprise has limits of its own."""
