"""Jobs through gearman: the only place of the project that imports the gearman library.

`JobWorker` takes and answers jobs, `JobClient` submits them, `AdminClient` and `probe` ask a
server about itself; `parse_server` and `tls_from` turn settings into what these take.
"""

from __future__ import annotations

from libra_common.jobs.admin import AdminClient, AdminRefused, FunctionStatus, WorkerLine, probe
from libra_common.jobs.client import JobClient
from libra_common.jobs.errors import (
    BadJob,
    ConnectionLost,
    JobError,
    JobFailed,
    JobTimeout,
    NoServer,
)
from libra_common.jobs.job import Job
from libra_common.jobs.kept import Kept
from libra_common.jobs.lane import LaneState, LaneStatus
from libra_common.jobs.many import ask_many
from libra_common.jobs.named import servers_of, tls_of
from libra_common.jobs.servers import GearmanServer, TlsFiles, parse_server, tls_from
from libra_common.jobs.worker import MESSAGE_LIMIT, JobWorker, WorkerStatus

__all__ = [
    "MESSAGE_LIMIT",
    "AdminClient",
    "AdminRefused",
    "BadJob",
    "ConnectionLost",
    "FunctionStatus",
    "GearmanServer",
    "Job",
    "JobClient",
    "JobError",
    "JobFailed",
    "JobTimeout",
    "JobWorker",
    "Kept",
    "LaneState",
    "LaneStatus",
    "NoServer",
    "TlsFiles",
    "WorkerLine",
    "WorkerStatus",
    "ask_many",
    "parse_server",
    "probe",
    "servers_of",
    "tls_from",
    "tls_of",
]
