"""Build the compiled fast paths of recording into the wheel, where there is a compiler; without one, nothing.

`python hatch_build.py` builds them in place, for a checkout. OTEL_OBS_BUILD_COMPILED=off leaves them out, and
`required` makes it an error if they cannot be built.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("otel_obs", "compiled")
NAME = "_recording"


def build(root: Path, into: Path) -> Path | None:
    """Build the module below *into*; None where that cannot be, or is not to be."""
    wanted = os.environ.get("OTEL_OBS_BUILD_COMPILED", "")
    if wanted == "off":
        return None
    reason = ""
    if sys.implementation.name != "cpython":
        reason = "it needs CPython"
    else:
        try:
            _compile(root, into)
        except (Exception, SystemExit) as error:  # a compiler may be broken in any way
            reason = repr(error)
    found = sorted(
        (into / PACKAGE).glob(f"{NAME}.*{sysconfig.get_config_var('EXT_SUFFIX').rpartition('.')[2]}")
    )
    if found:
        return found[0]
    if wanted == "required":
        raise SystemExit(f"the compiled fast paths cannot be built: {reason or 'see above'}")
    print(f"otel_obs is built without its compiled fast paths: {reason or 'see above'}", file=sys.stderr)
    return None


def _compile(root: Path, into: Path) -> None:
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    source = str(root / PACKAGE / f"{NAME}.c")
    module = Extension(".".join((*PACKAGE.parts, NAME)), [source], optional=True)
    command: Any = build_ext(Distribution({"name": "otel_obs", "ext_modules": [module]}))
    command.build_lib, command.build_temp = str(into), str(into / "temp")
    command.ensure_finalized()
    command.run()


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the module to a wheel, or to the checkout of an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel is put together."""
        if self.target_name != "wheel":
            return
        self._into = tempfile.mkdtemp(prefix="otel-obs-build-")
        built = build(Path(self.root), Path(self._into))
        if built is None:
            return
        if version == "editable":
            put(built, Path(self.root))
        else:
            build_data["force_include"][str(built)] = str(PACKAGE / built.name)
            build_data["pure_python"], build_data["infer_tag"] = False, True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was needed to build."""
        shutil.rmtree(getattr(self, "_into", ""), ignore_errors=True)


def put(built: Path, root: Path) -> None:
    """Put the module into a checkout, in one step: a process may have the one before mapped."""
    target = root / PACKAGE / built.name
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(built, part)
    os.replace(part, target)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="otel-obs-build-") as directory:
        checkout = Path(__file__).resolve().parent
        module = build(checkout, Path(directory))
        if module is not None:
            put(module, checkout)
