"""The versions Libra answers with."""

RELEASE = "1.0.0"
"""The release of this package, as DISCOVER's `release` and `--version` say it."""

MESSAGES = "1.0"
"""The version of the worker messages, as DISCOVER's `version` says it."""
