"""How people are told of alerts: one file a way."""
