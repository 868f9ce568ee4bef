"""Builds and deletes devices, and handles floating IPs, for API servers that ask by gearman."""
