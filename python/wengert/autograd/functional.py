"""torch.autograd.functional: Jacobians, Hessians and their products, by reverse mode (N1). What strategy="forward-mode" asks for is
computed the same way: the values are the same."""

from .. import _C
from . import grad as _grad

__all__ = ["vjp", "jvp", "vhp", "hvp", "jacobian", "hessian"]

_Tensor = _C.Tensor


# ---- arguments and results as tuples -----------------------------------------------------------------------------------------


def _tuple(value, what, function):
    """(was it a tuple, the tuple)"""
    if isinstance(value, _Tensor):
        return False, (value,)
    expected = f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the "
    if not isinstance(value, tuple):
        raise TypeError(f"{expected}given {what} has type {type(value)}.")
    for i, t in enumerate(value):
        if not isinstance(t, _Tensor):
            raise TypeError(f"{expected}value at index {i} has type {type(t)}.")
    return True, value


def _again(was_tuple, values):
    return values if was_tuple else values[0]


def _fresh(inputs, create_graph):
    """Inputs that require a gradient of their own; with create_graph connected with the caller's."""
    if create_graph:
        return tuple(t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs)
    return tuple(t.detach().requires_grad_() for t in inputs)


def _finish(values, create_graph):
    return values if create_graph else tuple(t.detach() for t in values)


def _check_outputs(outputs, strict):
    if not strict:
        return
    for i, o in enumerate(outputs):
        if not o.requires_grad:
            raise RuntimeError(f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in "
                               "a differentiable manner from the input when running in strict mode.")


def _check_v(v, who, others, tuple_others, what):
    """v as a tuple of tensors shaped as others, of which it says that they are the function's input or output."""
    if v is None:
        if len(others) != 1 or others[0].numel() != 1:
            raise RuntimeError("The vector v can only be None if the user-provided function returns a single Tensor with a single "
                               "element." if what == "output" else
                               "The vector v can only be None if the input to the user-provided function is a single Tensor with a "
                               "single element.")
        return (_C.ones_like(others[0]).detach(),)
    v = _tuple(v, "v", who)[1]
    if len(v) != len(others):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(others)} but got {len(v)}." if tuple_others else
                           "The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(v, others)):
        if a.shape != b.shape:
            which = f"Entry {i} in v" if tuple_others else "v"
            raise RuntimeError(f"{which} has invalid size: should be {b.shape} but got {a.shape}.")
    return v


def _gradients(outputs, inputs, seeds, create_graph):
    """autograd.grad that passes outputs without history over; None where nothing comes."""
    live = [(o, s) for o, s in zip(outputs, seeds) if o.requires_grad]
    if not live:
        return (None,) * len(inputs)
    return _grad([o for o, _ in live], inputs, [s for _, s in live], allow_unused=True, create_graph=create_graph, retain_graph=True)


_STRICT = " This is not allowed in strict mode."
_INDEPENDENT = "The output of the user-provided function is independent of input {}." + _STRICT
_CONSTANT = "The {} of the user-provided function is independent of input {{}}. This is not allowed in strict mode when create_graph=True."
_CONSTANT_JACOBIAN, _CONSTANT_HESSIAN = _CONSTANT.format("jacobian"), _CONSTANT.format("hessian")
_LINEAR = ("While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is independent of "
           "the input. This is not allowed in strict mode. You should ensure that your function is twice differentiable and that the "
           "jacobian depends on the inputs (this would be violated by a linear function for example).")
_NO_TRICK = "The {} is independent of entry {{}} in the {}, so that it cannot be had by differentiating twice." + _STRICT


def _zeros(values, like, strict, missing, create_graph=False, constant=""):
    """Zeros where nothing came. strict: then missing is an error, and with create_graph what has no history: constant."""
    filled = []
    for i, (g, t) in enumerate(zip(values, like)):
        if g is None and strict:
            raise RuntimeError(missing.format(i))
        if g is not None and strict and create_graph and not g.requires_grad:
            raise RuntimeError(constant.format(i))
        filled.append(_C.zeros_like(t).detach() if g is None else g)
    return tuple(filled)


