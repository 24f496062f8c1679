"""gradcheck: backward (and forward mode) of a function against central differences (G1-G4).

The module can be called as the function of its name, since torch.autograd.gradcheck is either.
"""

import itertools
import sys
import types
import warnings

from .. import _C
from . import grad as _grad

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError"]

_Tensor = _C.Tensor
_NUMBERS = (_C.float16, _C.bfloat16, _C.float32, _C.float64)


class GradcheckError(RuntimeError):
    """The derivatives do not agree."""

    __module__ = "torch.autograd.gradcheck"


# ---- inputs and outputs ---------------------------------------------------------------------------------------------


def _differentiable(t):
    return isinstance(t, _Tensor) and t.requires_grad


def _inputs(inputs):
    return (inputs,) if isinstance(inputs, _Tensor) else tuple(inputs)


def _outputs(out):
    """Those that have derivatives."""
    all_ = out if isinstance(out, (tuple, list)) else (out,)
    return tuple(o for o in all_ if isinstance(o, _Tensor) and o.dtype in _NUMBERS)


def _check_inputs(inputs):
    if not any(_differentiable(t) for t in inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i, t in enumerate(inputs):
        if not _differentiable(t):
            continue
        if t.dtype is not _C.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely "
                "fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(t.stride(), t.shape)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to be "
                "able to compute the numerical gradients correctly. You should call .contiguous on the input before passing it "
                "to gradcheck."
            )
        t.retain_grad()


def _flat(t):
    return t.detach().double().reshape(-1).tolist()


def _indices(t):
    return itertools.product(*(range(n) for n in t.shape))


# ---- Jacobians as lists: one row per element of the input, one column per element of the output -----------------------


def _numerical(func, inputs, which, eps):
    """For each output the Jacobian with respect to inputs[which]. The elements are written behind autograd's back."""
    data, columns = inputs[which].data, []
    for index in _indices(data):
        before = data[index].item()
        data[index] = before + eps
        plus = [_flat(o) for o in _outputs(func(*inputs))]
        data[index] = before - eps
        minus = [_flat(o) for o in _outputs(func(*inputs))]
        data[index] = before
        columns.append([[(a - b) / (2 * eps) for a, b in zip(p, m)] for p, m in zip(plus, minus)])
    if not columns:
        return [[] for _ in _outputs(func(*inputs))]
    return [[column[o] for column in columns] for o in range(len(columns[0]))]


def _one_hot(t):
    for index in _indices(t):
        seed = _C.zeros_like(t).detach()
        seed[index] = 1
        yield seed


def _backward_rows(out, inputs, seeds):
    """Per input a list of flat gradients, one per seed; also whether a gradient's dtype or shape was wrong."""
    rows, odd = [[] for _ in inputs], None
    for seed in seeds:
        grads = _grad(out, inputs, seed, retain_graph=True, allow_unused=True)
        for row, t, g in zip(rows, inputs, grads):
            if g is not None and (g.dtype is not t.dtype or g.shape != t.shape):
                odd = (t, g)
            row.append([0.0] * t.numel() if g is None else _flat(g))
    return rows, odd


def _transposed(rows, n):
    return [list(column) for column in zip(*rows)] if rows else [[] for _ in range(n)]


def _analytical(out, inputs, nondet_tol, check_grad_dtypes, o):
    if not out.requires_grad:
        return [[[0.0] * out.numel() for _ in range(t.numel())] for t in inputs]
    first, odd = _backward_rows(out, inputs, _one_hot(out))
    if odd and odd[0].shape != odd[1].shape:
        raise GradcheckError("Analytical gradient has incorrect size")
    if odd and check_grad_dtypes:
        raise GradcheckError("Gradient has dtype mismatch: " f"{odd[1].dtype} for an input of {odd[0].dtype}")
    second, _ = _backward_rows(out, inputs, _one_hot(out))
    for i, (a, b) in enumerate(zip(first, second)):
        if any(abs(p - q) > nondet_tol for u, v in zip(a, b) for p, q in zip(u, v)):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
                "different values, although analytical gradient matches numerical gradient."
                f"The tolerance for nondeterminism was {nondet_tol}. (output {o}, input {i})"
            )
    return [_transposed(rows, t.numel()) for rows, t in zip(first, inputs)]


def _forward(func, inputs, which):
    """The Jacobians by forward mode, one column of tangents at a time."""
    from . import forward_ad

    columns = []
    for tangent in _one_hot(inputs[which]):
        with forward_ad.dual_level():
            duals = list(t.detach() if isinstance(t, _Tensor) else t for t in inputs)
            duals[which] = forward_ad.make_dual(duals[which], tangent)
            pushed = [(o, forward_ad.unpack_dual(o).tangent) for o in _outputs(func(*duals))]
            columns.append([[0.0] * o.numel() if t is None else _flat(t) for o, t in pushed])
    return [[column[o] for column in columns] for o in range(len(columns[0]))] if columns else []


