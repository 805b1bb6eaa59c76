"""Named sets of defaults, per space. A key that is not here has the default of `SearchConfig`."""

from __future__ import annotations

from typing import Any

from searchspaces import unknown_name

# As-ViT, the settings of the authors' scripts: 500 steps of REINFORCE on networks of C = 32 at 224 px with five
# repeats, rewards of both measures, then growth from a proxy of c = 8 to 110 M parameters, stopping past 80 M.
_ASVIT_PAPER = {
    "strategy": "reinforce",
    "trials": 500,
    "image_size": 224,
    "maximize": ["length"],
    "minimize": ["ntk"],
    "metrics": {"length": {"repeats": 5}, "ntk": {"repeats": 5}},
    "scale_to": "params<=110e6",
    "scaling": {"stop_at": "params>=80e6"},
}
# The same search made small: proxies at 64 px, one objective, three repeats; minutes instead of hours.
_ASVIT_QUICK = {
    "strategy": "evolution",
    "trials": 300,
    "image_size": 224,
    "maximize": ["length"],
    "metrics": {"length": {"repeats": 3, "image_size": 64}, "ntk": {"repeats": 3, "image_size": 64}},
    "scale_to": "params<=5e6",
}
# ViT-ResNAS, the search of the paper (arXiv 2109.00642): 500 random individuals just under the limit, then 19
# generations of 75 mutations and 75 crossovers of the best 75 of the whole history.
_FROM_THE_PAPER: dict[str, Any] = {
    "population": 500,
    "parents": 75,
    "children": 150,
    "mutation_probability": 0.3,
    "crossover_fraction": 0.5,
    "mutate_crossovers": False,
    "band": 0.975,
    "shrink": ["heads", "hidden"],
}
_VIT_RESNAS: dict[str, Any] = {
    "strategy": "evolution",
    "strategy_options": _FROM_THE_PAPER,
    "trials": 3350,
    "maximize": ["supernet_accuracy"],
}
_VIT_RESNAS_TINY = {**_VIT_RESNAS, "constraint": ["macs<=1.7944e9"]}
_VIT_RESNAS_SMALL = {**_VIT_RESNAS, "constraint": ["macs<=2.9e9"]}
# The same at the size of a laptop.
_LITTLE = {**_FROM_THE_PAPER, "population": 60, "parents": 15, "children": 30}
_VIT_RESNAS_CIFAR = {**_VIT_RESNAS, "strategy_options": _LITTLE, "trials": 300, "constraint": ["macs<=120e6"]}
_VIT_RESNAS_DIGITS = {
    **_VIT_RESNAS,
    "strategy_options": {**_LITTLE, "band": 0.95},
    "trials": 180,
    "constraint": ["macs<=5e6"],
    "data": "digits",
}
_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {
        "asvit": _ASVIT_QUICK,
        "vit_resnas_tiny": _VIT_RESNAS_TINY,
        "vit_resnas_small": _VIT_RESNAS_SMALL,
        "vit_resnas_cifar": _VIT_RESNAS_CIFAR,
        "vit_resnas_digits": _VIT_RESNAS_DIGITS,
        "": {"strategy": "evolution", "trials": 300, "maximize": ["length"]},
    },
    "paper": {"asvit": _ASVIT_PAPER, "vit_resnas_tiny": _VIT_RESNAS_TINY, "vit_resnas_small": _VIT_RESNAS_SMALL},
}


def preset_values(space: str, name: str) -> dict[str, Any]:
    """Return the values of a preset for a space.

    Raises:
        NasError: if the preset does not exist for this space.
    """
    if name not in _PRESETS:
        raise unknown_name("preset", name, _PRESETS)
    found = _PRESETS[name].get(space, _PRESETS[name].get(""))
    if found is None:
        raise unknown_name(f"preset of {space}", name, (known for known in _PRESETS if "" in _PRESETS[known]))
    return dict(found)
