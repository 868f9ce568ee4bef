"""What a daemon tells of itself over HTTP: alive, ready, and figures for Prometheus."""

from libra_common.health.page import Page
from libra_common.health.server import HealthServer, serve
from libra_common.health.subject import Check, Family, Histogram, Look, Started, Subject
from libra_common.health.tally import Tally

__all__ = [
    "Check",
    "Family",
    "HealthServer",
    "Histogram",
    "Look",
    "Page",
    "Started",
    "Subject",
    "Tally",
    "serve",
]