def _check_history(values, strict, missing, constant):
    for i, g in enumerate(values):
        if strict and (g is None or not g.requires_grad):
            raise RuntimeError((missing if g is None else constant).format(i))


# ---- products ----------------------------------------------------------------------------------------------------------------


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v times the Jacobian)"""
    with _C.enable_grad():
        tuple_in, inputs = _tuple(inputs, "inputs", "vjp")
        inputs = _fresh(inputs, create_graph)
        tuple_out, outputs = _tuple(func(*inputs), "outputs of the user-provided function", "vjp")
        _check_outputs(outputs, strict)
        v = _check_v(v, "vjp", outputs, tuple_out, "output")
    with _C.set_grad_enabled(create_graph or _C.is_grad_enabled()):
        grads = _gradients(outputs, inputs, v, create_graph)
        r = _zeros(grads, inputs, strict, _INDEPENDENT, create_graph, _CONSTANT_JACOBIAN)
    return _again(tuple_out, _finish(outputs, create_graph)), _again(tuple_in, _finish(r, create_graph))


def _double_backward(outputs, inputs, v, create_graph, strict=False):
    """J v: the gradient of u -> u J, which is linear in u, applied to v."""
    u = tuple(_C.zeros_like(o).detach().requires_grad_() for o in outputs)
    uj = _gradients(outputs, inputs, u, True)
    _check_history(uj, strict, _INDEPENDENT, "The gradient with respect to input {} is independent of the inputs of the user-provided "
                   "function." + _STRICT)
    pairs = [(g, w) for g, w in zip(uj, v) if g is not None and g.requires_grad]
    if not pairs:
        return (None,) * len(outputs)
    return _grad([g for g, _ in pairs], u, [w for _, w in pairs], allow_unused=True, create_graph=create_graph, retain_graph=True)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), the Jacobian times v)"""
    with _C.enable_grad():
        tuple_in, inputs = _tuple(inputs, "inputs", "jvp")
        inputs = _fresh(inputs, create_graph)
        v = _check_v(v, "jvp", inputs, tuple_in, "input")
        tuple_out, outputs = _tuple(func(*inputs), "outputs of the user-provided function", "jvp")
        _check_outputs(outputs, strict)
        r = _zeros(_double_backward(outputs, inputs, v, create_graph, strict), outputs, strict,
                   _NO_TRICK.format("gradient with respect to the input", "grad_outputs"), create_graph, _CONSTANT_JACOBIAN)
    return _again(tuple_out, _finish(outputs, create_graph)), _again(tuple_out, _finish(r, create_graph))


def _one_element(func, inputs, who):
    tuple_out, outputs = _tuple(func(*inputs), "outputs of the user-provided function", who)
    if tuple_out:
        raise RuntimeError(f"The function given to {who} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {who} should contain a single element")
    return outputs


def _gradient_of(func, inputs, who, strict):
    """The output and its gradient, with its history."""
    outputs = _one_element(func, inputs, who)
    _check_outputs(outputs, strict)
    first = _gradients(outputs, inputs, (_C.ones_like(outputs[0]).detach(),), True)
    first = _zeros(first, inputs, strict, _INDEPENDENT)
    _check_history(first, strict, _LINEAR, _LINEAR)
    return outputs, first


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v times the Hessian)"""
    with _C.enable_grad():
        tuple_in, inputs = _tuple(inputs, "inputs", "vhp")
        inputs = _fresh(inputs, create_graph)
        v = _check_v(v, "vhp", inputs, tuple_in, "input")
        outputs, first = _gradient_of(func, inputs, "vhp", strict)
        r = _zeros(_gradients(first, inputs, v, create_graph), inputs, strict,
                   "The jacobian of the user-provided function is independent of input {}." + _STRICT, create_graph, _CONSTANT_HESSIAN)
    return _finish(outputs, create_graph)[0], _again(tuple_in, _finish(r, create_graph))


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), the Hessian times v)"""
    with _C.enable_grad():
        tuple_in, inputs = _tuple(inputs, "inputs", "hvp")
        inputs = _fresh(inputs, create_graph)
        v = _check_v(v, "hvp", inputs, tuple_in, "input")
        outputs, first = _gradient_of(func, inputs, "hvp", strict)
        r = _zeros(_double_backward(first, inputs, v, create_graph), inputs, strict,
                   _NO_TRICK.format("hessian of the user-provided function", "grad_jacobian"), create_graph, _CONSTANT_HESSIAN)
    return _finish(outputs, create_graph)[0], _again(tuple_in, _finish(r, create_graph))


