"""torch.overrides: what classes with __torch_function__, and libraries written for them, use."""

from . import _C
from ._C import Tensor

_torch_function_off = _C._torch_function_off


class DisableTorchFunctionSubclass:
    """A context in which subclasses of Tensor do not override."""

    _kind = 0

    def __enter__(self):
        _torch_function_off(self._kind, 1)

    def __exit__(self, *exc):
        _torch_function_off(self._kind, -1)


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """A context in which nothing overrides, modes included."""

    _kind = 1


class TorchFunctionMode:
    """A context whose __torch_function__ sees every call of the library made inside, but not its own."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        _C._push_mode(self)
        return self

    def __exit__(self, *exc):
        _C._pop_mode()

    @classmethod
    def push(cls, *args, **kwargs):
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def has_torch_function(relevant_args):
    """Does one of them override?"""
    return _C._has_torch_function(tuple(relevant_args))


def has_torch_function_unary(arg):
    return _C._has_torch_function((arg,))


def has_torch_function_variadic(*args):
    return _C._has_torch_function(args)


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """Calls the overriding argument's __torch_function__ for a function written in Python."""
    return _C._handle_torch_function(public_api, tuple(relevant_args), args, kwargs)


def wrap_torch_function(dispatcher):
    """Makes a Python function overridable: dispatcher(*args) gives the arguments to ask."""
    from functools import wraps

    def decorate(func):
        @wraps(func)
        def wrapped(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp):
    """A Tensor, or something whose type has __torch_function__."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func):
    """Is func a method of Tensor, or an attribute's __get__?"""
    return getattr(func, "__name__", None) in ("__get__", "__set__", "__delete__") or getattr(Tensor, getattr(func, "__name__", ""), None) is func


def resolve_name(f):
    """'torch.add' or 'torch.Tensor.add' of a function that may be overridden."""
    name = getattr(f, "__name__", None)
    if name is None:
        return None
    if name in ("__get__", "__set__", "__delete__"):
        return f"torch.Tensor.{f.__self__.__name__}.{name}"
    if getattr(Tensor, name, None) is f:
        return f"torch.Tensor.{name}"
    return f"{(getattr(f, '__module__', None) or 'torch').replace('wengert', 'torch', 1)}.{name}"
