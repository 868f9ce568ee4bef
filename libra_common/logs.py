"""Log lines: where they go, how they look, which job they belong to; never a secret in them."""

from __future__ import annotations

import contextvars
import datetime
import json
import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from libra_common.errors import SettingsError
from libra_common.masking import mask_text, masked
from libra_common.settings.model import DefaultSettings

__all__ = [
    "current_job",
    "hook_uncaught",
    "job_context",
    "masked",
    "setup",
]

LOG = logging.getLogger(__name__)

SYSLOG = Path("/dev/log")
"""The system's syslog socket."""

_JOB: contextvars.ContextVar[str] = contextvars.ContextVar("libra_job", default="")
_OURS = "libra-log"
"""The name of our handler, by which a later `setup` finds and replaces it."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Everything that ends or rewrites a line for a terminal, a pager or a log collector: C0, C1, the
# Unicode line ends, the marks that reverse text, and half surrogates (not encodable).
_UNSAFE = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x2028,
        0x2029,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
        *range(0xD800, 0xE000),
    )
} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


@contextmanager
def job_context(job: str) -> Iterator[None]:
    """Mark every line that this thread logs inside the block with the id `job`.

    A thread started inside does not inherit it; run its work with `contextvars.copy_context()`.
    """
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


def current_job() -> str:
    """Give the id of the job this thread works on, "" if there is none."""
    return _JOB.get()


class _Formatter(logging.Formatter):
    """Common to both formats: a message with its arguments masked, that never raises."""

    def message_of(self, record: logging.LogRecord) -> str:
        args: Any = record.args
        try:
            # Masked by structure first, where a secret's extent is certain.
            text = str(record.msg) % masked(args) if args else str(masked(record.msg))
        except Exception as error:  # noqa: BLE001 - any __str__ may raise anything
            # The default would print message and arguments, secrets included, to stderr.
            text = f"{record.msg!r} cannot be logged ({type(error).__name__})"
        return mask_text(text)

    def trace_of(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return mask_text("\n".join(filter(None, (trace, record.stack_info))))

    @staticmethod
    def time_of(record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(_Formatter):
    """One line for people; what it quotes cannot start a line of its own.

    `2026-01-02T03:04:05.678Z INFO libra_worker.controller [job 7] applied`, in UTC. A traceback
    follows on lines that begin with four spaces and a bar.
    """

    def __init__(self, *, stamped: bool = True) -> None:
        super().__init__()
        self._stamped = stamped

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, and the traceback's lines if there is one."""
        job = f" [{_safe(mask_text(_JOB.get()))}]" if _JOB.get() else ""
        start = f"{self.time_of(record)} " if self._stamped else ""
        line = f"{start}{record.levelname} {record.name}{job} {_safe(self.message_of(record))}"
        trace = self.trace_of(record)
        below = [f"    | {_safe(part)}" for part in trace.split("\n")] if trace else []
        return "\n".join([line, *below])


class JsonFormatter(_Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, pid, thread, and as needed
    request_id, exception, and the names given by `extra`.
    """  # noqa: D205 - one sentence

    def format(self, record: logging.LogRecord) -> str:
        """Give the object as one line."""
        entry: dict[str, Any] = {
            "time": self.time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message_of(record),
            "pid": record.process,
            "thread": record.threadName,
        }
        if _JOB.get():
            entry["request_id"] = mask_text(_JOB.get())
        trace = self.trace_of(record)
        if trace:
            entry["exception"] = trace
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        for name, value in masked(extra).items():
            entry.setdefault(name, value)
        return json.dumps(_plain(entry), ensure_ascii=True, allow_nan=False)


class _WatchedFile(logging.handlers.WatchedFileHandler):
    """A log file that may be moved away, or fail, without the caller of a logger noticing."""

    def emit(self, record: logging.LogRecord) -> None:
        # Opening the file again is not guarded by the base class: with the directory gone or the
        # disk full, each log call would raise in the middle of a job.
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


def setup(
    settings: DefaultSettings, *, prog: str, detached: bool = False, syslog_at: Path = SYSLOG
) -> None:
    """Send all log lines of the process where `settings` say, from now on.

    May be called again (SIGHUP): the new place is opened first, so that on an error, raised as
    SettingsError, the old one goes on. `prog` names the program to syslog. A `detached` process
    without log file has no standard error; its lines go to syslog if there is one.
    """
    root = logging.getLogger()
    # SysLogHandler and FileHandler report trouble of their own by printing the record,
    # arguments included, to stderr. A full disk must not make secrets visible.
    logging.raiseExceptions = False
    to_syslog = settings.syslog or (
        detached and settings.log_file is None and syslog_at.is_socket()
    )
    handler = _handler(settings, to_syslog=to_syslog, syslog_at=syslog_at)
    if to_syslog and isinstance(handler, logging.handlers.SysLogHandler):
        handler.ident = f"{prog}[{os.getpid()}]: "
    json_lines = settings.log_format == "json"
    handler.setFormatter(JsonFormatter() if json_lines else TextFormatter(stamped=not to_syslog))
    handler.name = _OURS
    old = [known for known in root.handlers if known.name == _OURS]
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for known in old:
        root.removeHandler(known)
        known.close()
    logging.captureWarnings(True)


def hook_uncaught() -> None:
    """Log exceptions that nothing catches, in any thread, in place of printing them unmasked."""

    def main_thread(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            LOG.critical("uncaught exception", exc_info=(kind, error, trace))

    def other_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            info = (args.exc_type, args.exc_value, args.exc_traceback)
            name = args.thread.name if args.thread else "?"
            LOG.critical("uncaught exception in thread %s", name, exc_info=info)

    sys.excepthook = main_thread
    threading.excepthook = other_thread


def _handler(settings: DefaultSettings, *, to_syslog: bool, syslog_at: Path) -> logging.Handler:
    if to_syslog:
        # The handler itself takes a missing socket in silence, for as long as it is missing.
        if not syslog_at.is_socket():
            raise SettingsError(f"[DEFAULT] syslog = true: there is no syslog at {syslog_at}")
        return logging.handlers.SysLogHandler(
            address=str(syslog_at), facility=settings.syslog_facility
        )
    if settings.log_file is not None:
        try:
            return _WatchedFile(settings.log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SettingsError(
                f"[DEFAULT] log_file = {str(settings.log_file)!r}: cannot be opened:"
                f" {error.strerror}"
            ) from None
    return logging.StreamHandler()


def _safe(text: str) -> str:
    return text.translate(_UNSAFE)


def _plain(value: Any) -> Any:
    """Give `value` as JSON can hold it; whatever it cannot hold becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, str):
        return value
    try:
        return mask_text(str(value))
    except Exception:  # noqa: BLE001 - a broken __str__ must not lose the line
        return f"<{type(value).__name__}>"
