"""Forward mode: dual tensors, whose tangents the operations push along. The levels are the library's."""

from collections import namedtuple

from .. import _C
from ..utils._contextlib import _DecoratorContextManager

__all__ = ["UnpackedDualTensor", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual", "dual_level"]

UnpackedDualTensor = namedtuple("UnpackedDualTensor", ("primal", "tangent"), module="torch.autograd.forward_ad")


def __getattr__(name):
    if name == "_current_level":
        return _C._dual_level()
    raise AttributeError(f"module 'torch.autograd.forward_ad' has no attribute '{name}'")


def enter_dual_level():
    """Opens the level at which tangents live. There is one at a time. Returns its number."""
    return _C._enter_dual_level()


def exit_dual_level(*, level=None):
    """Ends the level; all its tangents go."""
    if level is not None and level != _C._dual_level():
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    _C._exit_dual_level()


def make_dual(tensor, tangent, *, level=None):
    """A view of tensor that carries tangent: what is computed from it carries the derivative in that direction."""
    if level is None:
        level = _C._dual_level()
    if level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if not (tangent.is_floating_point() or tangent.is_complex()):
        raise ValueError(f"Expected tangent to be floating point or complex, but got: {tangent.dtype}")
    return _C._make_dual(tensor, tangent)


def unpack_dual(tensor, *, level=None):
    """(primal, tangent): the value without its tangent, and the tangent or None."""
    if level is None:
        level = _C._dual_level()
    if level < 0:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*_C._unpack_dual(tensor))


class dual_level(_DecoratorContextManager):
    """with dual_level(): forward mode inside."""

    __module__ = "torch.autograd.forward_ad"

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, kind, value, traceback):
        exit_dual_level()


_is_fwd_grad_enabled = _C._is_fwd_grad_enabled


class _set_fwd_grad_enabled(_DecoratorContextManager):
    __module__ = "torch.autograd.forward_ad"

    def __init__(self, mode):
        self.prev = _C._is_fwd_grad_enabled()
        self.mode = mode
        _C._set_fwd_grad_enabled(mode)

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        _C._set_fwd_grad_enabled(self.prev)

    def clone(self):
        return self.__class__(self.mode)
