"""`python -m tests.servers ensure | found | wait NAME... | stop`."""

from __future__ import annotations

import sys

from tests.servers import start
from tests.servers.catalogue import PROGRAMS, SERVERS, find, masked


def main(arguments: list[str]) -> int:
    match arguments:
        case ["ensure"]:
            return start.ensure(lambda line: print(line, flush=True))
        case ["found"]:
            for name in (*SERVERS, *PROGRAMS):
                found = find(name)
                print(f"{name:15} {masked(found.url) if found.url else 'missing: ' + found.reason}")
            return 0
        case ["wait", *names] if names and set(names) <= set(SERVERS):
            return start.wait_for(names, lambda line: print(line, flush=True))
        case ["stop"]:
            start.stop(print)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
