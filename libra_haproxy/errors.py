"""What can go wrong between a wanted load balancer and a serving HAProxy, one class a cause.

`code` is the word an answer carries as `hpcs_error_code`; the text is for people.
"""

from __future__ import annotations

from libra_common.errors import LibraError


class EngineError(LibraError):
    """The root of the engine's errors: the change asked for is not in force."""

    code = "internal_error"


class ConfigRefused(EngineError):
    """`haproxy -c` refused the candidate file; the text holds its complaints. Nothing changed."""

    code = "config_refused"


class HaproxyMissing(EngineError):
    """The HAProxy binary is not there or may not be run. Nothing changed."""

    code = "haproxy_missing"


class HaproxyTimeout(EngineError):
    """HAProxy lives but did not answer before the deadline."""

    code = "haproxy_timeout"


class HaproxyDown(EngineError):
    """No HAProxy answers on its socket: it is not running, or it is being restarted."""

    code = "haproxy_down"


class ReloadFailed(EngineError):
    """HAProxy refused to take over with the new file; the previous one goes on serving."""

    code = "reload_failed"


class StartFailed(EngineError):
    """HAProxy, or its keeper, could not be started."""

    code = "start_failed"


class PortTaken(EngineError):
    """Another program listens where the load balancer should; names the address and port."""

    code = "port_taken"


class PortForbidden(EngineError):
    """HAProxy has no right to listen on a port this low."""

    code = "permission_denied"


class TooFewFiles(EngineError):
    """The limit on open files is too low for this many servers and connections."""

    code = "too_few_files"


class BadCertificate(EngineError):
    """What should be a certificate with its key is none. Nothing changed; no key is quoted."""

    code = "config_refused"


class CertificateMissing(EngineError):
    """A certificate that a configuration names is not there. Nothing changed."""

    code = "config_refused"


class NotInForce(EngineError):
    """HAProxy answered, but what it serves is not what was asked for."""

    code = "not_in_force"


class NoLoadBalancer(EngineError):
    """The action needs a load balancer and there is none yet."""

    code = "no_load_balancer"


class LoadBalancerDeleted(EngineError):
    """The load balancer was deleted; only a new one can be made."""

    code = "deleted"


class StaleGeneration(EngineError):
    """The sender's generation is older than the applied one, or another sender's equal one."""

    code = "stale_generation"


class NoSuchEntry(EngineError):
    """The history does not hold the entry that was asked for."""

    code = "no_such_entry"


class StateUnreadable(EngineError):
    """The stored state is damaged or of a newer schema; it is left as it is."""

    code = "state_unreadable"


class DiskError(EngineError):
    """The state could not be written (full disk, rights); the previous one is in force."""

    code = "disk_error"


class InstanceInUse(EngineError):
    """Another process owns this Instance's directory; names the door and the process."""

    code = "wrong_owner"


class Busy(EngineError):
    """Another has in hand what this needs; it may be asked again."""

    code = "busy"
