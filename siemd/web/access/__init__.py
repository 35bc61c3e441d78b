"""Who may do what: passwords, second factors, sessions, tokens, rights, throttling and the audit log."""
