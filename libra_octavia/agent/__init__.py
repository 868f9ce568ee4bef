"""The provider agent: makes so what the inventory holds, and reports to Octavia.

`decide` and `report` are pure; `reconcile` serves one load balancer once; `agent` looks for those
that want it, many at a time. Devices and Octavia are given to it (`devices`, `octavia`).
"""
