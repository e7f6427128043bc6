"""The classifier over its workers: one without a model, caches that are full, a worker that is dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.classifier import classifier, image
from tests.support.processes import Service
from tests.support.prometheus import prometheus_server
from tests.support.systems import when
from tests.support.waiting import until

CAPACITY = 10
IMAGES = 60

# The third worker that gunicorn starts finds no digits to learn from; the one that follows it does.
THIRD_WORKER_FAILS = """
def post_fork(server, worker):
    if worker.age == 3:
        import sklearn.datasets

        def load_digits():
            raise OSError("the digits are not readable")

        sklearn.datasets.load_digits = load_digits
"""


def by_worker(service: Service, path: str) -> dict[str, int]:
    """The status of a path, by the worker that answered, once all four have."""
    answers: dict[str, int] = {}

    def ask() -> bool:
        answer = service.get(path)
        answers[answer.headers["X-Worker"]] = answer.status
        return len(answers) == 4

    until(ask, f"an answer of each worker to {path}")
    return answers


@pytest.mark.prometheus
def test_one_worker_of_four_without_its_model_raises_the_alert_until_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.py").write_text(THIRD_WORKER_FAILS)
    env = {"GUNICORN_CMD_ARGS": f"-c {tmp_path / 'gunicorn.py'}"}
    with classifier(tmp_path / "log", env=env) as service:
        target = f"127.0.0.1:{service.port}"
        with prometheus_server(tmp_path / "prometheus", {"classifier": target}) as prometheus:
            answers = by_worker(service, "/health")
            assert sorted(answers.values()) == [200, 200, 200, 503]
            shown = {service.scrape().value("model_state") for _ in range(20)}
            until(lambda: prometheus.value("model_state != 1") == 2.0, "the alert's expression")
            bad = next(int(worker) for worker, status in answers.items() if status == 503)

            service.kill(bad)
            service.wait_for_workers(4)
            answers = by_worker(service, "/health")
            until(lambda: prometheus.value("model_state == 1") == 1.0, "a good state in Prometheus")
            ended = prometheus.query("model_state != 1")

    assert shown == {2.0}
    assert list(answers.values()) == [200] * 4
    assert ended == []


def test_full_caches_show_the_capacity_of_one_and_a_dead_worker_leaves_its_hits_behind(
    tmp_path: Path,
) -> None:
    with classifier(tmp_path / "log", env={"CACHE_CAPACITY": str(CAPACITY)}) as service:
        workers = service.wait_for_workers(4)
        answered: dict[str, int] = {}

        def fill() -> bool:
            for number in range(IMAGES):
                answer = service.post("/predict", {"image": image(number)})
                assert answer.status == 200
                worker = answer.headers["X-Worker"]
                answered[worker] = answered.get(worker, 0) + 1
            return len(answered) == 4 and min(answered.values()) > 2 * CAPACITY

        until(fill, "more images for each worker than its cache holds", timeout_s=240)
        full = when(service, "http_requests_total", sum(answered.values()))
        service.kill(workers[0])
        service.wait_for_workers(4)
        after = service.scrape()

    assert full.value("cache_size_current") == CAPACITY
    assert full.value("cache_size_current") / CAPACITY * 100 == 100
    assert full.value("cache_hits_total") + full.value("cache_misses_total") == sum(answered.values())
    assert after.value("cache_size_current") == CAPACITY  # one that has no cache yet has no part in it
    assert after.value("cache_memory_bytes") == pytest.approx(full.value("cache_memory_bytes") * 3 / 4)
    for counted in "cache_hits_total", "cache_misses_total", "cache_hit_rate":
        assert after.value(counted) == full.value(counted)
    assert after.total("predictions_total") == full.total("predictions_total")
