"""`python services/slim.py PREFIX [--aws NAME,NAME]`: takes off installed packages what no image needs.

Run while an image is built, on what the locks name: their tests, headers and sources, and of botocore the descriptions
of services that are never called. What an author's package brings is installed after it, and stays whole.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

KEPT_TESTS = ("numpy/_core/tests",)
"""Imported by `numpy.testing`, which authors' code may use."""
UNUSED = (
    "pyarrow/include",
    # Arrow's RPC framework: nothing that dask.dataframe calls.
    "pyarrow/*flight*",
    # What Bokeh is made of; the server sends the minified form.
    "bokeh/server/static/lib",
    "bokeh/server/static/js/lib",
    "bokeh/server/static/js/compiler.js",
    "bokeh/server/static/js/boke*[!n].js",
)
SOURCES = (".pxd", ".pyx", ".pxi", ".pyi", ".h", ".hpp", ".cc", ".cpp", ".c")


def unneeded(packages: Path, aws: Sequence[str] | None) -> Iterator[Path]:
    """Files and directories that can go.

    Args:
        packages: a `site-packages` directory.
        aws: botocore's names of services that are called; None for all.
    """
    kept = {packages / name for name in KEPT_TESTS}
    for directory in (*packages.glob("*/**/tests"), *packages.glob("*/**/test")):
        if directory.is_dir() and directory not in kept:
            yield directory
    yield from packages.glob("*/**/conftest.py")
    for pattern in UNUSED:
        yield from packages.glob(pattern)
    yield from (path for path in packages.rglob("*") if path.suffix in SOURCES and path.is_file())
    if aws is not None:
        for directory in packages.glob("botocore/data/*"):
            if directory.is_dir() and directory.name not in aws:
                yield directory


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def main(arguments: Sequence[str]) -> int:
    """Remove; the exit status."""
    parser = argparse.ArgumentParser(prog="slim.py", description=__doc__)
    parser.add_argument("prefix", type=Path)
    parser.add_argument(
        "--aws", type=lambda text: text.split(","), help="services of AWS that are called (default: all)"
    )
    options = parser.parse_args(arguments)
    found = list(options.prefix.glob("lib/python*/site-packages"))
    if len(found) != 1:
        print(
            f"slim: no lib/python*/site-packages in {options.prefix}: give the prefix of `pip install`", file=sys.stderr
        )
        return 2
    (packages,) = found
    missing = [name for name in options.aws or () if not (packages / "botocore" / "data" / name).is_dir()]
    if missing:
        print(f"slim: botocore describes no service {', '.join(missing)}: correct --aws", file=sys.stderr)
        return 2
    freed = 0
    for path in list(unneeded(packages, options.aws)):
        if path.exists():  # it may lie below one that is gone
            freed += size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"slim: {freed / 1e6:.0f} MB less")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
