"""Energy from counts: operations and traffic times the energies of a 45 nm process. A model, for comparing networks.

Operations: Horowitz, "Computing's energy problem", ISSCC 2014. Traffic: per 16 bits, 200 pJ for DRAM and 22.2 pJ for
an on-chip buffer, as in the tables of ShiftAddNet (You et al., NeurIPS 2020). No device was measured; the value of
a real one differs by its process, so use it to compare networks at one precision only.
"""

from __future__ import annotations

from hardware.fitted.memory import BYTES

# Picojoules of one multiply-accumulate: multiplication plus addition (int8 adds into 32 bits).
PJ_PER_MAC = {"fp32": 3.7 + 0.9, "fp16": 1.1 + 0.4, "bf16": 1.1 + 0.4, "int8": 0.2 + 0.1}
PJ_PER_BYTE_DRAM = 200 / 2
PJ_PER_BYTE_BUFFER = 22.2 / 2


def analytic_energy_mj(macs: float, moved: float, params: float, batch_size: int, precision: str) -> float:
    """Return millijoules of a pass.

    Args:
        macs: multiply-accumulates for one image.
        moved: numbers read and written by its operators for one image; each crosses DRAM and the buffer once.
        params: scalars, read once per pass.
        batch_size: images in the pass.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """
    transferred = BYTES[precision] * (batch_size * moved + params)
    picojoules = batch_size * macs * PJ_PER_MAC[precision] + transferred * (PJ_PER_BYTE_DRAM + PJ_PER_BYTE_BUFFER)
    return picojoules * 1e-9
