"""The `libra` command: one module for each group of its sub-commands."""
