"""The gate: mutual TLS in front of gearmand, and each certificate may do what its role says.

    client --TLS--> connection --packets--> rules --allowed--> upstream --plain--> gearmand

gearmand knows no authorisation: whoever reaches it can take the jobs of every node, keys included.
So it listens where only the gate reaches it, and the gate reads the header of each packet.
"""

PROG = "libra_gate"
"""The command."""
