"""Variable: an old name of Tensor."""

from .._C import Tensor

__all__ = ["Variable"]


class _Meta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, Tensor)


class _Engine:
    """Variable._execution_engine, for programs that queue callbacks through it."""

    @staticmethod
    def queue_callback(fn):
        from .._C import _queue_callback

        return _queue_callback(fn)


class Variable(metaclass=_Meta):
    _execution_engine = _Engine()

    def __new__(cls, data=None, requires_grad=False, volatile=None):
        if data is None:
            from .._C import tensor

            data = tensor([])
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if volatile:
            import warnings

            warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", stacklevel=2)
        return data.detach().requires_grad_(requires_grad)