# ---- matrices -------------------------------------------------------------------------------------------------------------------


def _rows(o, out, inputs, create_graph, strict):
    """The Jacobian of one output, per input of shape out + in, a backward per element."""
    rows = [[] for _ in inputs]
    flat = out.reshape(-1)
    for k in range(out.numel()):
        grads = _grad(flat[k], inputs, allow_unused=True, create_graph=create_graph, retain_graph=True) if out.requires_grad else (None,) * len(inputs)
        missing = f"Output {o} of the user-provided function is independent of input {{}}." + _STRICT
        for i, g in enumerate(_zeros(grads, inputs, strict, missing, create_graph, _CONSTANT_JACOBIAN)):
            rows[i].append(g)
    return tuple(_C.stack(r).view(tuple(out.shape) + tuple(t.shape)) if r else _C.zeros_like(t).new_zeros(tuple(out.shape) + tuple(t.shape))
                 for r, t in zip(rows, inputs))


def _rows_at_once(out, inputs, create_graph):
    """The same by one batched backward."""
    n = out.numel()
    if not out.requires_grad or n == 0:
        return tuple(t.detach().new_zeros(tuple(out.shape) + tuple(t.shape)) for t in inputs)
    seeds = _C.eye(n, dtype=out.dtype).view((n,) + tuple(out.shape))
    grads = _grad(out, inputs, seeds, allow_unused=True, create_graph=create_graph, retain_graph=True, is_grads_batched=True)
    return tuple(t.detach().new_zeros(tuple(out.shape) + tuple(t.shape)) if g is None else g.reshape(tuple(out.shape) + tuple(t.shape))
                 for g, t in zip(grads, inputs))


def _check_strategy(strategy, vectorize, create_graph, strict):
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
                             'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".')
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError('torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not '
                                      "supported together (yet). Please either set `create_graph=False` or `strategy=\"reverse-mode\"`.")
        if strict:
            raise RuntimeError('torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
                               'together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.')
        if not vectorize:
            raise NotImplementedError("Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
                                      "`vectorize=True`.")
    if strict and vectorize:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please "
                           "either set `strict=False` or `vectorize=False`.")


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The derivatives of func's outputs with respect to inputs: shape out + in, nested as outputs and inputs are."""
    _check_strategy(strategy, vectorize, create_graph, strict)
    with _C.enable_grad():
        tuple_in, inputs = _tuple(inputs, "inputs", "jacobian")
        inputs = _fresh(inputs, create_graph)
        tuple_out, outputs = _tuple(func(*inputs), "outputs of the user-provided function", "jacobian")
        _check_outputs(outputs, strict)
        all_ = []
        for o, out in enumerate(outputs):
            j = _rows_at_once(out, inputs, create_graph) if vectorize else _rows(o, out, inputs, create_graph, strict)
            all_.append(_again(tuple_in, _finish(j, create_graph)))
    return _again(tuple_out, tuple(all_))


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of a func with one element: the Jacobian of its gradient."""
    if outer_jacobian_strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    if outer_jacobian_strategy == "forward-mode":
        _check_strategy(outer_jacobian_strategy, vectorize, create_graph, strict)
    tuple_in, inputs = _tuple(inputs, "inputs", "hessian")

    def gradient(*xs):
        outputs = _one_element(func, xs, "hessian")
        grads = _gradients(outputs, xs, (_C.ones_like(outputs[0]).detach(),), True)
        grads = _zeros(grads, xs, False, "")
        _check_history(grads, strict, _LINEAR, _LINEAR)
        return grads

    rows = jacobian(gradient, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize)
    return rows if tuple_in else rows[0][0]
