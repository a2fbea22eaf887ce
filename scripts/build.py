"""Build the wheel and the sdist, the same bytes wherever and whenever that is done.

They hold what git knows, with modes and times of their own: that of the last commit, or what
SOURCE_DATE_EPOCH says. Setuptools and its like are those of the environment.

    python -m scripts.build dist
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def listed_files() -> list[str]:
    """Return the files that git knows and that are there."""
    listed = _git("ls-files").splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def build(folder: Path) -> list[Path]:
    """Build both into a folder, and return them."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        for name in listed_files():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((ROOT / name).read_bytes())
            path.chmod(_mode(os.access(ROOT / name, os.X_OK)))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
        more = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
        subprocess.run([*command, str(source)], check=True, env=os.environ | more, umask=0o022)
    (sdist,) = folder.glob("*.tar.gz")
    sdist.write_bytes(_alike(sdist.read_bytes(), epoch))
    return [*folder.glob("*.whl"), sdist]


def _alike(sdist: bytes, epoch: int) -> bytes:
    """Return an archive with the same content, and nothing of who made it, where and when."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as before,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=epoch) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda each: each.name):
            made = tarfile.TarInfo(member.name)
            made.type, made.size, made.mtime = member.type, member.size, epoch
            made.mode = _mode(member.isdir() or bool(member.mode & 0o100))
            after.addfile(made, before.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def _mode(executable: bool) -> int:
    return 0o755 if executable else 0o644


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("dist"))
    for path in build(parser.parse_args().folder.absolute()):
        print(path)


if __name__ == "__main__":
    main()
