"""Parameter: a Tensor that a module finds among its attributes."""

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
        result = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol):
        return _rebuild_parameter, (self.data, self.requires_grad)

    __torch_function__ = _C._disabled_torch_function_impl


def _rebuild_parameter(data, requires_grad):
    return Parameter(data, requires_grad)


_C._set_parameter(Parameter)
Parameter.__module__ = "torch.nn.parameter"
