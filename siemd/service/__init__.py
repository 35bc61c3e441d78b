"""Running under a service manager."""
