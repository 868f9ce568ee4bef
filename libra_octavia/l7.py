"""What a listener does with requests by what is in them: policies with rules. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What becomes of a request that a policy matches."""

    REJECT = "REJECT"
    REDIRECT_PREFIX = "REDIRECT_PREFIX"
    REDIRECT_TO_URL = "REDIRECT_TO_URL"
    REDIRECT_TO_POOL = "REDIRECT_TO_POOL"


class RuleType(StrEnum):
    """What of a request or its client's certificate is compared."""

    COOKIE = "COOKIE"
    FILE_TYPE = "FILE_TYPE"
    HEADER = "HEADER"
    HOST_NAME = "HOST_NAME"
    PATH = "PATH"
    SSL_CONN_HAS_CERT = "SSL_CONN_HAS_CERT"
    SSL_VERIFY_RESULT = "SSL_VERIFY_RESULT"
    SSL_DN_FIELD = "SSL_DN_FIELD"


class Compare(StrEnum):
    """How it is compared."""

    CONTAINS = "CONTAINS"
    ENDS_WITH = "ENDS_WITH"
    EQUAL_TO = "EQUAL_TO"
    REGEX = "REGEX"
    STARTS_WITH = "STARTS_WITH"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One comparison; `key` names the header, cookie or field of a name that is compared."""

    id: str
    type: RuleType
    compare: Compare
    value: str
    key: str | None = None
    invert: bool = False
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What to do with a request that all of the rules match; without a rule there is none.

    `pool_id`, `url` and `code` (the HTTP status of a redirection) are for the actions that need
    them; `url` is the whole address or the beginning of it.
    """

    id: str
    action: Action
    position: int = 1
    enabled: bool = True
    pool_id: str | None = None
    url: str | None = None
    code: int = 302
    rules: tuple[Rule, ...] = ()

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules that are compared; none where the policy does nothing."""
        return tuple(rule for rule in self.rules if rule.enabled) if self.enabled else ()
