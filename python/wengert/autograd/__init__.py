"""torch.autograd: gradients of tensors.

backward and grad are C; what is here besides comes when it is first asked for.
"""

from .. import _C
from .._C import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "Variable", "Function", "backward", "grad_mode", "NestedIOFunction", "detect_anomaly", "enable_grad", "grad", "gradcheck",
    "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled", "set_multithreading_enabled", "variable",
]

backward = _C._autograd["backward"]
grad = _C._autograd["grad"]

_submodules = {
    "anomaly_mode", "forward_ad", "function", "functional", "grad_mode", "gradcheck", "graph", "profiler", "variable",
}
_homes = {
    "Function": "function", "NestedIOFunction": "function", "Variable": "variable",
    "detect_anomaly": "anomaly_mode", "set_detect_anomaly": "anomaly_mode",
    "gradgradcheck": "gradcheck", "GradcheckError": "gradcheck",
    "set_multithreading_enabled": "grad_mode", "enforce_grad_layout_policy": "grad_mode",
    "_force_original_view_tracking": "grad_mode", "_unsafe_preserve_version_counter": "grad_mode",
}


def __getattr__(name):
    home = _homes.get(name)
    if home is None and name not in _submodules:
        raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'. Wengert does not have it yet")
    import importlib

    module = importlib.import_module("." + (home or name), __name__)
    if home is None:
        return module
    value = globals()[name] = getattr(module, name)
    return value


def __dir__():
    return sorted({*globals(), *_submodules, *_homes})
