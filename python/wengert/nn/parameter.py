"""Parameter: a Tensor that a module finds among its attributes."""

import copyreg

from .. import _C
from .._C import Tensor, empty


class _ParameterMeta(type(Tensor)):
    """isinstance(x, Parameter) is true for a tensor that says so of itself (a subclass with _is_param)."""

    def __instancecheck__(self, instance):
        if self is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False):
            return True
        return super().__instancecheck__(instance)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A leaf that requires a gradient; its elements are data's.

    Parameter(data=None, requires_grad=True)
    """

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        t = data.detach().requires_grad_(requires_grad)
        if type(t) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an "
                f"instance of the same type, but return type {type(t).__name__} was found instead")
        t._is_param = True
        return t

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.data.clone(memory_format=_C.preserve_format), self.requires_grad)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol):
        data, state = self.data, self.__getstate__()
        if type(data) is Parameter:
            data = data.as_subclass(Tensor)
        if state is None:
            return _rebuild_parameter, (data, self.requires_grad)
        return _rebuild_parameter_with_state, (data, self.requires_grad, state)

    __torch_function__ = _C._disabled_torch_function_impl


def _rebuild_parameter(data, requires_grad):
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, state):
    from .._pickle import _set_state

    parameter = Parameter(data, requires_grad)
    _set_state(parameter, state)
    return parameter


def _reduce_class(cls):
    """Of Parameter and its subclasses, for copyreg: a process without torch can load it."""
    return (_the_class, ()) if cls is Parameter else cls.__qualname__


def _the_class():
    return Parameter


class _BufferMeta(type(Tensor)):
    """isinstance(x, Buffer) is true for a tensor that says so of itself."""

    def __instancecheck__(self, instance):
        if self is Buffer:
            return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)
        return super().__instancecheck__(instance)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that a module keeps with its state, but does not train.

    Buffer(data=None, *, persistent=True)
    """

    def __new__(cls, data=None, *, persistent=True):
        t = (empty(0) if data is None else data).detach().requires_grad_(data is not None and data.requires_grad)
        t.persistent = persistent
        t._is_buffer = True
        return t

    __torch_function__ = _C._disabled_torch_function_impl


copyreg.pickle(_ParameterMeta, _reduce_class)
_C._set_parameter(Parameter)
Parameter.__module__ = "torch.nn.parameter"
