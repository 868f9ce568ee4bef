"""What can go wrong with a cloud; each error has the stable `error_code` of an answer."""

from __future__ import annotations

from libra_common.errors import LibraError


class CloudError(LibraError):
    """A cloud did not do what was asked; the text says why and what can be done about it.

    `code` is answered as `error_code` and never changes its meaning.
    """

    code = "cloud_error"


class QuotaExceeded(CloudError):
    """The project may not have another device or address."""

    code = "quota"


class NoCapacity(CloudError):
    """The cloud has no room: no valid host, or a pool of addresses that is used up."""

    code = "capacity"


class BadRequest(CloudError):
    """The cloud knows no such image, flavor, network, zone, group or key; the text names it."""

    code = "bad_request"


class BuildFailed(CloudError):
    """The device went into an error state; the text is the cloud's own fault."""

    code = "build_failed"


class DeleteFailed(CloudError):
    """The cloud could not delete the device; it is still there. The text is the cloud's fault."""

    code = "delete_failed"


class CloudTimeout(CloudError):
    """Nothing was heard in time. What was asked for may have been done all the same."""

    code = "timeout"


class CloudUnavailable(CloudError):
    """The cloud cannot be reached, or a service of it is away."""

    code = "cloud_unavailable"


class Unauthorized(CloudError):
    """The cloud takes neither name nor password, or the user may not do this."""

    code = "unauthorized"


class NotFound(CloudError):
    """There is no such device or address, or it is not one of ours."""

    code = "not_found"


class Conflict(CloudError):
    """It is held by another device, or something else is under way with it."""

    code = "conflict"
