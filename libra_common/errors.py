"""The root of every error that Libra raises on purpose."""

from __future__ import annotations


class LibraError(Exception):
    """Something that a caller should be told in plain words.

    `code` is the stable word that answers carry in `hpcs_error_code` and that programs may
    compare; the exception's text is for people and may be bettered at any time.
    """

    code = "internal_error"


class SettingsError(LibraError):
    """A setting is missing, malformed or contradicts another; names the setting and the reason."""

    code = "bad_settings"
