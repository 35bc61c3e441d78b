"""sources/sniffer."""
