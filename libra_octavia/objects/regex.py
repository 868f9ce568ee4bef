r"""Regular expressions: those that HAProxy's library (PCRE) reads as Octavia's API does. Pure.

Octavia's API tries them by Python. Where Python knows more than PCRE, a device would refuse its
whole file for one rule, so that is refused here by name.
"""

from __future__ import annotations

import re
import warnings

_FLAGS = re.compile(r"\(\?([A-Za-z]+)?(-[A-Za-z]+)?[:)]")
_KNOWN_FLAGS = frozenset("imsx")
_NAMES = re.compile(r"\(\?P<([^>]*)>")
_COUNTS = re.compile(r"\{(\d*),?(\d*)\}")
_ESCAPES = re.compile(r"\\(.)", re.DOTALL)
_PYTHONS_OWN = frozenset("uUNLlQE")
_MOST_OF_ONE = 65_535
_LONGEST_NAME = 32


def wrong_with(pattern: str) -> str | None:
    """Why HAProxy would not take a regular expression; None where it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"is no regular expression: {error}"
    own = next((one for one in _ESCAPES.findall(pattern) if one in _PYTHONS_OWN), None)
    if own is not None:
        return f"has \\{own} in it, which HAProxy does not know"
    flags = {flag for found in _FLAGS.findall(pattern) for flag in "".join(found)} - {"-"}
    if flags - _KNOWN_FLAGS:
        return f"has flags in it that HAProxy does not know: {''.join(sorted(flags))}"
    if any(len(name) > _LONGEST_NAME for name in _NAMES.findall(pattern)):
        return f"has a group in it whose name is longer than {_LONGEST_NAME} characters"
    if any(int(count or 0) > _MOST_OF_ONE for pair in _COUNTS.findall(pattern) for count in pair):
        return f"counts beyond {_MOST_OF_ONE}"
    return None
