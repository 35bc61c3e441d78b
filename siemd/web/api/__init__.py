"""The resources of the API, one file each; a new one is a line in RESOURCES."""
