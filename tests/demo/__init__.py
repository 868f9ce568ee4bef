"""The story that `bin/demo` tells: a worker, live, through the jobs of its life.

Nothing here needs pytest: it runs where Libra is installed without its development extras.
"""
