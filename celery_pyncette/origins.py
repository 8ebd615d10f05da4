"""In which module something is defined: what a process that inherits nothing has to import, to define it too."""

from __future__ import annotations

import sys

#: What the main module is called in a process that was spawned, and everywhere.
_SPAWNED_MAIN = "__mp_main__"
_MAIN = "__main__"


def defining_module() -> str:
    """The innermost module whose body is being executed now: its import is what leads to the caller.

    Not the module of the calling function: that may be a factory, which somebody has to call.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__", _MAIN))
    return _MAIN if name == _SPAWNED_MAIN else name
