"""`nas targets`: the devices networks can be costed for."""

from __future__ import annotations

from nas.cli.console import AsJson, print_json, print_table


def targets(as_json: AsJson = False) -> None:
    """List the devices: what they compute in, and whether they can be measured here."""
    from hardware import get_target
    from hardware import targets as registry

    known = [get_target(name) for name in registry.names()]
    if as_json:
        print_json(
            [
                {
                    "name": target.name,
                    "meaning": target.meaning,
                    "precisions": list(target.precisions),
                    "quick": target.quick,
                    "measurable": target.available() is None,
                    "why_not": target.available(),
                }
                for target in known
            ]
        )
        return
    rows = [
        (t.name, ", ".join(t.precisions), t.meaning, t.available() or "yes")  # the default precision comes first
        for t in known
    ]
    print_table(("target", "precisions", "what it is", "measurable here"), rows)
