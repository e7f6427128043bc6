"""What waits for an import: done once, guarded, and taken back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from otel_obs.host.imports import when_imported

NAME = "imported_by_the_tests_of_otel_obs"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / f"{NAME}.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield NAME
    sys.modules.pop(NAME, None)


def test_an_action_is_done_when_its_module_has_been_imported(module: str) -> None:
    seen: list[int] = []
    when_imported(module, lambda imported: seen.append(imported.ANSWER))
    assert seen == []

    __import__(module)

    assert seen == [42]


def test_it_is_done_at_once_where_that_has_happened(module: str) -> None:
    __import__(module)
    seen: list[int] = []

    when_imported(module, lambda imported: seen.append(imported.ANSWER))

    assert seen == [42]


def test_what_is_taken_back_is_not_done(module: str) -> None:
    seen: list[str] = []
    take_back = when_imported(module, lambda imported: seen.append("taken back"))
    when_imported(module, lambda imported: seen.append("kept"))
    take_back()

    __import__(module)

    assert seen == ["kept"]


def test_an_action_that_raises_breaks_neither_the_import_nor_the_others(
    module: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def fail(imported: object) -> None:
        raise ValueError("no")

    when_imported(module, fail)
    when_imported(module, lambda imported: seen.append(imported.ANSWER))
    with caplog.at_level(logging.WARNING, "otel_obs"):
        imported = __import__(module)

    assert (imported.ANSWER, seen) == (42, [42])
    assert [record.getMessage() for record in caplog.records] == [
        f"otel_obs could not follow the import of {module}"
    ]


def test_fifty_that_wait_for_a_module_are_one_hook(module: str) -> None:
    for _ in range(50):
        when_imported(module, lambda imported: None)()

    assert len(import_module("wrapt.importer")._post_import_hooks[module]) == 1
    __import__(module)


def test_a_module_that_waits_for_itself_is_handed_over_whole(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{NAME}.py").write_text(f"import sys\nsys.modules['{NAME}.waiter'].wait()\nANSWER = 42\n")
    seen: list[int] = []
    waiter = ModuleType(f"{NAME}.waiter")
    waiter.wait = lambda: when_imported(  # type: ignore[attr-defined]
        module, lambda imported: seen.append(getattr(imported, "ANSWER", 0))
    )
    sys.modules[waiter.__name__] = waiter
    try:
        import_module(module)
        assert seen == [42]
    finally:
        del sys.modules[waiter.__name__]


def test_an_import_that_fails_in_the_middle_is_waited_for_again(tmp_path: Path, module: str) -> None:
    source = tmp_path / f"{NAME}.py"
    source.write_text(
        "from otel_obs.host.imports import when_imported\n"
        f"when_imported('{NAME}', lambda whole: whole.SEEN.append(1))\n"
        "raise ValueError('in the middle')\n"
    )
    with pytest.raises(ValueError, match="in the middle"):
        import_module(module)
    source.write_text("SEEN = []\n" + "#" * 99)
    assert import_module(module).SEEN == [1]
