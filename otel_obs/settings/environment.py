"""The environment of the process: nothing else in the package reads or writes it."""

import os
from collections.abc import MutableMapping


def process_environment() -> MutableMapping[str, str]:
    """The environment of this process, which its children inherit."""
    return os.environ
