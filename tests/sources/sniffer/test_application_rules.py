"""The shipped rules on what connections say: hostile and honest programs, scripted."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from support.conversation import ATTACKER, VICTIM, Wire, facts_of, only, rules_raised
from support.streams import Turn, ftp, hello, http, old_smb, rdp, smb, talk

CLIENT = "192.0.2.5"
WRONG: tuple[str, bool] = ("x", False)
RIGHT: tuple[str, bool] = ("y", True)


def browse(
    wire: Wire, requests: list[list[Turn]], *, source: str = CLIENT, keep_alive: int = 1, pause_s: float = 0.1
) -> None:
    """Requests, so many of them on a connection."""
    for at in range(0, len(requests), keep_alive):
        talk(wire, [turn for turns in requests[at : at + keep_alive] for turn in turns], source=source, pause_s=0.002)
        wire.wait(pause_s)


# web


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("keep_alive", [1, 50])
@pytest.mark.parametrize("pause_s", [0, 5])
def test_a_search_for_hidden_pages(status: int, keep_alive: int, pause_s: float) -> None:
    wire = Wire()
    requests = [http(f"/{word:x}", status if word % 20 else 200, method="HEAD", body=0) for word in range(100)]
    browse(wire, requests, source=ATTACKER, keep_alive=keep_alive, pause_s=pause_s)
    assert rules_raised(wire.packets) == ["web_scan"]


def test_a_slow_search() -> None:
    wire = Wire()
    browse(wire, [http(f"/{word}", 404) for word in range(80)], source=ATTACKER, pause_s=60)
    assert "web_scan" in rules_raised(wire.packets)


@pytest.mark.parametrize(
    "agent",
    [
        "sqlmap/1.7#stable",
        "Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)",
        "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)",
    ],
)
def test_scanners_that_say_who_they_are(agent: str) -> None:
    wire = Wire()
    browse(wire, [http(f"/item?id={number}", 200, agent=agent) for number in range(40)], source=ATTACKER)
    assert rules_raised(wire.packets) == ["web_scan"]


def test_a_search_that_comes_from_elsewhere() -> None:
    """Any Referer will not do, only one of the site itself."""
    wire = Wire()
    elsewhere = "Referer: https://www.google.com/\r\n"
    browse(wire, [http(f"/{word}", 404, fields=elsewhere) for word in range(60)], source=ATTACKER)
    assert rules_raised(wire.packets) == ["web_scan"]


def test_two_searches_are_two_incidents() -> None:
    wire = Wire()
    for server in (VICTIM, "198.51.100.11"):
        for word in range(60):
            talk(wire, http(f"/{word}", 404), server=server)
    assert rules_raised(wire.packets) == ["web_scan", "web_scan"]


def test_honest_programs_on_the_web() -> None:
    chance = random.Random(5)
    wire = Wire()
    pages = [http(f"/articles/{number}", 404 if chance.random() < 0.3 else 200) for number in range(300)]
    browse(wire, pages, source="192.0.2.10", keep_alive=20)  # a crawler, and many links that are broken
    icons = [http(name, 404) for _ in range(40) for name in ("/favicon.ico", "/apple-touch-icon.png", "/robots.txt")]
    browse(wire, icons, source="192.0.2.11")
    updates = [http(f"/debian/dists/{number}/InRelease", 304, agent="Debian APT-HTTP/1.3") for number in range(20)]
    updates += [http(f"/debian/pool/{number}.deb", 200, agent="Debian APT-HTTP/1.3") for number in range(60)]
    updates += [http(f"/debian/i18n/Translation-{number}", 404, agent="Debian APT-HTTP/1.3") for number in range(15)]
    browse(wire, updates, source="192.0.2.12", keep_alive=10)
    upload: list[list[Turn]] = []
    for number in range(60):  # is it there already? if not, it is sent
        upload += [http(f"/blobs/{number}", 404, method="HEAD", body=0), http(f"/blobs/{number}", 201, method="PUT")]
    browse(wire, upload, source="192.0.2.13", keep_alive=6)
    page = "Referer: http://www.example.org/gallery.html\r\n"
    gallery = [http(f"/pictures/{number}.jpg", 404, fields=page) for number in range(60)]
    browse(wire, [http("/gallery.html"), *gallery], source="192.0.2.14", keep_alive=6)  # its pictures were moved
    folder = [http(f"/dav/._{number}", 404, method="PROPFIND", agent="WebDAVFS/3.0.0") for number in range(60)]
    browse(wire, folder, source="192.0.2.15", keep_alive=20)
    artifacts = [http(f"/repo/org/a{number}/a.pom", 404, agent="Apache-Maven/3.9") for number in range(80)]
    browse(wire, artifacts, source="192.0.2.16")
    for last in range(30, 90):  # everybody misses the same few pages
        browse(wire, [http("/old.html", 404)], source=f"192.0.2.{last}")
    assert rules_raised(wire.packets) == []


# logins


def test_guesses_from_one_host_at_many_services_are_an_incident_each() -> None:
    wire = Wire()
    for _ in range(12):
        talk(wire, ftp("alice", WRONG), port=21)
        talk(wire, smb("alice", 0xC000006D), port=445)
        talk(wire, rdp("alice", 2000), port=3389)
        wire.wait(1)
    assert rules_raised(wire.packets) == ["ftp_bruteforce", "rdp_bruteforce", "smb_bruteforce"]


@pytest.mark.parametrize("make", [smb, old_smb])
def test_the_right_guess_by_smb(make: Callable[[str, int], list[Turn]]) -> None:
    wire = Wire()
    for _ in range(12):
        talk(wire, make("alice", 0xC000006D), port=445)
    talk(wire, make("alice", 0), port=445)
    assert rules_raised(wire.packets) == ["smb_bruteforce", "smb_bruteforce_success"]


def test_slow_guesses() -> None:
    wire = Wire()
    for _ in range(40):
        talk(wire, ftp("alice", WRONG), port=21)
        wire.wait(400)
    assert "ftp_bruteforce" in rules_raised(wire.packets)


def test_people_mistype_passwords() -> None:
    wire = Wire()
    for number in range(60):
        user = f"192.0.2.{number % 8 + 10}"
        talk(wire, ftp("alice", *([WRONG] * (number % 3)), RIGHT), port=21, source=user)
        talk(wire, smb("alice", 0xC000006D if number % 7 == 0 else 0), port=445, source=user)
        talk(wire, rdp("alice", 90_000 if number % 5 else 2000), port=3389, source=user)
        wire.wait(30)
    assert rules_raised(wire.packets) == []


def test_a_spray_by_ssh() -> None:
    wire = Wire()
    for _ in range(2):
        for last in range(10, 15):
            wire.ssh([(68, 52), (84, 52)], server=f"198.51.100.{last}")
            wire.wait(2)
    assert "ssh_password_spray" in rules_raised(wire.packets)
    for wrong in ([(68, 52), (84, 52), (84, 28)], [(68, 52)]):  # a typo before the right password; no try at all
        wire = Wire()
        for last in range(10, 30):
            wire.ssh(wrong, server=f"198.51.100.{last}", source=CLIENT)
        assert rules_raised(wire.packets) == []


def test_passwords_in_clear_text_are_told_without_them() -> None:
    wire = Wire()
    talk(wire, ftp("alice", ("hunter2!", True)), port=21, source=CLIENT)
    talk(wire, [(">", hello())], port=443, source=CLIENT)
    facts = facts_of(wire.packets)
    assert [fact.user_name for fact in only(facts, "login")] == ["alice"]
    assert "hunter2!" not in repr(facts)
    assert rules_raised(wire.packets) == []  # informational
