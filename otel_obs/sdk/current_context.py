"""The look-up of the current context, which every measurement makes."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import _RUNTIME_CONTEXT


def _current_context() -> Any:
    """Look up the current context; empty, and so false, unless something like a span is in it."""
    return _RUNTIME_CONTEXT.get_current()


# The usual runtime context is one context variable, and reading it directly costs a tenth.
context_variable = getattr(_RUNTIME_CONTEXT, "_current_context", None)
current_context = context_variable.get if context_variable is not None else _current_context
