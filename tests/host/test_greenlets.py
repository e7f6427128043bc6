"""What must not wait where gevent's loop calls it, as it calls signal handlers."""

from __future__ import annotations

import pytest

from tests.support.programs import run


def test_a_hidden_process_is_looked_at_in_the_loop_of_gevent() -> None:
    pytest.importorskip("gevent")
    code = """
from gevent import monkey
monkey.patch_all()
import json, os
import gevent
from otel_obs.host import proc
found = []
gevent.get_hub().loop.run_callback(lambda: found.append(proc.hidden_process(os.getpid()).has_ended))
gevent.sleep(0.1)
print(json.dumps(found))
"""
    assert run(code).results == [[False]]
