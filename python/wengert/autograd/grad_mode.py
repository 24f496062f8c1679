"""Grad modes (made in C), and switches that change nothing here."""

from .._C import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "set_multithreading_enabled", "enforce_grad_layout_policy",
]


class set_multithreading_enabled:
    """Accepted for programs that call it: backward runs in the thread that calls it either way."""

    __module__ = "torch.autograd.grad_mode"

    _enabled = True

    def __init__(self, mode):
        self.prev = set_multithreading_enabled._enabled
        self.mode = set_multithreading_enabled._enabled = bool(mode)

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        set_multithreading_enabled._enabled = self.prev

    def clone(self):
        return self.__class__(self.mode)

    def __call__(self, func):
        from ..utils._contextlib import _decorate_mode

        set_multithreading_enabled._enabled = self.prev
        return _decorate_mode(self, func)


class enforce_grad_layout_policy:
    """Gradients always get their leaf's layout; only True is accepted."""

    def __init__(self, enforce=True):
        if not enforce:
            raise NotImplementedError("enforce_grad_layout_policy(False) is missing in this version of wengert")

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        pass


class _force_original_view_tracking:
    def __init__(self, mode):
        if mode:
            raise NotImplementedError("_force_original_view_tracking(True) is missing in this version of wengert")

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        pass


class _unsafe_preserve_version_counter:
    def __init__(self, tensors):
        raise NotImplementedError("_unsafe_preserve_version_counter is missing in this version of wengert")
