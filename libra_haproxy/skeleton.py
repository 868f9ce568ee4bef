"""The environment of templates that become a file of HAProxy's: they write tokens, nothing else."""

from __future__ import annotations

import jinja2

from libra_haproxy.tokens import Token


def environment(package: str) -> jinja2.Environment:
    """An environment for the templates of a package, in its folder `templates`.

    What they write must be a `Token`; rendering raises TypeError at anything else.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        undefined=jinja2.StrictUndefined,
        finalize=_only_tokens,
        autoescape=False,  # noqa: S701 - not HTML; `finalize` lets only tokens through
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _only_tokens(value: object) -> object:
    """Refuse to write anything that `tokens` has not made."""
    if isinstance(value, Token):
        return value
    raise TypeError(f"not a token, so not written: {value!r}")