# ---- comparing ------------------------------------------------------------------------------------------------------


def _close(a, b, rtol, atol):
    """allclose(a, b): b is the reference, nan equals nothing."""
    return a == b or abs(a - b) <= atol + rtol * abs(b)


def _agree(analytical, numerical, rtol, atol):
    return len(analytical) == len(numerical) and all(
        len(r) == len(s) and all(_close(a, n, rtol, atol) for a, n in zip(r, s)) for r, s in zip(analytical, numerical)
    )


def _matrix(rows):
    return _C.tensor(rows, dtype=_C.float64)


def _mismatch(o, i, analytical, numerical, how=""):
    return GradcheckError(
        f"Jacobian {how}mismatch for output {o} with respect to input {i},\n"
        f"numerical:{_matrix(numerical)}\nanalytical:{_matrix(analytical)}\n"
    )


def _slow(func, inputs, outs, o):
    places = [i for i, t in enumerate(inputs) if _differentiable(t)]
    numerical = [_numerical(func, inputs, i, o["eps"]) for i in places]
    if o["check_backward_ad"]:
        for k, out in enumerate(outs):
            analytical = _analytical(out, [inputs[i] for i in places], o["nondet_tol"], o["check_grad_dtypes"], k)
            for n, a in enumerate(analytical):
                if not _agree(a, numerical[n][k], o["rtol"], o["atol"]):
                    raise _mismatch(k, n, a, numerical[n][k])
    if o["check_forward_ad"]:
        for n, i in enumerate(places):
            for k, a in enumerate(_forward(func, inputs, i)):
                if not _agree(a, numerical[n][k], o["rtol"], o["atol"]):
                    raise _mismatch(k, n, a, numerical[n][k], "computed with forward mode ")


# ---- fast mode: one random direction per input and output ---------------------------------------------------------------


def _direction(t):
    """A random unit vector of t's shape. Its own generator: the program's random numbers are left alone."""
    u = _C.rand(t.shape, dtype=t.dtype, generator=_C.Generator().manual_seed(t.numel() + 1))
    return u / (u * u).sum().sqrt() if t.numel() else u


def _dot(a, b):
    return sum(p * q for p, q in zip(_flat(a), _flat(b)))


def _along(func, inputs, which, u, eps):
    """The outputs' change along u."""
    data = inputs[which].data
    before = data.clone()
    data.copy_(before + eps * u)
    plus = [_flat(o) for o in _outputs(func(*inputs))]
    data.copy_(before - eps * u)
    minus = [_flat(o) for o in _outputs(func(*inputs))]
    data.copy_(before)
    return [[(a - b) / (2 * eps) for a, b in zip(p, m)] for p, m in zip(plus, minus)]


def _pushed(func, inputs, which, u):
    from . import forward_ad

    with forward_ad.dual_level():
        duals = list(t.detach() if isinstance(t, _Tensor) else t for t in inputs)
        duals[which] = forward_ad.make_dual(duals[which], u)
        pairs = [(o, forward_ad.unpack_dual(o).tangent) for o in _outputs(func(*duals))]
        return [[0.0] * o.numel() if t is None else _flat(t) for o, t in pairs]


def _fast(func, inputs, outs, o):
    places = [i for i, t in enumerate(inputs) if _differentiable(t)]
    v = [_direction(out.detach()) for out in outs]
    for n, i in enumerate(places):
        u = _direction(inputs[i].detach())
        change = _along(func, inputs, i, u, o["eps"])
        forward = _pushed(func, inputs, i, u) if o["check_forward_ad"] else None
        for k, out in enumerate(outs):
            w = _flat(v[k])
            numerical = sum(p * q for p, q in zip(w, change[k]))
            atol = o["atol"] * abs(sum(_flat(u)) * sum(w))
            got = []
            if o["check_backward_ad"]:
                g = _grad(out, inputs[i], v[k], retain_graph=True, allow_unused=True)[0] if out.requires_grad else None
                got.append(("", 0.0 if g is None else _dot(g, u)))
            if forward is not None:
                got.append(("computed with forward mode ", sum(p * q for p, q in zip(w, forward[k]))))
            for how, analytical in got:
                if _close(analytical, numerical, o["rtol"], atol):
                    continue
                text = f"Jacobian {how}mismatch for output {k} with respect to input {n},\nnumerical:{numerical}\nanalytical:{analytical}\n"
                try:
                    _slow(func, inputs, outs, o)
                except GradcheckError as error:
                    raise GradcheckError(f"{text}\nThe above quantities relating the numerical and analytical jacobians are computed in "
                                         f"fast mode. In slow mode:\n{error}") from None
                raise GradcheckError(f"{text}\nThe slow mode finds no mismatch: the tolerances of fast mode are tighter here")


