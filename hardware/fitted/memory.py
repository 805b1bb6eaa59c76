"""Memory one pass needs: parameters, and the most that is alive at once."""

from __future__ import annotations

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


def memory_mb(params: int, peak: int, batch_size: int, precision: str) -> float:
    """Return 10^6 bytes of parameters and activations at a precision, without what the library reserves for itself.

    Args:
        params: scalars.
        peak: numbers that the operator which needs most reads and writes for one image, with what the block around it
            keeps for its shortcut.
        batch_size: images in a pass.
        precision: one of `BYTES`.
    """
    return BYTES[precision] * (params + batch_size * peak) / 1e6
