"""Figures of the server for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        kept = self.registry
        self.requests = Counter(
            "ragyena_requests", "Requests by route and status.", ["route", "method", "status"], registry=kept
        )
        self.seconds = Histogram(
            "ragyena_request_seconds", "Time to the end of the response.", ["route"], buckets=SECONDS, registry=kept
        )
        self.stages = Histogram(
            "ragyena_stage_seconds", "Time of a question in a stage.", ["stage"], buckets=SECONDS, registry=kept
        )
        self.batches = Histogram(
            "ragyena_batch_questions", "Questions read together.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=kept
        )
        self.waiting = Gauge("ragyena_queue_questions", "Questions that wait for the reader.", registry=kept)
        self.refused = Counter("ragyena_refused", "Requests refused, by reason.", ["reason"], registry=kept)
        self.answers = Counter("ragyena_answers", "Answers by kind.", ["kind"], registry=kept)
        self.writer = Counter(
            "ragyena_writer_requests", "Requests to the writer by outcome.", ["outcome"], registry=kept
        )
        self.dropped = Counter("ragyena_dropped", "Questions dropped unread: client gone, time up.", registry=kept)
        self.jobs = Counter("ragyena_jobs", "Additions by how they ended.", ["state"], registry=kept)
        self.documents = Gauge("ragyena_documents", "Documents in an index.", ["index"], registry=kept)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return bytes(generate_latest(self.registry))
