"""What applications may write by mistake is an error in mypy and in pyright, both strict; nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "samples"
WRONG, RIGHT = SAMPLES / "wrong.py", SAMPLES / "right.py"


def marked(sample: Path) -> list[int]:
    lines = enumerate(sample.read_text().splitlines(), 1)
    return [number for number, line in lines if line.endswith("# wrong")]


def output_of(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(sample: Path, cache: Path) -> list[int]:
    output = output_of("mypy", "--strict", "--output=json", f"--cache-dir={cache}", str(sample))
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return sorted({each["line"] for each in found if each["severity"] == "error"})


def pyright(sample: Path) -> list[int]:
    found = json.loads(output_of("pyright", "--outputjson", "--pythonpath", sys.executable, str(sample)))
    assert found["summary"]["filesAnalyzed"] == 1
    return sorted({each["range"]["start"]["line"] + 1 for each in found["generalDiagnostics"]})


def test_mypy_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert mypy(WRONG, tmp_path) == marked(WRONG)
    assert mypy(RIGHT, tmp_path) == []


def test_pyright_refuses_what_is_wrong() -> None:
    assert pyright(WRONG) == marked(WRONG)
    assert pyright(RIGHT) == []
