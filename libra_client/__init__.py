"""The Python client and the libra command."""
