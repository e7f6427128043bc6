"""The classifier as it is, but for a model that cannot be loaded while a file is there: `--break-model`."""

from __future__ import annotations

import os
from pathlib import Path

import model
from demo.service import BROKEN_WHILE


class BreakableModel(model.DigitModel):
    """A model that fails as long as the file exists that DEMO_BROKEN_WHILE names."""

    def __init__(self) -> None:
        if Path(os.environ[BROKEN_WHILE]).exists():
            raise RuntimeError("the file of the model is damaged")
        super().__init__()


model.DigitModel = BreakableModel  # type: ignore[misc]

from app import app  # noqa: E402  # it takes the class that is there now

__all__ = ["app"]
