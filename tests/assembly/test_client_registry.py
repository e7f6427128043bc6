"""The default registry of prometheus_client has its own collectors back when ours leaves it."""

from __future__ import annotations

from tests.support.programs import run


def test_what_was_silent_stands_in_its_place_again_after_the_end() -> None:
    code = """
    import json
    import otel_obs
    import prometheus_client
    from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY
    standard = {PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR}
    names = "python_info{", "process_open_fds ", 'python_gc_collections_total{generation="0"}'

    def standing():
        return {name: id(collector) for name, collector in REGISTRY._names_to_collectors.items()}

    before = standing()
    for _ in range(2):
        otel_obs.configure()
        lines = prometheus_client.generate_latest(REGISTRY).decode().splitlines()
        print(json.dumps([sum(line.startswith(name) for line in lines) for name in names]))
        print(json.dumps(set(before.values()).isdisjoint(standing().values())))
        otel_obs.shutdown()
        print(json.dumps([standing() == before, set(REGISTRY._collector_to_names) == standard]))
    for collector in standard:
        REGISTRY.unregister(collector)
    print(json.dumps(standing()))
    """
    told = [[1, 1, 1], True, [True, True]]
    assert run(code).results == [*told, *told, {}]