# ---- what else must hold ---------------------------------------------------------------------------------------------------


def _check_zero_seed(outs, inputs):
    wanted = [t for t in inputs if _differentiable(t)]
    live = [o for o in outs if o.requires_grad]
    grads = _grad(live, wanted, [_C.zeros_like(o).detach() for o in live], retain_graph=True, allow_unused=True)
    for g in grads:
        if g is not None and any(x != 0 for x in _flat(g)):
            raise GradcheckError("backward not multiplied by grad_output")


def _check_undefined(outs, inputs):
    """A gradient that does not arrive counts as zero."""
    wanted = [t for t in inputs if _differentiable(t)]
    for k in range(len(outs)):
        masked = outs[k].clone()  # a node of its own, before which the gradient is lost
        handle = masked.grad_fn.register_hook(lambda gi, go: tuple(None for _ in gi))
        grads = _grad(masked, wanted, _C.ones_like(masked).detach(), retain_graph=True, allow_unused=True)
        handle.remove()
        for g in grads:
            if g is not None and any(x != 0 for x in _flat(g)):
                raise GradcheckError(
                    "Expected all inputs to have undefined or zero gradients when the output's gradient is undefined: backward "
                    "must take None for zero"
                )


def _check_batched(outs, inputs):
    wanted = [t for t in inputs if _differentiable(t)]
    for k, out in enumerate(outs):
        seeds = _C.stack([_direction(out.detach()), _direction(out.detach()) * 2])
        batched = _grad(out, wanted, seeds, retain_graph=True, allow_unused=True, is_grads_batched=True)
        for s in range(2):
            single = _grad(out, wanted, seeds[s], retain_graph=True, allow_unused=True)
            for i, (b, g) in enumerate(zip(batched, single)):
                if (b is None) != (g is None) or g is not None and not all(_close(p, q, 1e-5, 1e-8) for p, q in zip(_flat(b[s]), _flat(g))):
                    raise GradcheckError(
                        f"For output {k} and input {i}: gradients of batched seeds (is_grads_batched=True) differ from those of each seed"
                    )


def _check(func, inputs, o):
    inputs = _inputs(inputs)
    _check_inputs(inputs)
    outs = _outputs(func(*inputs))
    live = [out for out in outs if out.requires_grad]
    if o["check_backward_ad"] and not live:
        for i, t in enumerate(inputs):
            if _differentiable(t) and any(x for jacobian in _numerical(func, inputs, i, o["eps"]) for row in jacobian for x in row):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return True
    (_fast if o["fast_mode"] else _slow)(func, inputs, outs, o)
    if o["check_backward_ad"]:
        if o["check_batched_grad"]:
            _check_batched(live, inputs)
        _check_zero_seed(outs, inputs)
        if o["check_undefined_grad"]:
            _check_undefined(live, inputs)
    return True


# ---- public --------------------------------------------------------------------------------------------------------------------


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0, check_undefined_grad=True,
              check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """True when the derivatives of func at inputs agree with central differences; otherwise GradcheckError, or False."""
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    if check_batched_forward_grad:
        raise NotImplementedError("check_batched_forward_grad is missing in this version of wengert")
    try:
        return _check(func, inputs, dict(locals()))
    except GradcheckError:
        if raise_exception:
            raise
        return False


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False,
                  raise_exception=True, nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False,
                  check_batched_grad=False, check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False, masked=False):
    """The same for the gradient of func: a function of inputs and grad_outputs (random when not given)."""
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    inputs = _inputs(inputs)
    if grad_outputs is None:
        grad_outputs = tuple(_random_seed(o, gen_non_contig_grad_outputs) for o in _outputs(func(*inputs)) if o.requires_grad)
    else:
        grad_outputs = _inputs(grad_outputs)
    n = len(grad_outputs)

    def gradient(*args):
        primal, seeds = args[: len(args) - n], args[len(args) - n:]
        primal = tuple(t if _differentiable(t) or not _differentiable(i) else t.requires_grad_() for t, i in zip(primal, inputs))
        wanted = tuple(t for t in primal if _differentiable(t))
        live = [o for o in _outputs(func(*primal)) if o.requires_grad]
        grads = _grad(live, wanted, seeds, create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return gradcheck(gradient, inputs + grad_outputs, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
                     nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
                     check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
                     check_backward_ad=check_rev_over_rev, fast_mode=fast_mode, masked=masked)


def _random_seed(out, non_contiguous):
    g = _C.randn(out.shape, dtype=out.dtype)
    if non_contiguous and g.dim():  # every other element of a longer one
        g = _C.stack([g, g], dim=-1)[..., 0]
    return g.detach().requires_grad_()


class _Callable(types.ModuleType):
    def __call__(self, *args, **kwargs):
        return gradcheck(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
