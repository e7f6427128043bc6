"""Dashboards in the eyes of Grafana's own packages: types, units, and pictures with real data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.drawing import draw

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("DRAW"), reason="takes minutes, and npm's packages; run it with: make pictures"
    ),
    pytest.mark.timeout(900),
]
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(DEPLOY.rglob("dashboards/*.json"))


def tsc(*boards: str) -> str:
    """What the compiler says of dashboards as values of the schema's type; nothing where all is well."""
    directory = draw.packages()
    file = directory / f"checked-{os.getpid()}.ts"
    values = "".join(f"export const board{number}: Checked = {text};\n" for number, text in enumerate(boards))
    file.write_text((draw.HERE / "types.ts").read_text() + values)
    try:
        done = subprocess.run(
            [
                *("npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"),
                *("--module", "esnext", "--moduleResolution", "bundler", file.name),
            ],
            cwd=directory,
            capture_output=True,
            text=True,
        )
    finally:
        file.unlink()
    return done.stdout + done.stderr


def test_types_are_those_of_grafanas_schema() -> None:
    texts = [file.read_text() for file in FILES]

    assert tsc(*texts)[:3000] == ""
    assert "'\"gridPosition\"' does not exist" in tsc(texts[0].replace('"gridPos"', '"gridPosition"', 1))


def units(*files: Path) -> dict[str, object]:
    directory = draw.packages()
    shutil.copy(draw.HERE / "units.mjs", directory)
    done = subprocess.run(
        ["node", "units.mjs", *map(str, files)], cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_units_and_reducers_are_those_that_grafana_knows(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    (file,) = DEPLOY.glob("grafana/dashboards/overview.json")
    wrong.write_text(
        file.read_text().replace('"lastNotNull"', '"lastOne"').replace('"unit": "s"', '"unit": "sec0nds"')
    )

    found = units(*FILES)

    assert found["faults"] == []
    assert found["shown"] == {
        "bytes": "0.25 B",
        "cpm": "0.25 c/m",
        "cps": "0.25 c/s",
        "currencyUSD": "$0.25",
        "decbytes": "250.00 mB",
        "none": "0.25",
        "ops": "0.25 ops/s",
        "percent": "0.25%",
        "percentunit": "25.00%",
        "reqps": "0.25 req/s",
        "s": "250.00 ms",
        "short": "0.25",
    }
    assert "sec0nds is no unit" in str(units(wrong)["faults"])
    assert "lastOne is no reducer" in str(units(wrong)["faults"])


def test_every_dashboard_is_drawn(tmp_path: Path) -> None:
    scenes = os.environ.get("SCENE_DIR")
    if not scenes:
        pytest.skip("there are no answers to draw; run it with: make pictures")

    pictures = draw.draw(Path(scenes), Path(os.environ.get("PICTURES_DIR", tmp_path)))

    assert len(pictures) >= 20
    assert [picture.name for picture in pictures if picture.stat().st_size < 15_000] == []
