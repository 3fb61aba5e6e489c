"""What is counted, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Summary, generate_latest
from prometheus_client.core import GaugeMetricFamily

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counters:
    """The counters of one listener, since its process began.

    Args:
        studies: returns how many studies there are in each state, now.
    """

    def __init__(self, studies: Callable[[], Mapping[str, int]]) -> None:
        self._registry = CollectorRegistry()
        self._studies = studies
        self.images = self._counter("images", "Images that were taken, by what was done with them", "result")
        self.refused = self._counter("studies_refused", "Studies that could not be answered")
        self.answers = self._counter("answers_sent", "Answers that the destination took")
        self.failures = self._counter("sends_failed", "Attempts to send an answer that failed")
        self.classification = Summary("dwskd_classification_seconds", "Time to answer a study", registry=self._registry)
        self._registry.register(self)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"dwskd_{name}", what, labels, registry=self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The studies by state, as the registry asks for them."""
        family = GaugeMetricFamily("dwskd_studies", "Studies by state", labels=["state"])
        for state, count in self._studies().items():
            family.add_metric([state], count)
        yield family

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)
