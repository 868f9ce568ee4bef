"""The steps, each named by its place in the order."""
