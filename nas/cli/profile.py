"""`nas profile`: measure the device of this machine and fit its predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.console import AsJson, print_json, print_table, say, warnings_as_sentences

if TYPE_CHECKING:
    from hardware.tvm_int8.targets import TvmCpuTarget


def profile(
    target: Annotated[str, typer.Option(help="gpu-local, cpu-local or tvm-cpu.")] = "cpu-local",
    space: Annotated[list[str] | None, typer.Option(help="Space to draw networks from; may repeat.")] = None,
    networks: Annotated[int, typer.Option(help="How many networks.")] = 30,
    batch_size: Annotated[list[int] | None, typer.Option(help="Images in a pass; may repeat.")] = None,
    precision: Annotated[str | None, typer.Option(help="Such as fp32 or bf16; the target's first by default.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the input; each space's own by default.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Known target to start from: gpu-rtx3090, ...")] = None,
    seconds: Annotated[float, typer.Option(help="To time each pass for, at least.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure networks and their parts on this machine and fit the predictor of gpu-local, cpu-local or tvm-cpu."""
    from hardware import UnsupportedError, get_target
    from hardware.fitted.targets import FittedTarget, LocalTarget
    from hardware.profiling.profile import Plan
    from hardware.profiling.profile import profile as run
    from hardware.tvm_int8.targets import TvmCpuTarget
    from searchspaces import NasError, get_space

    warnings_as_sentences()
    chosen = get_target(target)
    if isinstance(chosen, TvmCpuTarget):
        _profile_tvm(chosen, space or ["asvit"], networks, image_size, seed, as_json)
        return
    if not isinstance(chosen, LocalTarget):
        raise NasError(f"target={target!r} cannot be profiled here; choose gpu-local, cpu-local or tvm-cpu")
    _, number = chosen.settle(None, precision)
    sizes = tuple(sorted(set(batch_size or ((1, 8, 128) if chosen.device == "cuda" else (1, 4)))))
    for size in sizes:
        chosen.settle(size, number)
    spaces = tuple(space or ("asvit", "vit_resnas_tiny"))
    for name in spaces:
        get_space(name)
    known = None
    if source is not None:
        origin = get_target(source)
        if not isinstance(origin, FittedTarget):
            raise NasError(f"from={source!r} is no device of a public table; choose such as gpu-rtx3090")
        known = origin.estimator(origin.precisions[0]).predictor
    if (reason := chosen.available()) is not None:
        raise UnsupportedError(f"unsupported: {reason}")
    plan = Plan(spaces, networks, sizes, number, image_size, seed, seconds)
    found = run(target, chosen.device, plan, known, say)
    predictor, error = found.predictor, found.predictor.error
    if as_json:
        energy = vars(predictor.energy) if predictor.energy else found.energy
        document = {"device": predictor.device, "precision": number, "file": str(found.path)}
        print_json({**document, "error": dict(error), "energy": energy, "conditions": dict(predictor.origin)})
        return
    rows = [
        ("device", predictor.device),
        ("precision", number),
        ("mean error, unseen networks", f"{100 * float(error['mape']):.1f} %"),
        ("within 10 %", f"{100 * float(error['within10']):.0f} %"),
        ("Kendall's tau", f"{float(error['tau']):.3f}"),
        (
            "energy",
            found.energy or f"fitted, mean error {100 * predictor.energy.error:.1f} %"
            if predictor.energy
            else found.energy,
        ),
        ("kept in", str(found.path)),
    ]
    print_table(("what", "value"), rows, f"{target}: {networks} networks of {', '.join(spaces)}")


def _profile_tvm(
    target: TvmCpuTarget, spaces: list[str], networks: int, image_size: int | None, seed: int, as_json: bool
) -> None:
    """Fit what whole int8 networks add to the sum of their kernels."""
    import numpy as np

    from hardware import UnsupportedError
    from searchspaces import get_space

    known = [get_space(name) for name in spaces]
    if (reason := target.available()) is not None:
        raise UnsupportedError(f"unsupported: {reason}")
    rng = np.random.default_rng(seed)
    sizes = {} if image_size is None else {"image_size": image_size}
    fit = target.profile([known[place % len(known)].sample(rng, **sizes) for place in range(networks)], say)
    if as_json:
        print_json({"device": target.isa().name, **vars(fit)})
        return
    rows = [
        ("instructions", target.isa().name),
        ("time of a whole network over the sum of its kernels", f"{fit.factor:.3f}"),
        ("mean error, networks left out", f"{100 * fit.error:.1f} %"),
    ]
    print_table(("what", "value"), rows, f"{target.name}: {networks} networks of {', '.join(spaces)}")
