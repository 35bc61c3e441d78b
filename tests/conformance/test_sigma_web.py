"""Public Sigma rules for web servers and proxies fire on requests that are seen on the wire."""

from __future__ import annotations

import pytest

from siemd.detection import DetectionConfig, Detector, Ruleset
from support.conversation import Wire, facts_of
from support.streams import Turn, http, talk

INTERNET_EXPLORER = "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko"
ATTACKS = [
    ("SQL Injection Strings In URI", http("/item?id=1%20UNION%20ALL%20SELECT%201,2,3--")),
    ("Path Traversal Exploitation Attempts", http("/cgi-bin/x?file=../../../../etc/passwd")),
    ("JNDIExploit Pattern", http("/?q=/Basic/Command/Base64/aWQ=")),
    ("Cross Site Scripting Strings", http("/search?q=%3Cscript%3Ealert(1)%3C/script%3E")),
    ("Source Code Enumeration Detection by Keyword", http("/.git/config")),
    ("Server Side Template Injection Strings", http("/hello?name=freemarker.template.utility.Execute")),
    ("Suspicious User-Agents Related To Recon Tools", http("/", agent="gobuster/3.5")),
    ("Suspicious Windows Strings In URI", http("/x?path=C:/Program%20Files/x")),
    ("F5 BIG-IP iControl Rest API Command Execution - Webserver", http("/mgmt/tm/util/bash", method="POST")),
    ("F5 BIG-IP iControl Rest API Command Execution - Proxy", http("/mgmt/tm/util/bash", method="POST")),
    ("HackTool - BabyShark Agent Default URL Pattern", http("/momyshark?key=x")),
    ("HackTool - Empire UserAgent URI Combo", http("/admin/get.php", method="POST", agent=INTERNET_EXPLORER)),
    ("Windows PowerShell User Agent", http("/a", agent="Mozilla/5.0 (Windows NT; de) WindowsPowerShell/5.1")),
    ("HTTP Request With Empty User Agent", http("/a", agent="")),
    ("Suspicious User Agent", http("/a", agent="user-agent: x")),
    ("Download From Suspicious TLD - Blacklist", http("/evil.exe", host="bad.country")),
    ("Raw Paste Service Access", http("/raw/abc", host="www.pastebin.com")),
    ("Telegram API Access", http("/bot1/getUpdates", host="api.telegram.org", agent="curl/8")),
]


@pytest.mark.parametrize(("title", "turns"), ATTACKS, ids=lambda value: value if isinstance(value, str) else "")
def test_public_rules_fire_on_the_wire(public: Ruleset, title: str, turns: list[Turn]) -> None:
    wire = Wire()
    talk(wire, turns)
    assert any(found.startswith(title) for found in titles(public, wire)), titles(public, wire)


def test_public_rules_leave_plain_requests_alone(public: Ruleset) -> None:
    wire = Wire()
    for path in ("/", "/index.html", "/news/2026/11/story?page=2", "/static/app.js", "/logo.png"):
        talk(wire, http(path, agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"))
    assert titles(public, wire) == set()


def titles(rules: Ruleset, wire: Wire) -> set[str]:
    detector = Detector(rules, DetectionConfig(), "sensor")
    return {alert.title for alert in detector.process(facts_of(wire.packets)) + detector.finish()}
