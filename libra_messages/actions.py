"""A family of messages that share one field with the action: the worker's, the pool manager's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from libra_messages.balancer import Contract
from libra_messages.codes import Code
from libra_messages.faults import Fault, Malformed, path_of, shown
from libra_messages.fold import Shape, ascii_lower, fold, shape_of


class Command(Contract):
    """A message as a whole: its fields, and the action that it is sent with."""

    action: ClassVar[str]


C = TypeVar("C", bound=Command)


class Actions(Generic[C]):
    """The messages of one family: `field` names the action, `models` read what comes with it."""

    def __init__(self, field: str, models: Sequence[type[C]]) -> None:
        self.field = field
        self.models: dict[str, type[C]] = {model.action: model for model in models}
        self.names: tuple[str, ...] = tuple(self.models)
        self._by_word = {ascii_lower(model.action): model for model in models}
        self._shapes = {model: shape_of(model) for model in models}
        self._action_only = Shape({field: None})

    def model_of(self, message: Mapping[str, Any]) -> type[C]:
        """Return the model of a message, by its action in any case.

        Raises Malformed with code ``missing_action``, ``unknown_action`` or
        ``malformed_message`` (the action given twice).
        """
        folded, twice = fold(message, self._action_only)
        if twice:
            raise Malformed(Code.MALFORMED_MESSAGE, twice)
        if self.field not in folded:
            raise Malformed(Code.MISSING_ACTION, [Fault(self.field, "is required")])
        word = folded[self.field]
        model = self._by_word.get(ascii_lower(word)) if isinstance(word, str) else None
        if model is None:
            reason = f"must be one of {', '.join(self.names)}, got {shown(word)}"
            raise Malformed(Code.UNKNOWN_ACTION, [Fault(self.field, reason)])
        return model

    def action_of(self, message: Any) -> str | None:
        """Return the action of a message in canonical spelling, None where it has none of ours."""
        try:
            return self.model_of(message).action if isinstance(message, Mapping) else None
        except Malformed:
            return None

    def folded(
        self, message: Mapping[str, Any], model: type[C]
    ) -> tuple[dict[str, Any], tuple[Fault, ...]]:
        """Return the fields that `model` knows under canonical names, and those given twice."""
        return fold(message, self._shapes[model])

    def model_named(self, action: str) -> type[C]:
        """Return the model of an action, in any case; raises ValueError where there is none."""
        model = self._by_word.get(ascii_lower(action))
        if model is None:
            names = ", ".join(self.names)
            raise ValueError(f"no such action: {shown(action)}; there are {names}")
        return model


def refuse_other_than_objects(message: Any) -> None:
    """Raise Malformed with code ``not_an_object`` for what is no JSON object."""
    if not isinstance(message, Mapping):
        reason = f"the message must be a JSON object, got {shown(message)}"
        raise Malformed(Code.NOT_AN_OBJECT, [Fault("", reason)])


def faults_in(error: ValidationError) -> list[Fault]:
    """Turn what pydantic found into faults, in our own words."""
    faults = []
    for found in error.errors(include_url=False):
        kind = found["type"]
        if kind == "missing":
            reason = "is required"
        elif kind == "value_error":
            reason = str(found["ctx"]["error"])
        elif kind == "tuple_type":
            reason = f"must be a list, got {shown(found['input'])}"
        else:
            reason = f"must be an object, got {shown(found['input'])}"
        faults.append(Fault(path_of(found["loc"]), reason))
    return faults
