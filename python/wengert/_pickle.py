"""What copy, deepcopy and pickle do with tensors. Pickles hold elements row by row; they load with and without as_torch()."""

from . import _C


def _rebuild(data, dtype, size, stride, requires_grad):
    t = _C.empty_strided(size, stride, dtype=getattr(_C, dtype))
    t._set_bytes(data)
    return t.requires_grad_() if requires_grad else t


def _rebuild_as(cls, args, state):
    """A subclass's object, with its attributes."""
    t = _rebuild(*args)
    requires_grad = t.requires_grad
    t = t.detach().as_subclass(cls).requires_grad_(requires_grad)
    _set_state(t, state)
    return t


def _set_state(t, state):
    if hasattr(type(t), "__setstate__") and type(t).__setstate__ is not getattr(object, "__setstate__", None):
        t.__setstate__(state)
    else:
        for name, value in (state or {}).items():
            setattr(t, name, value)


def _parts(t):
    """The arguments of _rebuild. Strides are kept where the elements lie densely."""
    size, stride = tuple(t.size()), tuple(t.stride())
    dense = sorted((s, n) for s, n in zip(stride, size) if n != 1)
    step = 1
    for s, n in dense:
        if s != step:
            stride = _row_major(size)
            break
        step *= n
    return t.detach()._to_bytes(), str(t.dtype)[len("torch."):], size, stride, t.requires_grad


def _row_major(size):
    stride, step = [], 1
    for n in reversed(size):
        stride.append(step)
        step *= max(n, 1)
    return tuple(reversed(stride))


def reduce(t, protocol):
    state = getattr(t, "__dict__", None)
    if type(t) is _C.Tensor and not state:
        return _rebuild, _parts(t)
    return _rebuild_as, (type(t), _parts(t), dict(state) if state else None)


def copy(t):
    """Another tensor over the same storage, a leaf as t is one."""
    if not t.is_leaf:
        return t.alias()
    new = t.detach()
    if type(t) is not _C.Tensor:
        new = new.as_subclass(type(t)) if type(new) is not type(t) else new
    if t.requires_grad:
        new.requires_grad_()
    if getattr(t, "__dict__", None):
        _set_state(new, t.__dict__)
    return new


def deepcopy(t, memo):
    """A leaf with elements of its own; .grad and attributes are copied too."""
    if id(t) in memo:
        return memo[id(t)]
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting "
            "to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001. Here: detach it first, or keep its inputs")
    from copy import deepcopy as deep

    with _C.no_grad():
        new = t.detach().clone()
        if not _same_layout(new, t):
            new = _C.empty_strided(tuple(t.size()), tuple(t.stride()), dtype=t.dtype).copy_(t.detach())
    if type(t) is not _C.Tensor and type(new) is not type(t):
        new = new.as_subclass(type(t))
    if t.requires_grad:
        new.requires_grad_()
    memo[id(t)] = new
    if t.grad is not None:
        new.grad = deep(t.grad, memo)
    if getattr(t, "__dict__", None):
        _set_state(new, deep(t.__dict__, memo))
    return new


def _same_layout(a, b):
    return a.stride() == b.stride() or 0 in b.stride()
