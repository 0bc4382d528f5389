"""`npuface` and `python -m npuface_toolkit`: what stands ready before the command's own imports, which take seconds."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Run the command. Exit codes are those of `npuface_toolkit.cli.main`, and 143: ended by SIGTERM."""
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, _terminate)
        sys.unraisablehook = _insist
        os.register_at_fork(after_in_child=_end_at_once)
    try:
        _command()()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that every `with` cleans up; `timeout` sends the signal twice, and once is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(_TERMINATED)


def _insist(lost: sys.UnraisableHookArgs) -> None:
    """What is raised in a callback of C code comes to nothing, as in jax's at every collection of garbage: raise it
    again a moment later.
    """
    if not isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
        sys.__unraisablehook__(lost)
    elif sys.platform != "win32":
        interrupted = isinstance(lost.exc_value, KeyboardInterrupt)
        signal.signal(signal.SIGALRM, signal.default_int_handler if interrupted else _terminate)
        signal.setitimer(signal.ITIMER_REAL, 0.1)


def _end_at_once() -> None:
    """Workers have nothing to clean up, and who started them waits for their end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _command() -> Callable[[], None]:
    """The command; where its packages are not installed, as on a camera, that is said and the process ends."""
    try:
        from npuface_toolkit.cli import main as command
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("npuface"):
            raise
        _refuse(error.name)
    return command


def _refuse(module: str) -> NoReturn:
    from npuface_runtime.errors import UserError

    why = f"it needs the Python module {module}, which is not installed"
    refusal = UserError("cannot start the command npuface", why, "pip install 'npuface[export]'")
    if "--json" in sys.argv:
        print(json.dumps(refusal.as_json(), indent=2))
    else:
        print(f"error: {refusal.what}\n  why: {refusal.why}\n  fix: {refusal.fix}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
