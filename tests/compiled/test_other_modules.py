"""A compiled module that is not this source's, or is another's, is left alone: Python records."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.support.programs import run

RECORDING = """
    def recorded():
        from otel_obs.sdk import MeterProvider
        provider = MeterProvider(shutdown_on_exit=False)
        bound = provider.get_meter("m").create_counter("c").bind({"k": "v"})
        for _ in range(3):
            bound.add(1)
        store = provider.worker.store()
        return bound, store.cells[: store.used_cells].tolist()
"""


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("VERSION = 1", "the compiled module is of version 1, expected"),
        ("nothing = print", "the compiled module is of version None, expected"),
        ("raise ImportError('it is broken')", "there is no compiled module for this Python: it is broken"),
        ("raise SystemError('it did not begin')", "there is no compiled module for this Python: it did not"),
    ],
)
def test_a_module_of_another_source(module: str, reason: str) -> None:
    code = f"""
    import importlib.abc, importlib.util, json, sys

    class Other(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name, path, target=None):
            if name == "otel_obs.compiled._recording":
                return importlib.util.spec_from_loader(name, self)

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            exec({module!r}, module.__dict__)

    sys.meta_path.insert(0, Other())
    {RECORDING}
    bound, cells = recorded()
    from otel_obs import compiled
    print(json.dumps([compiled.is_used, compiled.reason, cells]))
    """
    ((is_used, said, cells),) = run(code).results
    assert (is_used, cells) == (False, [3.0])
    assert said.startswith(reason)


def test_a_second_import_of_the_package_records_in_python_and_the_first_goes_on() -> None:
    code = f"""
    import gc, json, sys
    {RECORDING}
    first, cells = recorded()
    from otel_obs import compiled
    for name in [name for name in sys.modules if name.partition(".")[0] == "otel_obs"]:
        del sys.modules[name]
    gc.collect()
    second, others = recorded()
    from otel_obs import compiled as anew
    first.add(1)
    second.add(1)
    print(json.dumps([
        compiled.is_used, anew.is_used, anew.reason, cells, others,
        first._cells[first._offset], second._cells[second._offset],
    ]))
    """
    ((*are_used, reason, cells, others, of_first, of_second),) = run(code).results
    assert are_used == [True, False]
    assert "another" in reason
    assert (cells, others, of_first, of_second) == ([3.0], [3.0], 4.0, 4.0)


def test_another_interpreter_of_the_process_records_in_python() -> None:
    theirs = f"""
    import json
    {RECORDING}
    _, cells = recorded()
    from otel_obs import compiled
    print(json.dumps([compiled.is_used, compiled.reason, cells]), flush=True)
    """
    code = f"""
    import json, sys
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        kind = ["legacy"]  # one that shares what the process has, as all did before
    else:
        import _xxsubinterpreters as interpreters
        kind = []
    {RECORDING}
    first, _ = recorded()
    other = interpreters.create(*kind)
    interpreters.run_string(other, {dedent(theirs)!r})
    interpreters.destroy(other)
    first.add(1)
    from otel_obs import compiled
    print(json.dumps([compiled.is_used, first._cells[first._offset]]))
    """
    (is_used, reason, cells), ours = run(code).results
    assert (is_used, cells) == (False, [3.0])
    assert "interpreter" in reason
    assert ours == [True, 4.0]
