"""The engine: one Instance is one keeper is one HAProxy."""
