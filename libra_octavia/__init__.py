"""Libra as a provider of OpenStack's Octavia: the driver in its API, and the agent behind it.

Written against octavia-lib alone. The driver records what was asked for in the inventory; the
agent makes it so and reports to Octavia.
"""

PROG = "libra_octavia"
"""The command."""
