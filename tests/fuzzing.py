"""How many random cases the fuzz tests try: some hundreds as a rule, NPUFACE_FUZZ=20000 for a long run.

NPUFACE_FUZZ=20000 .venv/bin/pytest tests -k fuzz --timeout=36000
"""

from __future__ import annotations

import os
from pathlib import Path

CASES = int(os.environ.get("NPUFACE_FUZZ", "300"))


def share(part: float) -> int:
    """So many of all cases."""
    return max(10, round(CASES * part))


def snapshot(folder: Path) -> dict[str, int]:
    """The files of a folder and their sizes: what must not change beside it."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
