"""Every server, way in and situation: each request is on each scrape, whatever happens, and nothing is left.

A few lives that have every pair among them; `make matrix` leads all of them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services.life import live
from tests.services.table import EVERY, Cell, spanning

AT_ONCE = 4
LIMIT_S = 900


def chosen() -> list[Cell]:
    """What is led here."""
    return list(EVERY) if os.environ.get("MATRIX") == "all" else spanning()


def by_server() -> list[list[Cell]]:
    """The lives, those of one server together."""
    cells = chosen()
    names = dict.fromkeys(cell.server.name for cell in cells)
    return [[cell for cell in cells if cell.server.name == name] for name in names]


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("cells", [pytest.param(cells, id=cells[0].server.name) for cells in by_server()])
def test_services_count_exactly(cells: list[Cell]) -> None:
    possible = [cell for cell in cells if not cell.impossible]
    if not possible:
        pytest.skip(cells[0].impossible)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [str(error) for error in pool.map(outcome, possible) if error is not None]
    assert not failures, "\n".join(failures)


def outcome(cell: Cell) -> Exception | None:
    """What went wrong in one life."""
    try:
        live(cell)
    except Exception as error:
        return RuntimeError(f"{cell.name}: {type(error).__name__}: {error}")
    return None
