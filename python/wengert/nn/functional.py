"""torch.nn.functional as far as the library has it: the registry's nn functions, with PyTorch's spellings of options."""

from .. import _C

_nn = _C._nn
_overridden = _C._has_torch_function
relu_ = _C.relu_
linear = _nn["linear"]

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def _reduction(name, size_average=None, reduce=None):
    """The number of a reduction's name; the older two flags, when given, stand for one."""
    if size_average is not None or reduce is not None:
        import warnings

        average = True if size_average is None else size_average
        name = ("mean" if average else "sum") if reduce is None or reduce else "none"
        warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{name}' instead.", stacklevel=3)
    if name not in _REDUCTIONS:
        raise ValueError(f"{name} is not a valid value for reduction")
    return _REDUCTIONS[name]


def _ask(function, relevant, *args, **kwargs):
    """What the arguments that override the function make of it."""
    return _C._handle_torch_function(function, relevant, args, kwargs)


def _dim_of(input, dim, name):
    """The dim that softmax takes when none is given, with PyTorch's warning."""
    if dim is not None:
        return dim
    import warnings

    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.", stacklevel=3)
    return 0 if input.dim() in (0, 1, 3) else 1


def relu(input, inplace=False):
    """max(x, 0); written into x when it is to be done in place."""
    if _overridden((input,)):
        return _ask(relu, (input,), input, inplace=inplace)
    return _C.relu_(input) if inplace else _C.relu(input)


def sigmoid(input):
    """1 / (1 + e^-x)"""
    return input.sigmoid()


def tanh(input):
    """The hyperbolic tangent."""
    return input.tanh()


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """e^(x - max) / sum along dim."""
    if _overridden((input,)):
        return _ask(softmax, (input,), input, dim=dim, _stacklevel=_stacklevel, dtype=dtype)
    return input.softmax(_dim_of(input, dim, "softmax"), dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax of -x."""
    if _overridden((input,)):
        return _ask(softmin, (input,), input, dim=dim, _stacklevel=_stacklevel, dtype=dtype)
    return (-input).softmax(_dim_of(input, dim, "softmin"), dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)), computed without the quotient."""
    if _overridden((input,)):
        return _ask(log_softmax, (input,), input, dim=dim, _stacklevel=_stacklevel, dtype=dtype)
    return input.log_softmax(_dim_of(input, dim, "log_softmax"), dtype=dtype)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Minus the log probability of each target class."""
    if _overridden((input, target, weight)):
        return _ask(nll_loss, (input, target, weight), input, target, weight=weight, size_average=size_average, ignore_index=ignore_index,
                    reduce=reduce, reduction=reduction)
    return _nn["nll_loss"](input, target, weight, _reduction(reduction, size_average, reduce), ignore_index)


def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    """log_softmax over the classes, then nll_loss; a floating target holds class probabilities."""
    if _overridden((input, target, weight)):
        return _ask(cross_entropy, (input, target, weight), input, target, weight=weight, size_average=size_average, ignore_index=ignore_index,
                    reduce=reduce, reduction=reduction, label_smoothing=label_smoothing)
    return _nn["cross_entropy"](input, target, weight, _reduction(reduction, size_average, reduce), ignore_index, label_smoothing)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Mean of the squared differences."""
    if _overridden((input, target, weight)):
        return _ask(mse_loss, (input, target, weight), input, target, size_average=size_average, reduce=reduce, reduction=reduction, weight=weight)
    how = _reduction(reduction, size_average, reduce)
    if target.size() != input.size():
        import warnings

        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will likely lead to incorrect "
            "results due to broadcasting. Please ensure they have the same size.", stacklevel=2)
    if weight is None:
        return _nn["mse_loss"](input, target, how)
    loss = (input - target) ** 2 * weight
    return loss if how == 0 else loss.sum() if how == 2 else loss.sum() / weight.expand_as(loss).sum()


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """Rows of weight."""
    if _overridden((input, weight)):
        return _ask(embedding, (input, weight), input, weight, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                    scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError("embedding: max_norm, scale_grad_by_freq and sparse: Wengert does not have them yet")
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx > 0 and padding_idx >= weight.size(0):
        raise AssertionError("Padding_idx must be within num_embeddings")
    elif padding_idx < 0:
        if padding_idx < -weight.size(0):
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx += weight.size(0)
    return _C.embedding(weight, input, padding_idx)


def __getattr__(name):
    if name in _nn:
        return _nn[name]
    raise AttributeError(f"module 'torch.nn.functional' has no attribute '{name}'. Wengert does not have it yet")
