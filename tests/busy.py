"""Load generator: run a command beside processes that keep the processor busy.

    python -m tests.busy 8 -- make test

The processes share the command's session, so that a scheduler that groups processes by session
gives the command no share of its own. Its status is the command's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

SPIN = "while True: pass"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("processes", type=int)
    parser.add_argument("command", nargs="+")
    choices = parser.parse_args()
    began = time.monotonic()
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(choices.processes)]
    try:
        status = subprocess.call(choices.command)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    minutes = (time.monotonic() - began) / 60
    load = ", ".join(f"{average:.0f}" for average in os.getloadavg())
    print(f"{minutes:.1f} minutes beside {choices.processes} busy processes, load averages {load}")
    return status


if __name__ == "__main__":
    sys.exit(main())
