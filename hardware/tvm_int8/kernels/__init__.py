"""The kernels: one class per operator, whose fields are its sizes; each builds its tensor function.

They are written with the builder under TVM's script language: it takes 2 ms where reading a script takes 75, and
functions of any number of arguments can be made.
"""

from __future__ import annotations

from hardware.tvm_int8.kernels.elementwise import Add, Lookup, Mean, Shiftgelu
from hardware.tvm_int8.kernels.movement import Gather, Pack
from hardware.tvm_int8.kernels.product import Product
from hardware.tvm_int8.kernels.rows import LayerNorm, Shiftmax

__all__ = ["Add", "Gather", "LayerNorm", "Lookup", "Mean", "Pack", "Product", "Shiftgelu", "Shiftmax"]
