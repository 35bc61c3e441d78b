"""siemd: a SIEM daemon that watches the wire, the event logs and the host, and never loses an event in silence."""

__version__ = "0.1.0"
