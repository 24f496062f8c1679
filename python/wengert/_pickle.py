"""What copy, deepcopy and pickle do with tensors. Pickles hold the elements from a tensor's first to its last in memory;
they load with and without as_torch(), and keep strides."""

from . import _C


def _rebuild(data, dtype, size, stride, requires_grad):
    t = _C.empty(len(data) // getattr(_C, dtype).itemsize, dtype=getattr(_C, dtype))._set_bytes(data)
    t = t.as_strided(size, stride).data
    return t.requires_grad_() if requires_grad else t


def _rebuild_as(cls, args, state):
    """An object with attributes; of cls, or a Tensor when that is None."""
    t = _rebuild(*args)
    if cls is not None:
        t = _C.Tensor._make_subclass(cls, t, t.requires_grad)
    _set_state(t, state)
    return t


def _named(name):
    """torch.Tensor or torch.FloatTensor by its name."""
    return getattr(_C, name)


def _rebuild_named(name, values):
    return _C._return_type(name)(values)


def _reduce_class(cls):
    """Of Tensor and its subclasses, for copyreg."""
    if cls is _C.Tensor:
        return _named, ("Tensor",)
    return cls.__qualname__


def _state_of(t):
    """Attributes, and slots beside them; None: there are none."""
    return t.__getstate__()


def _set_state(t, state):
    if state is None:
        return
    if hasattr(t, "__setstate__"):
        t.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for part in (attributes, slots):
        for name, value in (part or {}).items():
            setattr(t, name, value)


def _parts(t):
    """The arguments of _rebuild."""
    size, stride = tuple(t.size()), tuple(t.stride())
    reach = 1 + sum((n - 1) * s for n, s in zip(size, stride)) if t.numel() else 0
    line = t.data.as_strided((reach,), (1,))
    return line._to_bytes(), str(t.dtype)[len("torch."):], size, stride, t.requires_grad


def reduce(t, protocol):
    with _off():
        plain = t if type(t) is _C.Tensor else t.as_subclass(_C.Tensor)
        parts, state = _parts(plain), _state_of(t)
    if type(t) is _C.Tensor and state is None:
        return _rebuild, parts
    return _rebuild_as, (None if type(t) is _C.Tensor else type(t), parts, state)


def _off():
    from .overrides import DisableTorchFunctionSubclass

    return DisableTorchFunctionSubclass()


def copy(t):
    """Another leaf over the same storage."""
    with _off():
        new = _C.Tensor._make_subclass(type(t), t, t.requires_grad)
        _set_state(new, _state_of(t))
    return new


def deepcopy(t, memo):
    """A leaf with elements of its own, which copies of tensors that share t's storage share; .grad and attributes are copied."""
    if id(t) in memo:
        return memo[id(t)]
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting "
            "to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001. Here: detach it first, or keep its inputs")
    from copy import deepcopy as deep

    with _off():
        storages = memo.setdefault("torch", {})  # PyTorch's name for them, which classes written for it use too
        key = t._storage_key(), t.dtype
        with _C.no_grad():
            if key not in storages:
                storages[key] = t._whole_storage().clone()
            view = storages[key].as_strided(t.size(), t.stride(), t.storage_offset())
            new = _C.Tensor._make_subclass(type(t), view.data, False)
        if t.requires_grad:
            new.requires_grad_()
        memo[id(t)] = new
        if t.grad is not None:
            new.grad = deep(t.grad, memo)
        _set_state(new, deep(_state_of(t), memo))
    return new
