"""int8 by TVM against PyTorch fp32, one thread, and how well the operator table predicts whole networks.

    python benchmarks/tvm_int8.py                       # products, operators, DeiTs
    python benchmarks/tvm_int8.py --predictor 24        # and the predictor on 24 networks it was not fitted to

Prints which instructions were used. Times are thread CPU time, minima of repeats that alternate between the two sides,
all within one run; the load average stands beside them. Random weights: kernels are exact, networks are timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.stats import kendalltau

from hardware import timm_network
from hardware.network import build_network
from hardware.tvm_int8 import predict
from hardware.tvm_int8.compile import Executable, compile_kernels
from hardware.tvm_int8.isa import Isa, best_isa, processor
from hardware.tvm_int8.kernels import Product
from hardware.tvm_int8.kernels.common import require_tvm
from hardware.tvm_int8.network import outline, random_plan
from hardware.tvm_int8.table import Table
from searchspaces import get_space

SHAPES = ((197, 768, 192), (197, 576, 192), (197, 192, 768), (197, 1536, 384), (197, 3072, 768))
DEITS = ("deit_tiny_patch16_224", "deit_small_patch16_224")


def fastest(runs: dict[str, Callable[[], object]], rounds: int, count: int) -> dict[str, float]:
    """Return the least CPU seconds of one call of each, the calls of all taking turns."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.thread_time_ns()
            for _ in range(count):
                run()
            best[name] = min(best[name], (time.thread_time_ns() - start) / count / 1e9)
    return best


def products(isa: Isa) -> None:
    """Print int8 products, with bias and change of scale, beside PyTorch's fp32 product with bias."""
    print(f"\nproducts at DeiT shapes, G = 10^9 operations (2 per multiply-accumulate) per second, {isa.name}")
    print(f"{'rows, columns, depth':>22} {'TVM int8':>9} {'PyTorch fp32':>13} {'ratio':>6}")
    tensor = require_tvm().runtime.tensor
    rng = np.random.default_rng(0)
    for rows, columns, depth in SHAPES:
        kernel = Product(1, rows, columns, depth, isa, "int8", -128)
        (function,) = compile_kernels([kernel], isa)
        arrays = [tensor(array) for array in kernel.example(rng)]
        arrays += [tensor(np.zeros(argument.shape, argument.dtype)) for argument in kernel.gives()]
        x, layer = torch.randn(rows, depth), torch.nn.Linear(depth, columns)
        with torch.no_grad():
            best = fastest({"tvm": lambda a=arrays, f=function: f(*a), "torch": lambda m=layer, v=x: m(v)}, 40, 5)
        work = 2e-9 * rows * columns * depth
        ratio = best["torch"] / best["tvm"]
        shape = f"{rows}, {columns}, {depth}"
        print(f"{shape:>22} {work / best['tvm']:9.0f} {work / best['torch']:13.0f} {ratio:6.2f}")


def networks(isa: Isa, table: Table) -> None:
    """Print whole DeiTs: int8, fp32, and the sum of the operators by kind."""
    print(f"\nwhole networks, one image, milliseconds of CPU time, {isa.name}")
    print(f"{'network':>24} {'TVM int8':>9} {'PyTorch fp32':>13} {'ratio':>6} {'sum of operators':>17}")
    operators: dict[str, dict[str, float]] = {}
    for name in DEITS:
        network = timm_network(name)
        plan = random_plan(network, isa)
        executable = Executable(plan, isa)
        image = executable.prepare(np.zeros(plan.image.shape))
        module, pixels = build_network(network).eval(), torch.randn(1, 3, network.image_size, network.image_size)
        with torch.no_grad():
            runs = {"tvm": lambda e=executable, i=image: e.run(i), "torch": lambda m=module, p=pixels: m(p)}
            best = fastest(runs, 25, 1)
        found = outline(network, isa)
        times = table.times(found.kernels())
        operators[name] = defaultdict(float)
        for _, part in found.parts:
            for kernel, _, kind in part.calls:
                operators[name][kind] += 1e3 * times[kernel]
        total = sum(operators[name].values())
        ratio = best["torch"] / best["tvm"]
        print(f"{name:>24} {1e3 * best['tvm']:9.2f} {1e3 * best['torch']:13.2f} {ratio:6.2f} {total:17.2f}")
    print("\noperators of the same networks, milliseconds")
    for kind in operators[DEITS[0]]:
        print(f"{kind:>24} " + " ".join(f"{operators[name][kind]:9.3f}" for name in DEITS))


def predictor(count: int, table: Table) -> None:
    """Print how the table, fitted on half as many other networks, meets whole networks."""
    rng = np.random.default_rng(1)
    drawn = []
    for place in range(count + max(8, count // 2)):
        space = get_space(("asvit", "asvit", "vit_resnas_digits")[place % 3])
        size = (64, 128)[place % 2] if space.name == "asvit" else space.image_sizes[0]
        drawn.append(space.sample(rng, image_size=size))
    unseen, seen = drawn[:count], drawn[count:]
    print(f"\npredictor: fitted on {len(seen)} networks, checked on {len(unseen)} others")
    fit, _ = predict.profile(seen, table, lambda line: print("  fit", line, flush=True))
    measured = []
    for place, network in enumerate(unseen, 1):
        estimate = predict.table_estimate("tvm-cpu", network, 1, table)
        whole = 1e3 * predict.measure_network(network, table.isa)
        measured.append((whole, estimate.latency_ms.value))
        print(f"  {place}: {network.space}, {whole:.2f} ms, predicted {estimate.latency_ms.value:.2f}", flush=True)
    whole, said = np.array(measured).T
    errors = np.abs(said / whole - 1)
    print(
        f"factor {fit.factor:.3f}, {1e12 * fit.seconds_per_byte:.0f} ps per byte of weights, "
        f"{1e9 * fit.seconds_per_call:.0f} ns per call, "
        f"error of networks left out of the fit {100 * fit.error:.1f} %"
    )
    print(
        f"unseen: median error {100 * np.median(errors):.1f} %, within 10 %: {100 * np.mean(errors <= 0.1):.0f} %, "
        f"worst {100 * errors.max():.1f} %, Kendall's tau {kendalltau(whole, said).statistic:.3f}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictor", type=int, default=0, metavar="N", help="check the predictor on N networks")
    parser.add_argument("--only-predictor", action="store_true", help="leave the other parts out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    isa = best_isa()
    print(f"{processor()[0]}, instructions: {isa.name}, one thread, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:  # a table of this run alone
        table = Table(isa, Path(folder) / "table.json")
        if not options.only_predictor:
            products(isa)
            networks(isa, table)
        if options.predictor:
            predictor(options.predictor, table)


if __name__ == "__main__":
    main()
