"""The HTTPS door of a node: Octavia's amphora API, 1.0 and v0.1, on Libra's engine."""
