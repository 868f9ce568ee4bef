"""What a node would make of a file, found out without any node: faults, haproxy.cfg, its check."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from libra_client.cli.exits import Exit
from libra_client.cli.files import with_action
from libra_common.errors import SettingsError
from libra_common.settings import Settings
from libra_haproxy import numbering
from libra_haproxy.check import check
from libra_haproxy.errors import ConfigRefused, HaproxyMissing, HaproxyTimeout
from libra_haproxy.render import Place, render
from libra_haproxy.tokens import BadToken
from libra_messages.decode import decode
from libra_messages.faults import Fault, Malformed
from libra_messages.worker import Update, parse
from libra_translate.worker import to_model

_EVERYWHERE = ("::",)
"""Where a node listens whose settings name no address."""


class Verdict(StrEnum):
    """What `haproxy -c` said of the file."""

    PASSED = "passed"
    REFUSED = "refused"
    NOT_RUN = "not_run"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """HAProxy's verdict, and its complaints or why it was not asked."""

    result: Verdict
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """All that was found: no faults means that a node takes the message.

    `haproxy_cfg` and `checked` are None where there are faults, or the message is no UPDATE.
    """

    faults: tuple[Fault, ...] = ()
    haproxy_cfg: str | None = None
    checked: Checked | None = None

    @property
    def exit(self) -> Exit:
        """The exit code of this finding."""
        result = self.checked.result if self.checked else Verdict.PASSED
        if self.faults or result is Verdict.REFUSED:
            return Exit.BAD_FILE
        return Exit.NOT_CHECKED if result is Verdict.NOT_RUN else Exit.OK

    def as_json(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "valid": self.exit is not Exit.BAD_FILE,
            "faults": [{"path": fault.path, "reason": fault.reason} for fault in self.faults],
            "haproxy_cfg": self.haproxy_cfg,
            "haproxy_check": None if self.checked is None else asdict(self.checked),
        }


def validate(data: bytes, *, settings: Settings) -> Validation:
    """Look at a message as a node with these settings would, but change and start nothing.

    A message without an action is taken for an UPDATE. Raises SettingsError where the settings
    have something that cannot be written into HAProxy's file.
    """
    limit = settings.gearman.message_limit
    if len(data) > limit:
        reason = f"the message has {len(data)} bytes and the limit is {limit}"
        return Validation(faults=(Fault("", reason),))
    try:
        request = parse(with_action(decode(data)), max_nodes=settings.haproxy.max_nodes)
    except Malformed as error:
        return Validation(faults=error.faults)
    if not isinstance(request, Update):
        return Validation()
    text = haproxy_cfg(request, settings)
    return Validation(haproxy_cfg=text, checked=_ask_haproxy(text, settings.haproxy.haproxy))


def haproxy_cfg(request: Update, settings: Settings) -> str:
    """HAProxy's file as a new node with these settings would write it."""
    haproxy = settings.haproxy
    wanted, _ = numbering.assign(to_model(request), previous=None, next_numbers={})
    place = Place(
        certificates=Path("/"),  # no message of a worker names one
        bind=haproxy.bind_address or _EVERYWHERE,
        admin_socket=haproxy.run_dir / "admin.sock",
        maxconn=haproxy.maxconn,
    )
    try:
        return render(wanted, suspended=False, place=place).text
    except BadToken as error:
        raise SettingsError(f"[worker:haproxy]: {error}") from error


def _ask_haproxy(text: str, haproxy: Path) -> Checked:
    try:
        with tempfile.TemporaryDirectory(prefix="libra-validate-") as folder:
            config = Path(folder, "haproxy.cfg")
            try:
                config.write_text(text)
                check(haproxy=haproxy, config=config)
            except ConfigRefused as error:
                return Checked(result=Verdict.REFUSED, message=str(error).replace(f"{folder}/", ""))
    except (HaproxyMissing, HaproxyTimeout) as error:
        return Checked(result=Verdict.NOT_RUN, message=str(error))
    except OSError as error:
        return Checked(result=Verdict.NOT_RUN, message=f"cannot write a file: {error.strerror}")
    return Checked(result=Verdict.PASSED)
