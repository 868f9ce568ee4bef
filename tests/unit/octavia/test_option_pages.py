"""The table of options and the feature matrix say what the tests show."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from octavia_lib.api.drivers import data_models
from octavia_lib.common import constants

from tests.support.options import OPTIONS, Option
from tests.support.options.features import KIND_OF, MATRICES, judged, options_of
from tests.support.options.pages import pages

ROOT = Path(__file__).parents[3]

_NOT_OPTIONS = {
    *("name", "description", "project_id", "default_pool", "l7policies", "members"),
    *("healthmonitor", "listeners", "pools", "flavor", "availability_zone", "session_persistence"),
    *("vip_address", "vip_network_id", "vip_port_id", "vip_subnet_id", "additional_vips"),
    *("insert_headers", "protocol", "subnet_id", "lb_algorithm", "type", "compare_type", "action"),
    *("client_authentication", "vnic_type"),
}
"""Fields that say nothing to a device, are shown by other tests, or have a line for each value."""

_MODELS = {
    "load balancer": data_models.LoadBalancer,
    "listener": data_models.Listener,
    "pool": data_models.Pool,
    "member": data_models.Member,
    "health monitor": data_models.HealthMonitor,
    "L7 policy": data_models.L7Policy,
    "L7 rule": data_models.L7Rule,
}


def named(kind: str) -> set[str]:
    return {one.name for one in OPTIONS if one.kind == kind}


def is_a_test(named: str) -> bool:
    file, _, test = named.partition("::")
    return f"def {test}(" in (ROOT / file).read_text()


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_the_generated_pages_are_up_to_date(path: Path) -> None:
    assert path.read_text() == pages()[path], "run: python -m tests.support.options.pages"


@pytest.mark.parametrize("kind", _MODELS)
def test_every_field_of_an_object_is_in_the_table(kind: str) -> None:
    fields = {
        name
        for name in vars(_MODELS[kind]())
        if not name.endswith(("_id", "_data")) or name in ("redirect_pool_id", "default_pool_id")
    }
    assert fields - _NOT_OPTIONS - named(kind) == set()


@pytest.mark.parametrize(
    ("kind", "prefix", "words"),
    [
        ("listener", "protocol", constants.LISTENER_SUPPORTED_PROTOCOLS),
        ("listener", "client_authentication", constants.SUPPORTED_CLIENT_AUTH_MODES),
        (
            "listener",
            "insert_headers",
            (*constants.SUPPORTED_HTTP_HEADERS, *constants.SUPPORTED_SSL_HEADERS),
        ),
        ("pool", "protocol", constants.POOL_SUPPORTED_PROTOCOLS),
        ("pool", "lb_algorithm", constants.SUPPORTED_LB_ALGORITHMS),
        ("pool", "session_persistence", constants.SUPPORTED_SP_TYPES),
        ("health monitor", "type", constants.SUPPORTED_HEALTH_MONITOR_TYPES),
        ("L7 policy", "action", constants.SUPPORTED_L7POLICY_ACTIONS),
        ("L7 rule", "type", constants.SUPPORTED_L7RULE_TYPES),
        ("L7 rule", "compare_type", constants.SUPPORTED_L7RULE_COMPARE_TYPES),
    ],
)
def test_every_word_of_octavias_is_in_the_table(
    kind: str, prefix: str, words: tuple[str, ...]
) -> None:
    assert {f"{prefix} {word}" for word in words} - named(kind) == set()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_each_option_is_either_proved_or_refused(option: Option) -> None:
    assert option.proof or option.refusal
    assert not (option.proof or option.by) or (option.passes and option.fails)
    if option.by:
        assert is_a_test(option.by)


@pytest.mark.parametrize("name", MATRICES)
def test_each_line_of_the_matrix_is_true_and_partial_ones_say_why(name: str) -> None:
    text = next(text for path, text in pages().items() if path.name.endswith(f"-{name}.ini"))
    found = configparser.ConfigParser(strict=True)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(text)
    for feature in MATRICES[name]:
        section = found[f"operation.{feature.key}"]
        word, note = judged(name, feature)
        assert section["driver.libra"] == word
        assert (word == "complete") is ("driver-notes.libra" not in section)
        assert bool(note) is (word != "complete")
        served = all(one.proof or one.by for one in options_of(name, feature))
        assert served is (word != "missing") or feature.missing
        if feature.by:
            assert is_a_test(feature.by)
    assert KIND_OF[name]
