"""The places where devices and floating IPs live: one protocol, and what implements it."""
