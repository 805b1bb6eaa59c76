"""The choice of device and precision."""

import pytest
import torch

from evaluators.training.device import native_bf16, resolve_device, resolve_precision
from evaluators.training.recipe import Recipe
from searchspaces import NasError

CPU = torch.device("cpu")


@pytest.mark.parametrize("feature", [None, "amx_bf16", "avx512_bf16"])
@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="this torch does not list the CPU's features")
def test_auto_is_bf16_exactly_where_the_processor_has_it(monkeypatch, feature):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **({feature: True} if feature else {})})
    assert native_bf16(CPU) == (feature is not None)
    assert resolve_precision(Recipe(), CPU) == ("fp32" if feature is None else "bf16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_explicit_precision_is_obeyed(precision):
    assert resolve_precision(Recipe(precision=precision), CPU) == precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there_is_told_in_a_sentence():
    assert resolve_device(Recipe()) == CPU
    with pytest.raises(NasError, match="finds no CUDA device"):
        resolve_device(Recipe(device="cuda"))
