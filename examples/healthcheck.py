"""Ask beats how they are, from a shell, a cron job or a container's health check; the exit status is 0 if all are well.

    python healthcheck.py 127.0.0.1:9699 beat-2.example:9699           # /health of each
    python healthcheck.py --page live 127.0.0.1:9699                   # its loop alone

Beats answer if the application says so: app.conf.pyncette_http_address = "127.0.0.1:9699". Needs Python alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from typing import Any


def ask(address: str, page: str, seconds: float) -> dict[str, Any]:
    """What a beat says; a beat that says nothing is failing too."""
    try:
        with urllib.request.urlopen(f"http://{address}/{page}", timeout=seconds) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as failing:
        return json.load(failing)
    except (OSError, ValueError) as error:
        return {"status": "silent", "problems": [str(error)]}


def told(said: dict[str, Any]) -> str:
    """One line for people."""
    if said["problems"]:
        return "; ".join(said["problems"])
    return f"{said['beats']} beats, lag {said['lag_seconds']:.1f} s, clock {said['clock_offset_seconds'] or 0:+.3f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask beats how they are.")
    parser.add_argument("address", nargs="+", help="host:port of a beat")
    parser.add_argument("--page", choices=("health", "live", "ready"), default="health")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS")
    asked = parser.parse_args()
    answers = {address: ask(address, asked.page, asked.timeout) for address in asked.address}
    for address, said in answers.items():
        print(f"{address}: {said['status']}: {told(said)}")
    return 0 if all(said["status"] == "ok" for said in answers.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
