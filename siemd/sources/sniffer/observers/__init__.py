"""The sensor's observers: one file for each kind of fact."""
