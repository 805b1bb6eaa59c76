"""Candidates per second on one core: operator graph and estimate, for each space and each quick target.

Each pair runs in a process of its own. Cold: the first networks the process ever sees, once torch is loaded and one
network of another image size has been estimated. Warm: networks drawn after the caches of parts have been filled by
others of the same space. Thread CPU time; warm is the fastest of a few repeats.

    python benchmarks/estimate_speed.py [--space NAME]... [--target NAME]... [--cold 100] [--warm 300]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hardware import UnsupportedError, get_target, targets
from searchspaces import NasError, get_space, spaces

FILL = 1500  # networks that fill the caches before the warm ones
REPEATS = 3


def speed(space_name: str, target_name: str, cold: int, warm: int) -> dict[str, float | str | None]:
    """Return candidates per second, cold and warm, or why there are none."""
    import torch

    torch.set_num_threads(1)
    space, target = get_space(space_name), get_target(target_name)
    rng = np.random.default_rng(0)
    low, high = space.image_sizes
    size = 224 if low <= 224 <= high else high
    others = (size + step * space.image_step for step in (-2, 2, -1, 1))  # double ones suit every target
    other = next(side for side in others if low <= side <= high)
    first, more = ([space.sample(rng, image_size=size) for _ in range(n)] for n in (cold, FILL))
    fresh = [[space.sample(rng, image_size=size) for _ in range(warm)] for _ in range(REPEATS)]
    try:
        target.estimate(space.smallest(image_size=other))
    except NasError as error:
        return {"cold": None, "warm": None, "reason": str(error)}
    slow = per_second(target, first)
    per_second(target, more)
    return {"cold": slow, "warm": max(per_second(target, networks) for networks in fresh), "reason": ""}


def per_second(target, networks) -> float:
    """Return how many estimates fit into a second of thread CPU time; unsupported networks count as well."""
    start = time.thread_time()
    for network in networks:
        try:
            target.estimate(network)
        except UnsupportedError:
            continue
    return len(networks) / (time.thread_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", action="append", help="default: every space")
    parser.add_argument("--target", action="append", help="default: every quick target")
    parser.add_argument("--cold", type=int, default=100)
    parser.add_argument("--warm", type=int, default=300)
    parser.add_argument("--one", action="store_true", help="measure here and print JSON; the table does so per pair")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(speed(options.space[0], options.target[0], options.cold, options.warm)))
        return
    print(f"{'space':<22} {'target':<20} {'cold/s':>8} {'warm/s':>8}")
    for space in options.space or spaces.names():
        for target in options.target or [name for name in targets.names() if targets.get(name).quick]:
            command = [sys.executable, __file__, "--one", "--space", space, "--target", target]
            sizes = ["--cold", str(options.cold), "--warm", str(options.warm)]
            run = subprocess.run([*command, *sizes], capture_output=True, text=True)
            lines = run.stdout.splitlines()
            found = json.loads(lines[-1]) if run.returncode == 0 else {"reason": run.stderr.splitlines()[-1]}
            if found.get("warm") is None:
                print(f"{space:<22} {target:<20} {found['reason'][:90]}")
            else:
                print(f"{space:<22} {target:<20} {found['cold']:>8.0f} {found['warm']:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
