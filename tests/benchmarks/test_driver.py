from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import BenchmarkError, Result, find_benchmarks, main, medians, run_once, write_table

TABLE = """\
counter
  three attributes, of prometheus_client                            0.41       0.5   ok
  three attributes, of the OpenTelemetry SDK                        0.13      0.12   OVER"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the benchmarks that there are."""
    package = tmp_path / "benchmarks"
    package.mkdir()
    monkeypatch.setattr(benchmarks, "__path__", [str(package)])
    (package / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    return package


def test_a_benchmark_runs_in_a_process_of_its_own(folder: Path) -> None:
    (folder / "one.py").write_text("import os\ndef run():\n    return [('pid', os.getpid(), 0.5)]\n")

    first, second = run_once("one", quick=False), run_once("one", quick=False)

    assert first[0][1] != second[0][1]


def test_a_quick_run_is_told_so(folder: Path) -> None:
    (folder / "one.py").write_text(
        "import os\ndef run():\n    return [('quick', float(os.environ['OTEL_OBS_BENCH_QUICK'] or 0), 1.0)]\n"
    )

    assert run_once("one", quick=True) == [("quick", 1.0, 1.0)]
    assert run_once("one", quick=False) == [("quick", 0.0, 1.0)]


def test_medians_are_taken_of_each_measurement_over_the_runs() -> None:
    runs = [[("a", 3.0, 2.0), ("b", 1.0, 1.0)], [("a", 1.0, 2.0)], [("a", 9.0, 2.0), ("b", 2.0, 1.0)]]

    assert medians(runs) == [Result("a", 3.0, 2.0), Result("b", 1.5, 1.0)]


def test_the_table_says_which_goals_are_missed() -> None:
    results = [
        Result("three attributes, of prometheus_client", 0.41, 0.5),
        Result("three attributes, of the OpenTelemetry SDK", 0.13, 0.12),
    ]

    assert write_table("counter", results) == TABLE


@pytest.mark.parametrize(("measured", "code"), [(0.5, 0), (0.51, 1)])
def test_a_missed_goal_fails_the_run(folder: Path, measured: float, code: int) -> None:
    (folder / "one.py").write_text(f"def run():\n    return [('x', {measured}, 0.5)]\n")

    assert main(["--quick"]) == code


def test_a_benchmark_that_fails_is_shown_and_fails_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "one.py").write_text("def run():\n    raise RuntimeError('no peer')\n")

    assert main(["--quick"]) == 1
    assert "one failed:" in capsys.readouterr().err


def test_a_name_that_is_no_benchmark_is_refused(folder: Path) -> None:
    (folder / "counters.py").touch()
    (folder / "_shared.py").touch()

    with pytest.raises(BenchmarkError, match="^'counter' is no benchmark; expected one of counters$"):
        find_benchmarks(["counter"])


def test_what_a_benchmark_prints_does_not_matter(folder: Path) -> None:
    (folder / "one.py").write_text("def run():\n    print('warming up')\n    return [('x', 1.0, 2.0)]\n")

    assert run_once("one", quick=True) == [("x", 1.0, 2.0)]


def test_a_module_without_run_is_no_benchmark(folder: Path) -> None:
    (folder / "peers.py").write_text("x = 1\n")

    assert run_once("peers", quick=True) == []


def test_the_module_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True)

    assert done.returncode == 0
    assert "--quick" in done.stdout
