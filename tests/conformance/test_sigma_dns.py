"""The public Sigma rules about DNS fire on questions and answers of the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Detector, load_ruleset
from support.conversation import Wire, facts_of
from support.messages import TXT, resolve, txt

CLIENT = "192.0.2.5"


@pytest.fixture(scope="module")
def raised(corpus: Path) -> set[str]:
    """The files of the rules of category dns that fire on a few bad questions."""
    wire = Wire()
    for name in (
        "x1.oastify.com",
        "aaa.stage.1234.example.com",
        "pool.minexmr.com",
        "dGVzdA==.example.org",
        "API.telegram.org",
        "www.iuqssfsodp9ifjaposdfjhgosurijfaewrwergwea.com".removeprefix("www."),
        "home.duckdns.org",
    ):
        resolve(wire, CLIENT, name)
        wire.wait(2)
    resolve(wire, CLIENT, "t.example.org", [txt(b"IEX (New-Object Net.WebClient).DownloadString('x')")], kind=TXT)
    folders = [corpus / "sigma" / "rules" / "network" / "dns", corpus / "sigma" / "rules-threat-hunting" / "network"]
    ruleset = load_ruleset(folders)
    assert not ruleset.problems
    detector = Detector(ruleset, DetectionConfig(), "conformance")
    alerts = detector.process(facts_of(wire.packets)) + detector.finish()
    paths = {rule.id: Path(rule.path).stem for rule in ruleset.rules}
    return {paths[alert.rule_id] for alert in alerts}


@pytest.mark.parametrize(
    "rule",
    [
        "net_dns_external_service_interaction_domains",
        "net_dns_low_reputation_etld",
        "net_dns_mal_cobaltstrike",
        "net_dns_pua_cryptocoin_mining_xmr",
        "net_dns_susp_b64_queries",
        "net_dns_susp_telegram_api",
        "net_dns_susp_txt_exec_strings",
        "net_dns_wannacry_killswitch_domain",
    ],
)
def test_a_public_rule_fires_on_the_wire(raised: set[str], rule: str) -> None:
    assert rule in raised


def test_ordinary_questions_raise_none_of_them(corpus: Path) -> None:
    wire = Wire()
    for name in ("www.example.com", "api.example.org", "mail.example.net"):
        resolve(wire, CLIENT, name)
    detector = Detector(
        load_ruleset([corpus / "sigma" / "rules" / "network" / "dns"]), DetectionConfig(), "conformance"
    )
    assert detector.process(facts_of(wire.packets)) + detector.finish() == []
