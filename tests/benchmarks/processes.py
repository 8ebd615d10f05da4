"""What processes have used: memory of one, CPU of one with all its descendants."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def rss(pid: int) -> int:
    """Resident memory in bytes; 0 if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def cpu(*pids: int) -> float:
    """Seconds of CPU that these processes and all that descend from them have used."""
    stats = {int(path.parent.name): _stat(path) for path in Path("/proc").glob("[0-9]*/stat")}
    wanted = set(pids)
    while True:
        more = {pid for pid, (parent, _) in stats.items() if parent in wanted} - wanted
        if not more:
            return sum(stats[pid][1] for pid in wanted if pid in stats) / _TICK
        wanted |= more


def _stat(path: Path) -> tuple[int, int]:
    """Parent and ticks of CPU, those of children that have ended included."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), sum(int(field) for field in fields[11:15])
