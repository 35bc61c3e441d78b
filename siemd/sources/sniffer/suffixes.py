"""Which labels of a name were registered by its owner: what lies one label below a public suffix.

The list is short on purpose: suffixes of two labels of large countries, and providers that hand out names below one of
theirs (content networks, hosting, dynamic DNS; cf. https://publicsuffix.org), so that their customers are told apart.
"""

from __future__ import annotations

_SECOND = ("com", "co", "net", "ne", "org", "or", "edu", "ac", "gov", "go", "gob", "govt", "mil", "nom", "ltd", "plc")
_COUNTRIES = (
    "ae ar at au bd bn bo br cn co cr cy do ec eg fj ge gh gr gt hk hu id il in ir jo jp ke kr kw lb ls mg mm mo mt mx "
    "my na ng ni np nz om pa pe ph pk pl pr pt py qa ro ru sa sg sv th tn tr tt tw tz ua ug uk uy ve vn za zm zw"
)
_PROVIDERS = (
    "akamaiedge.net akamaihd.net akamaized.net amazonaws.com appspot.com azureedge.net azurefd.net azurewebsites.net "
    "blogspot.com cdn77.org cloudapp.net cloudfront.net core.windows.net ddns.net duckdns.org dyndns.org "
    "dynu.net edgekey.net edgesuite.net fastly.net firebaseapp.com freeddns.org github.io gitlab.io googleapis.com "
    "herokuapp.com hopto.org kozow.com mooo.com myftp.biz myftp.org netlify.app ngrok.io no-ip.biz no-ip.org "
    "onrender.com pages.dev run.app servebeer.com servehttp.com sytes.net trafficmanager.net trycloudflare.com "
    "vercel.app web.app wixsite.com workers.dev ydns.eu zapto.org id.au me.uk sch.uk nhs.uk in.ua kiev.ua ad.jp "
    "blob.core.windows.net table.core.windows.net queue.core.windows.net ngrok-free.app"
)
SUFFIXES = frozenset(
    tuple(name.encode().split(b"."))
    for name in (*(f"{second}.{country}" for country in _COUNTRIES.split() for second in _SECOND), *_PROVIDERS.split())
)
_LONGEST = max(map(len, SUFFIXES))
_MAX_TLD = 24
# Names that are never looked up in the public tree: a machine's own network, and what it calls itself.
PRIVATE_TOPS = frozenset(
    b"arpa corp domain fritz home intern internal intra intranet lan lcl local localdomain localhost mail onion "
    b"private workgroup wpad".split()
)

Labels = tuple[bytes, ...]


def registered(labels: Labels) -> Labels:
    """The registered domain of a name: its last labels.

    () when there is none: a name of one label, or one whose last label can't be a top-level domain.
    """
    if len(labels) < 2 or not _is_top(labels[-1]):
        return ()
    size = 2
    for length in range(2, min(_LONGEST, len(labels) - 1) + 1):
        if labels[-length:] in SUFFIXES:
            size = length + 1
    return labels[-size:]


def _is_top(label: bytes) -> bool:
    return 2 <= len(label) <= _MAX_TLD and (label.isalpha() or label.startswith(b"xn--"))
