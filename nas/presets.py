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
_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {"asvit": _ASVIT_QUICK, "": {"strategy": "evolution", "trials": 300, "maximize": ["length"]}},
    "paper": {"asvit": _ASVIT_PAPER},
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
