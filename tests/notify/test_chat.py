"""Chat by apprise: a real service of it against a real server, and what it says when it is not installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from siemd.notify.base import Message, Undelivered
from siemd.notify.chat import Chat, ChatConfig
from support.hook import Hook

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of apprise


def test_a_message_arrives_by_apprise(message: Message) -> None:
    pytest.importorskip("apprise")
    with Hook() as hook:
        assert "taken" in Chat(ChatConfig(urls=[f"json://127.0.0.1:{hook.port}/x"])).send(message)
        (got,) = hook.bodies()
    assert got["title"] == message.subject and message.text in got["message"]


def test_what_apprise_cannot_deliver(message: Message) -> None:
    pytest.importorskip("apprise")
    with Hook() as hook:
        hook.answers = [500]
        with pytest.raises(Undelivered, match=r"apprise could not deliver: .*500"):
            Chat(ChatConfig(urls=[f"json://127.0.0.1:{hook.port}/x"])).send(message)
    with pytest.raises(Undelivered, match=r"does not know address 1") as caught:
        Chat(ChatConfig(urls=["nosuchservice://secret"])).send(message)
    assert "secret" not in str(caught.value)


def test_without_apprise_it_says_what_to_install(message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apprise" else find(name))
    with pytest.raises(Undelivered, match=r"needs the Python package apprise; .*pip install 'siemd\[chat\]'"):
        Chat(ChatConfig(urls=["json://127.0.0.1/"])).ready()
