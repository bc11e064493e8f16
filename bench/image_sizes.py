"""`python -m bench.image_sizes [IMAGE …]`: what the images take on disk beyond their base, in MB.

Without arguments the three images are built under `tidegate-size:{service}`; needs a container engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASE = "python:3.12-slim-bookworm"
LIMITS_MB: Mapping[str, int] = {"api": 100, "autoscaler": 80, "worker": 350}
"""What each may take beyond the base."""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def beyond_base(image: str, base: str = BASE) -> float:
    """MB of an image beyond those of its base; raises ValueError when it is not made of that base."""
    (found,), (below,) = json.loads(docker("inspect", image)), json.loads(docker("inspect", base))
    layers, lower = found["RootFS"]["Layers"], below["RootFS"]["Layers"]
    if layers[: len(lower)] != lower:
        raise ValueError(f"{image} is not made of {base}")
    return (int(found["Size"]) - int(below["Size"])) / 1e6


def main(images: Sequence[str]) -> None:
    named = dict(zip(LIMITS_MB, images, strict=False)) if images else {}
    print("| image | MB beyond the base | at most |\n|---|---|---|")
    for service, limit in LIMITS_MB.items():
        image = named.get(service) or f"tidegate-size:{service}"
        if service not in named:
            docker("build", "-q", "-f", f"services/{service}/Dockerfile", "-t", image, ".")
        print(f"| {service} | {beyond_base(image):.0f} | {limit} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
