"""The one list of stable error words that an answer may carry in ``hpcs_error_code``."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a message was answered FAIL, as one word that never changes its meaning.

    The text beside it (``hpcs_error``) is for people and may be reworded at any time; programs
    compare this word. A member is an ordinary string: ``Code.BAD_JSON == "bad_json"``.
    """

    # The message itself: nothing was looked at but its text.
    BAD_JSON = "bad_json"  # not UTF-8, not strict JSON, or nested too deeply
    NOT_AN_OBJECT = "not_an_object"  # JSON, but a list, a string, a number ...
    MESSAGE_TOO_LARGE = "message_too_large"  # more bytes than the worker takes
    MISSING_ACTION = "missing_action"  # no hpcs_action
    UNKNOWN_ACTION = "unknown_action"  # an hpcs_action that no message has
    MALFORMED_MESSAGE = "malformed_message"  # fields missing, of a wrong kind or out of range

    # The load balancer is not in a state for this action.
    NO_LOAD_BALANCER = "no_load_balancer"  # none was ever created here
    DELETED = "deleted"  # there was one; only an UPDATE creates a new one
    SUSPENDED = "suspended"  # not while suspended; ENABLE first

    STALE_GENERATION = "stale_generation"  # a newer configuration was applied; send what is newest
    NO_SUCH_ENTRY = "no_such_entry"  # the history does not hold it (any more)

    # The worker cannot do this, here.
    NOT_CONFIGURED = "not_configured"  # the operator has not set this up
    NOT_SUPPORTED = "not_supported"  # understood, but this worker has no such ability

    # HAProxy did not take the change; the previous configuration goes on serving.
    CONFIG_REFUSED = "config_refused"  # haproxy -c refused the file
    RELOAD_FAILED = "reload_failed"  # the file was good, the reload was not
    START_FAILED = "start_failed"  # HAProxy did not start
    PORT_TAKEN = "port_taken"  # another process listens on a port asked for
    TOO_FEW_FILES = "too_few_files"  # the limit of file descriptors is too low
    PERMISSION_DENIED = "permission_denied"  # the worker may not bind the port or write a file
    NOT_IN_FORCE = "not_in_force"  # the read-back from HAProxy differs from the message

    # HAProxy itself.
    HAPROXY_MISSING = "haproxy_missing"  # no such program
    HAPROXY_TIMEOUT = "haproxy_timeout"  # it runs, but does not answer in time
    HAPROXY_DOWN = "haproxy_down"  # it does not run

    # The node.
    STATE_UNREADABLE = "state_unreadable"  # the stored state is damaged or of an unknown schema
    DISK_ERROR = "disk_error"  # full, read-only or failing
    WRONG_OWNER = "wrong_owner"  # another door owns this load balancer
    BUSY = "busy"  # earlier jobs held the load balancer for too long
    SHUTTING_DOWN = "shutting_down"  # the worker leaves; send it again

    # Archives.
    ARCHIVE_FAILED = "archive_failed"  # for a reason that none of these words has
    STORE_UNAUTHORIZED = "store_unauthorized"  # the token is not accepted, or cannot be checked
    STORE_FORBIDDEN = "store_forbidden"  # the token has no right to write there
    STORE_FULL = "store_full"  # a quota or the store is full
    STORE_ERROR = "store_error"  # the store failed, or answered what it should not
    STORE_UNREACHABLE = "store_unreachable"  # no connection, or it was cut
    STORE_UNTRUSTED = "store_untrusted"  # its certificate cannot be verified
    STORE_TIMEOUT = "store_timeout"  # the store was too slow
    CHECKSUM_MISMATCH = "checksum_mismatch"  # the store has something else than was sent

    # A fault of the program: it is in the log with its traceback.
    INTERNAL_ERROR = "internal_error"
