"""What the API's caller and the operator are told when a call is not accepted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from octavia_lib.api.drivers import exceptions

from libra_common.errors import LibraError
from libra_octavia.objects import Fault, Unsupported


@contextmanager
def told(call: str) -> Iterator[None]:
    """Turn Libra's errors into those of octavia-lib; `call` names the driver's method and object.

    What cannot be served becomes UnsupportedOptionError and names the field; everything else a
    DriverError: nothing was recorded, and the call may be made again.
    """
    try:
        yield
    except Unsupported as error:
        raise unsupported(error.faults, call) from error
    except LibraError as error:
        raise exceptions.DriverError(
            user_fault_string=(
                "Libra could not record the request, so nothing was changed. Please try again"
                " later, or tell the operator of this cloud."
            ),
            operator_fault_string=f"libra: {call}: {error}",
        ) from error


def unsupported(faults: tuple[Fault, ...], call: str) -> exceptions.UnsupportedOptionError:
    """The refusal of fields by their names."""
    named = "; ".join(map(str, faults))
    return exceptions.UnsupportedOptionError(
        user_fault_string=f"Libra cannot do what is asked for: {named}.",
        operator_fault_string=f"libra: {call} was refused: {named}",
    )


def not_implemented(call: str, instead: str) -> exceptions.NotImplementedError:
    """The refusal of a whole call; `instead` says what happens or is to be done in its place."""
    return exceptions.NotImplementedError(
        user_fault_string=f"Libra does not offer {call}: {instead}.",
        operator_fault_string=f"libra: {call} is not implemented: {instead}",
    )
