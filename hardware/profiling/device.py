"""The device of this machine: whether it is there, its name, and the state it was measured in."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def missing(device: str) -> str | None:
    """Return why `device` ("cuda" or "cpu") cannot be measured on this machine, None if it can."""
    if device == "cpu":
        return None
    import torch

    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} was built without CUDA"
    return "this machine shows no CUDA device"


def device_name(device: str) -> str:
    """Return the name its maker gave the device."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def conditions(device: str) -> dict[str, Any]:
    """Return what a measurement depends on besides the network: versions, threads, clocks, the power limit."""
    import torch

    state: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version()}
    if device == "cpu":
        return {**state, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    state |= {"cuda": torch.version.cuda, "layout": "channels first", "compiled": False}
    handle = nvml_handle()
    if isinstance(handle, str):
        return {**state, "clocks": handle}
    import pynvml

    clocks = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM}
    for word, kind in clocks.items():
        state[f"{word}_clock_mhz"] = pynvml.nvmlDeviceGetClockInfo(handle, kind)
        state[f"{word}_clock_highest_mhz"] = pynvml.nvmlDeviceGetMaxClockInfo(handle, kind)
    state["power_limit_w"] = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    driver = pynvml.nvmlSystemGetDriverVersion()
    state["driver"] = driver.decode() if isinstance(driver, bytes) else driver
    return state


def nvml_handle() -> Any:
    """Return NVML's handle of torch's current CUDA device, or the reason why there is none.

    The device is found by its identifier: NVML counts devices that CUDA_VISIBLE_DEVICES hides from torch.
    """
    try:
        import pynvml
    except ImportError:
        return "unsupported: pynvml is not installed (pip install nvidia-ml-py)"
    import torch

    try:
        pynvml.nvmlInit()
        identifier = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
        if identifier is not None:
            return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{identifier}".encode())
        return pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
    except pynvml.NVMLError as error:
        return f"unsupported: NVML says {error}"
