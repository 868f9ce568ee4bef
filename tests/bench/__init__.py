"""Measures Libra against other ways to change a running load balancer, side by side.

`python -m tests.bench` runs every figure with real parts on this machine; compare the ratios of
one run, not the times of two.
"""
