"""Functions that give the catalog's metrics their values, in the processes of one service."""

from __future__ import annotations

from tests.support.programs import run


def test_a_forked_child_asks_the_functions_at_its_first_scrape() -> None:
    code = """
import json, os, re
import otel_obs
from otel_obs.catalog.cache import cache_memory_bytes
otel_obs.configure(callback_age_ms=5000)
cache_memory_bytes.set_function(lambda: 10)
def scrape(): return re.findall(r"^cache_memory_bytes (.*)$", otel_obs.get_metrics()[0].decode(), re.M)
print(json.dumps(scrape()), flush=True)
child = os.fork()
if child == 0:
    print(json.dumps(scrape()), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert run(code).results == [["10.0"], ["20.0"]]
