"""The Dockerfile's installation, step by step, where no engine is at hand: `make check-image`.

In an empty folder it copies what the Dockerfile copies, installs it into a clean virtual
environment by the Dockerfile's own `pip install`, and lets the result run the demo. It takes
minutes and downloads everything, so it is not among the tests.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from fnmatch import fnmatch
from pathlib import Path

from tests.e2e.service import free_port

ROOT = Path(__file__).parents[2]
_STEP = re.compile(r"^(COPY|RUN pip) (.+)$", re.MULTILINE)


def main() -> None:
    """Go through the steps; any that fails ends it with its own message."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    with tempfile.TemporaryDirectory(prefix="xclip-image-") as name:
        folder = Path(name)
        context, environment = folder / "context", folder / "venv"
        context.mkdir()
        venv.create(environment, with_pip=True)
        for kind, arguments in _STEP.findall(dockerfile):
            print(f"{kind} {arguments}", flush=True)
            if kind == "COPY":
                _copy(arguments.split(), context)
            else:
                _run_pip(arguments, context, environment)
        _use(environment / "bin" / "xclip-search", folder)


def _copy(arguments: list[str], context: Path) -> None:
    """What Docker's COPY does with the files that .dockerignore leaves."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    target = (context / arguments[-1]).resolve()

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [
            name for name in names if any(fnmatch(name, rule.split("/")[-1]) for rule in ignored)
        ]

    for source in arguments[:-1]:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, target, ignore=left_out, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)


def _run_pip(arguments: str, context: Path, environment: Path) -> None:
    options = os.environ.get("PIP_OPTIONS", "")
    command = shlex.split(arguments.replace("${PIP_OPTIONS}", options))
    subprocess.run([environment / "bin" / "pip", *command], cwd=context, check=True)


def _use(command: Path, folder: Path) -> None:
    """The installed command, outside the source tree: the whole demo, and its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("XCLIP_")}
    demo = ["demo", "--exit", "--data-dir", str(folder / "demo"), "--port", str(free_port())]
    for arguments in (["--help"], demo):
        print("xclip-search", *arguments, flush=True)
        subprocess.run(
            [command, *arguments], cwd=folder, env=clean, check=True, stdout=subprocess.DEVNULL
        )
    print(f"the image's steps work on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
