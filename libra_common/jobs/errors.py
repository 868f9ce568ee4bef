"""What can go wrong between a caller and the answer of its job."""

from __future__ import annotations

from libra_common.errors import LibraError


class JobError(LibraError):
    """The root of this package's errors: a job has no answer that could be handed on."""

    code = "job_error"


class BadJob(JobError):
    """The job cannot be expressed in the protocol (a NUL or too long a name); nothing was sent."""

    code = "bad_job"


class NoServer(JobError):
    """No gearman server accepted the job (or answered the question); each one's reason is named."""

    code = "no_server"


class JobTimeout(JobError):
    """A server accepted the job and no answer came in time; it may still run, or run later."""

    code = "timeout"


class JobFailed(JobError):
    """The server or the worker gave the job up (WORK_FAIL, WORK_EXCEPTION, an ERROR packet)."""

    code = "job_failed"


class ConnectionLost(JobError):
    """The connection broke after the job was accepted; whether it ran is not known."""

    code = "connection_lost"
