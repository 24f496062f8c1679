#!/usr/bin/env python3
"""Records what PyTorch computes, forward and backward, for calls of every op: tests/golden/data/ops.bin, replayed by
tests/golden/test_ops.c.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_ops.py [OUTPUT]

Each sample runs in float64 and in float32 (some in the 16-bit types, integer ones in the dtypes they name). A run in
less than float64 is followed by a reference: the same inputs, rounded as they are, computed in float64.

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then little-endian:
u32 number of calls; per call
  str name (u8 length + bytes), u8 mode (0 plain, 1 in place on a clone of input 0, 2 the same on that clone's
  transpose), u8 how values are compared (0 bits, 1 per element, 2 in the norm,
  3 bits but for the sign of 0), u8 0 or error (str type name), u8 inputs
  input: u8 dtype, u8 flags (1 requires_grad), u8 ndim, i32 sizes, i32 strides, i32 offset, u32 stored, storage bytes
  u8 arguments; argument: u8 tag (0 none, 1 int i64, 2 double, 3 bool u8, 4 ints u8 n + i32, 5 dtype u8,
  6 tensor u8 input, 7 tensors u8 n + u8 input or 255, 8 9 10 a number that is a double, an int, a bool)
Unless it raised:
  u8 outputs; output: u8 shares the storage of input (255 none), u8 is input (255 none), tensor, text of its graph
  (u16 length + bytes)
  tensor: u8 dtype, u8 ndim, i32 sizes, i32 strides, elements row-major, u8 1 if a reference follows: f64 size of the
  terms, f64 elements (none when dtype is float64)
  u8 1 if gradients follow: per output u8 1 if it has a cotangent, elements row-major; str error type (empty: none),
  then per input with requires_grad: u8 1 if it has a gradient, tensor
"""
import hashlib
import math
import os
import random
import struct
import sys
import warnings

import torch
import torch.nn.functional as F

aten = torch.ops.aten
f16, bf16, f32, f64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
b8, u8, i8, i16, i32, i64 = torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64
CODES = [b8, u8, i8, i16, i32, i64, f16, bf16, f32, f64]
MAX_BYTES = 4_000_000
BITS, ELEMENT, NORM, VALUES = 0, 1, 2, 3
nan, inf = math.nan, math.inf
SPECIAL = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-3, 1e-40, 1e5, -1e30, 1e300]
CROSS = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 0.5, 3.0]

warnings.simplefilter("ignore")
torch.set_num_threads(1)
samples = []


# ---- what a sample is ------------------------------------------------------------------------------------------------


class Input:
    """A tensor argument. dtype None: the run's. layout: c row-major, t last two dims exchanged in memory, r all dims
    reversed in memory, s every second element, e first dim expanded."""

    def __init__(self, sizes, lo, hi, dtype, layout, values, grad):
        self.sizes, self.lo, self.hi, self.dtype = list(sizes), lo, hi, dtype
        self.layout, self.values, self.grad = layout, values, grad

    def geometry(self):
        order = list(range(len(self.sizes)))
        if self.layout == "t":
            order[-2], order[-1] = order[-1], order[-2]
        elif self.layout == "r":
            order.reverse()
        step, offset, strides = 1, 0, [0] * len(order)
        if self.layout == "s":
            step, offset = 2, 1
        for d in reversed(order):
            strides[d] = step
            step *= max(self.sizes[d], 1)
        if self.layout == "e":
            strides[0] = 0
        last = offset + sum((n - 1) * s for n, s in zip(self.sizes, strides))
        return strides, offset, (0 if 0 in self.sizes else last + 1)

    def storage(self, rnd, run):
        dtype = self.dtype or run
        n = self.geometry()[2]
        if self.values is not None:
            assert len(self.values) == n, (len(self.values), n)
            data = self.values
        elif dtype.is_floating_point:
            data = [rnd.uniform(self.lo, self.hi) for _ in range(n)]
        elif dtype == b8:
            data = [rnd.random() < 0.5 for _ in range(n)]
        else:
            low, high = math.ceil(self.lo), math.floor(self.hi)
            low = max(low, torch.iinfo(dtype).min)
            data = [rnd.randint(low, high) for _ in range(n)]
        return torch.tensor(data, dtype=f64 if dtype.is_floating_point else dtype).to(dtype)


class Number:
    """A Python number where a tensor may stand."""

    def __init__(self, value):
        self.value = value


def T(*sizes, lo=-2.0, hi=2.0, dtype=None, layout="c", values=None, grad=True):
    return Input(sizes, lo, hi, dtype, layout, values, grad)


def V(values, *sizes, dtype=None, grad=True):
    return Input(sizes or [len(values)], 0, 0, dtype, "c", values, grad)


def I(values, *sizes, dtype=i64):
    return V(values, *sizes, dtype=dtype, grad=False)


def sample(name, *args, mode=0, compare=None, runs=None, skip=()):
    samples.append({"name": name, "args": list(args), "mode": mode, "compare": compare, "runs": runs, "skip": skip})


# ---- the calls in PyTorch --------------------------------------------------------------------------------------------


def reduction(code):
    return ("none", "mean", "sum")[code]


def squeeze(x, dim=None):
    return torch.squeeze(x) if dim is None else torch.squeeze(x, tuple(dim) if isinstance(dim, list) else dim)


def over_dims(f):
    """A reduction that takes dim=None, keepdim and perhaps dtype."""
    def call(x, dim=None, keepdim=False, dtype=None):
        extra = {} if dtype is None else {"dtype": dtype}
        if dim is None and not keepdim:
            return f(x, **extra)
        if dim is None:
            dim = list(range(x.dim()))
        return f(x, dim=dim, keepdim=keepdim, **extra)
    return call


def deviation(f):
    def call(x, dim=None, correction=None, keepdim=False):
        return f(x, dim=dim, correction=1 if correction is None else correction, keepdim=keepdim)
    return call


def arg_extreme(f):
    return lambda x, dim=None, keepdim=False: f(x, dim=dim, keepdim=keepdim)


def cross_entropy(x, target, weight=None, how=1, ignore=-100, smoothing=0.0):
    return F.cross_entropy(x, target, weight, reduction=reduction(how), ignore_index=ignore, label_smoothing=smoothing)


def nll_loss(x, target, weight=None, how=1, ignore=-100):
    return F.nll_loss(x, target, weight, reduction=reduction(how), ignore_index=ignore)


def nll_backward(g, target, weight, total, how, ignore, size):
    total = torch.zeros((), dtype=g.dtype) if total is None else total
    return aten.nll_loss_backward(g, torch.zeros(size, dtype=g.dtype), target, weight, how, ignore, total)


UNARY = {"neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "exp": torch.exp, "log": torch.log,
         "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh,
         "sigmoid": torch.sigmoid, "relu": torch.relu, "reciprocal": torch.reciprocal, "floor": torch.floor,
         "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc, "isnan": torch.isnan, "isinf": torch.isinf,
         "isfinite": torch.isfinite, "logical_not": torch.logical_not, "bitwise_not": torch.bitwise_not,
         "square": torch.square, "conj": torch.conj}
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal"}
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "floor_divide": torch.floor_divide,
          "remainder": torch.remainder, "fmod": torch.fmod, "pow": torch.pow, "maximum": torch.maximum,
          "minimum": torch.minimum, "atan2": torch.atan2, "eq": torch.eq, "ne": torch.ne, "lt": torch.lt,
          "le": torch.le, "gt": torch.gt, "ge": torch.ge, "logical_and": torch.logical_and,
          "logical_or": torch.logical_or, "logical_xor": torch.logical_xor, "bitwise_and": torch.bitwise_and,
          "bitwise_or": torch.bitwise_or, "bitwise_xor": torch.bitwise_xor,
          "bitwise_left_shift": torch.bitwise_left_shift, "bitwise_right_shift": torch.bitwise_right_shift,
          "rsub": torch.rsub, "_div_floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
          "_tanh_backward": aten.tanh_backward, "_sigmoid_backward": aten.sigmoid_backward,
          "_threshold_backward": lambda g, x: aten.threshold_backward(g, x, 0)}
TENSORS_ONLY = {"maximum", "minimum", "atan2", "logical_and", "logical_or", "logical_xor", "_tanh_backward",
                "_sigmoid_backward", "_threshold_backward"}
INPLACE = {"add_": lambda x, y, a=1: x.add_(y, alpha=a), "sub_": lambda x, y, a=1: x.sub_(y, alpha=a),
           "mul_": torch.Tensor.mul_, "div_": torch.Tensor.div_, "pow_": torch.Tensor.pow_,
           "zero_": torch.Tensor.zero_, "fill_": torch.Tensor.fill_, "copy_": torch.Tensor.copy_,
           "clamp_": torch.Tensor.clamp_, "relu_": torch.relu_, "exp_": torch.Tensor.exp_,
           "tanh_": torch.Tensor.tanh_, "sigmoid_": torch.Tensor.sigmoid_, "neg_": torch.Tensor.neg_,
           "masked_fill_": torch.Tensor.masked_fill_,
           "index_put_": lambda x, i, v, a=False: aten.index_put_(x, i, v, a)}
CALLS = {
    "round.decimals": lambda x, d: torch.round(x, decimals=d),
    "_div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "add.alpha": lambda x, y, a: torch.add(x, y, alpha=a), "sub.alpha": lambda x, y, a: torch.sub(x, y, alpha=a),
    "clamp": lambda x, lo=None, hi=None: torch.clamp(x, lo, hi), "clamp.bounds": torch.clamp,
    "clamp.min_only": lambda x, lo: torch.clamp(x, min=lo), "clamp.max_only": lambda x, hi: torch.clamp(x, max=hi),
    "clamp_min": torch.clamp_min, "clamp_max": torch.clamp_max,
    "sum": over_dims(torch.sum), "mean": over_dims(torch.mean), "prod": over_dims(torch.prod),
    "amax": lambda x, dim=(), keepdim=False: torch.amax(x, dim or (), keepdim),
    "amin": lambda x, dim=(), keepdim=False: torch.amin(x, dim or (), keepdim),
    "max": torch.max, "min": torch.min, "argmax": arg_extreme(torch.argmax), "argmin": arg_extreme(torch.argmin),
    "max.dim": lambda x, d, k=False: torch.max(x, d, k), "min.dim": lambda x, d, k=False: torch.min(x, d, k),
    "all": over_dims(torch.all), "any": over_dims(torch.any), "var": deviation(torch.var), "std": deviation(torch.std),
    "linalg_vector_norm": lambda x, p=2, d=None, k=False, t=None: torch.linalg.vector_norm(x, p, d, k, dtype=t),
    "norm": lambda x, p=2, d=None, k=False: torch.norm(x, p, d, k), "logsumexp": torch.logsumexp,
    "softmax": lambda x, d, t=None: torch.softmax(x, d, dtype=t),
    "log_softmax": lambda x, d, t=None: torch.log_softmax(x, d, dtype=t),
    "_softmax_backward_data": lambda g, y, d: aten._softmax_backward_data(g, y, d, y.dtype),
    "_log_softmax_backward_data": lambda g, y, d: aten._log_softmax_backward_data(g, y, d, y.dtype),
    "sort": lambda x, d, descending, stable: torch.sort(x, dim=d, descending=descending, stable=True) if stable
    else torch.sort(x, dim=d, descending=descending),
    "nll_loss_forward": aten.nll_loss_forward, "nll_loss_backward": nll_backward,
    "mse_loss": lambda x, y, how=1: F.mse_loss(x, y, reduction=reduction(how)), "nll_loss": nll_loss,
    "cross_entropy": cross_entropy,
    "permute": torch.permute, "transpose": torch.transpose, "t": torch.t, "view": lambda x, s: x.view(s),
    "_unsafe_view": aten._unsafe_view, "expand": lambda x, s, implicit=False: x.expand(s), "squeeze": squeeze,
    "unsqueeze": torch.unsqueeze, "select": torch.select,
    "slice": lambda x, d=0, a=None, e=None, s=1: aten.slice.Tensor(x, d, a, e, s), "alias": aten.alias,
    "as_strided": torch.as_strided, "unbind": lambda x, d=0: list(torch.unbind(x, d)),
    "split": lambda x, n, d=0: list(torch.split(x, n, d)),
    "split_with_sizes": lambda x, n, d=0: list(torch.split_with_sizes(x, n, d)),
    "chunk": lambda x, n, d: list(torch.chunk(x, n, d)), "reshape": torch.reshape, "narrow": torch.narrow,
    "flatten": torch.flatten, "mT": lambda x: x.mT, "expand_as": lambda x, y: x.expand_as(y),
    "clone": torch.clone, "contiguous": lambda x: x.contiguous(), "_to_copy": lambda x, t: aten._to_copy(x, dtype=t),
    "to": lambda x, t: x.to(t), "cat": lambda l, d=0: torch.cat(l, d), "stack": lambda l, d=0: torch.stack(l, d),
    "where": torch.where, "masked_fill": torch.masked_fill,
    "as_strided_scatter": lambda x, y, n, s, o, layout: torch.as_strided_scatter(x, y, n, s, o),
    "index": lambda x, l: aten.index.Tensor(x, l),
    "index_put": lambda x, l, v, a=False: aten.index_put(x, l, v, a),
    "index_select": torch.index_select, "index_add": torch.index_add, "index_fill": torch.index_fill,
    "gather": torch.gather, "scatter_add": torch.scatter_add, "nonzero": torch.nonzero,
    "embedding": lambda w, i, p=-1: torch.embedding(w, i, p),
    "mm": torch.mm, "mv": torch.mv, "dot": torch.dot, "bmm": torch.bmm, "matmul": torch.matmul,
    "addmm": lambda c, a, b, beta=1, alpha=1: torch.addmm(c, a, b, beta=beta, alpha=alpha),
    "linear": lambda x, w, b=None: F.linear(x, w, b),
    "isclose": torch.isclose, "equal": lambda a, b: torch.tensor(torch.equal(a, b)),
    "allclose": lambda a, b, r, t, e: torch.tensor(torch.allclose(a, b, r, t, e)),
    **UNARY, **BINARY, **INPLACE}

POINTWISE = set(UNARY) | set(BINARY) | {"add.alpha", "sub.alpha", "clamp", "clamp.bounds", "clamp.min_only",
                                        "clamp.max_only", "clamp_min", "clamp_max", "where"}
SPREADS = POINTWISE | {"add_", "sub_", "mul_", "div_", "pow_", "clamp_"}
# Sums of products of the inputs with coefficients that are not negative once the inputs are not: the same call on
# absolute values gives the sum of absolute terms.
MULTILINEAR = {"sum", "mean", "prod", "mm", "mv", "dot", "bmm", "matmul", "addmm", "linear", "index_add", "index_put",
               "scatter_add", "add", "mul", "embedding", "index", "gather", "index_select", "add_", "mul_",
               "index_put_", "expand", "as_strided", "add.alpha", "cat", "stack", "clone", "masked_fill", "fill_"}
# Those that only move elements: forward compared bit for bit.
MOVES = {"permute", "transpose", "t", "view", "_unsafe_view", "expand", "squeeze", "unsqueeze", "select", "slice",
         "alias", "as_strided", "unbind", "split", "split_with_sizes", "chunk", "reshape", "narrow", "flatten", "mT",
         "expand_as", "clone", "contiguous", "cat", "stack", "where", "masked_fill", "as_strided_scatter", "index",
         "index_select", "index_fill", "gather", "embedding", "sort", "max", "min", "amax", "amin", "max.dim",
         "min.dim", "to", "_to_copy", "zero_", "fill_", "copy_", "masked_fill_", "conj", "neg", "neg_", "abs", "sign",
         "floor", "ceil", "round", "trunc", "maximum", "minimum", "clamp", "clamp.bounds", "clamp.min_only",
         "clamp.max_only", "clamp_min", "clamp_max", "clamp_", "relu", "relu_", "fmod", "remainder"}
# Which of 0 and -0 wins depends, in PyTorch, on the width of the machine's vectors.
EXTREMES = {"max", "min", "amax", "amin", "maximum", "minimum", "clamp", "clamp.bounds", "clamp.min_only",
            "clamp.max_only",
            "clamp_min", "clamp_max", "clamp_"}


# ---- the samples -----------------------------------------------------------------------------------------------------


def unary_samples():
    for name in list(UNARY):
        lo, hi = (0.1, 3.0) if name in POSITIVE else (-2.5, 2.5)
        for sizes, layout in [((2, 3), "c"), ((), "c"), ((0, 3), "c"), ((37,), "c"), ((4, 5), "t"), ((2, 1, 3), "s"),
                              ((3, 4), "e"), ((2, 3, 4), "r")]:
            sample(name, T(*sizes, lo=lo, hi=hi, layout=layout))
        sample(name, V(SPECIAL))
        sample(name, V(SPECIAL, dtype=f16))
        sample(name, V(SPECIAL, dtype=bf16))
        sample(name, T(3, 3, lo=lo, hi=hi, dtype=f16))
        sample(name, T(2, 5, lo=lo, hi=hi, dtype=bf16))
        sample(name, I([3, -7, 0, 1, -1, 2 ** 62, 123456789], dtype=i64))
        sample(name, I([3, -7, 0, 1, -1, 99, 2 ** 31 - 1], dtype=i32))
        sample(name, I([0, 1, 2, 127, 128, 255], 2, 3, dtype=u8))
        sample(name, I([0, 1, -2, 127, -128], dtype=i8))
        sample(name, I([0, 300, -300], dtype=i16))
        sample(name, I([True, False, True], dtype=b8))
        sample(name, I([], 0, dtype=i64))


def cross(values):
    n = len(values)
    return V([x for x in values for _ in range(n)]), V(values * n)


def binary_ranges(name):
    if name in ("div", "floor_divide", "remainder", "fmod", "_div_floor", "atan2"):
        return (-3, 3), (0.3, 2.0)
    if name == "pow":
        return (0.2, 2.5), (-2.0, 2.0)
    if name == "_sigmoid_backward":
        return (-2, 2), (0.05, 0.95)
    if name == "_tanh_backward":
        return (-2, 2), (-0.95, 0.95)
    return (-2, 2), (-2, 2)


def int_pair(name, n, a, b):
    """Integers that the op takes: divisors are not 0, exponents not negative, shifts in and out of range."""
    r = random.Random(f"{name} {n} {a} {b}")
    low = {u8: 0, b8: 0}
    x = [r.randint(low.get(a, -9), 1 if a == b8 else 9) for _ in range(n)]
    y = [r.randint(low.get(b, -9), 1 if b == b8 else 9) for _ in range(n)]
    if name in ("div", "floor_divide", "remainder", "fmod", "_div_floor"):
        y = [v or 1 for v in y]
    if name == "pow":
        y = [abs(v) % 5 for v in y]
        if b == b8:
            y = [v & 1 for v in y]
    if name in ("bitwise_left_shift", "bitwise_right_shift") and b != b8:
        y[:4] = [0, 1, 7, 70]
    return I(x, dtype=a), I(y, dtype=b)


def binary_samples():
    for name in list(BINARY):
        (a, b), (c, d) = binary_ranges(name)

        def pair(sx, sy, lx="c", ly="c", **k):
            return T(*sx, lo=a, hi=b, layout=lx, **k), T(*sy, lo=c, hi=d, layout=ly, **k)
        if not name.startswith("bitwise"):
            shapes = [((3, 4), (3, 4)), ((37,), (37,))]
            if name[0] != "_" or name == "_div_floor":
                shapes += [((2, 1, 3), (4, 1)), ((), (5,)), ((2, 3), ()), ((), ()), ((0, 3), (3,)), ((4, 1), (1, 5))]
            else:
                shapes += [((), ()), ((0, 3), (0, 3)), ((2, 1, 3), (2, 1, 3))]
            for sx, sy in shapes:
                sample(name, *pair(sx, sy))
            sample(name, *pair((4, 5), (4, 5), "t", "c"))
            sample(name, *pair((4, 5), (4, 5), "t", "t"))
            sample(name, *pair((2, 6), (2, 6), "s", "e"))
            sample(name, *cross(CROSS))
            if name[0] == "_" and name != "_div_floor":
                continue
            sample(name, *pair((5,), (5,), dtype=f16))
            sample(name, *pair((5,), (5,), dtype=bf16))
            sample(name, T(3, lo=a, hi=b, dtype=f16), T(3, lo=c, hi=d, dtype=f32))
            sample(name, T(3, lo=a, hi=b, dtype=f16), T(3, lo=c, hi=d, dtype=bf16))
            sample(name, T(3, lo=a, hi=b, dtype=f32), T(lo=c, hi=d, dtype=f64))
            sample(name, T(3, lo=a, hi=b, dtype=f32), T(1, lo=c, hi=d, dtype=f64))
            sample(name, I([1, 2, 3]), T(3, lo=c, hi=d))
            sample(name, T(3, lo=a, hi=b), I([1, 2, 3]))
            sample(name, I([1, 2, 3]), T(lo=c, hi=d))
            sample(name, T(3, lo=a, hi=b), I([2], dtype=i32))
            sample(name, T(3, lo=a, hi=b), I([True, True, True], dtype=b8))
            if name not in TENSORS_ONLY:
                for n in (1.5, 2, 0, True) if name == "pow" else (1.5, 2, True):
                    sample(name, T(2, 3, lo=a, hi=b), Number(n))
                sample(name, V(CROSS), Number(2.0))
                sample(name, V(CROSS), Number(-1))
                sample(name, T(3, dtype=f16, lo=a, hi=b), Number(1.25))
                sample(name, I([1, -2, 3]), Number(1.5))
        if name[0] == "_" and name != "_div_floor":
            continue
        for x, y in [(i64, i64), (i32, i32), (u8, u8), (b8, b8), (i8, u8), (u8, i64), (b8, i64), (i16, i32)]:
            sample(name, *int_pair(name, 7, x, y))
        for sx, sy in (([4, 1], [1, 4]), ([2, 2], [4, 2, 2])):
            x, y = int_pair(name, math.prod(sx), i64, i64)[0], int_pair(name, math.prod(sy), i64, i64)[1]
            x.sizes, y.sizes = sx, sy
            sample(name, x, y)
        sample(name, I([], 0, 2), I([5, 6]))
        if name not in TENSORS_ONLY:
            sample(name, I([3, -5, 7]), Number(3))
            sample(name, I([3, 5, 7], dtype=u8), Number(2))
            sample(name, I([True, False], dtype=b8), Number(True))
        if name in ("floor_divide", "remainder", "fmod", "_div_floor"):
            sample(name, I([1, 2]), I([1, 0]))
        if name == "pow":
            sample(name, I([1, 2, -1]), Number(-1))
            sample(name, I([1, 2, -1]), I([-1, -2, -3]))
            for base in (2, 2.5, 0, 1, -1.5):
                sample(name, Number(base), T(4))
            sample(name, Number(0), V(CROSS))
            for e in (0, 1, 2, 3, 0.5, -0.5, -1, -2, -3):
                sample(name, V(CROSS), Number(e))
                sample(name, T(9, lo=0.1, hi=3), Number(e))
        if name == "remainder":
            sample(name, Number(7), T(4, lo=0.3))
    for name in ("add.alpha", "sub.alpha"):
        for alpha in (-0.75, 2, 0.1):
            sample(name, T(3, 4), T(3, 4), alpha)
            sample(name, T(2, 1, 3), T(4, 1), alpha)
            sample(name, T(37), T(37), alpha)
        sample(name, T(), T(), 3)
        sample(name, T(0, 2), T(2), 0.5)
        sample(name, T(4, 5, layout="t"), T(4, 5), 0.5)
        sample(name, I([1, 2]), I([3, 4]), 2)
        sample(name, I([1, 2], dtype=u8), T(2), 0.5)
        sample(name, *cross(CROSS), 2)
    for name in ("isclose", "equal", "allclose"):
        extra = {"isclose": (1e-5, 1e-8, False), "equal": (), "allclose": (1e-5, 1e-8, False)}[name]
        sample(name, V([1, 2, 3]), V([1, 2, 3]), *extra)
        sample(name, V([1, 2, 3]), V([1, 2 + 1e-7, 3]), *extra)
        sample(name, V([1, 2, 3]), V([1, 2.5, 3]), *extra)
        sample(name, T(0), T(0), *extra)
        sample(name, T(2, 3, layout="t"), T(2, 3), *extra)
        sample(name, V([nan, inf, -inf]), V([nan, inf, -inf]), *extra)
        sample(name, V([inf, inf]), V([inf, -inf]), *extra)
        sample(name, I([1, 2]), I([1, 2]), *extra)
        sample(name, V([1.0], 1), V([1.0], 1), *extra)
        if extra:
            sample(name, V([nan, inf, 1]), V([nan, inf, 1]), 1e-5, 1e-8, True)
            sample(name, *cross(CROSS), 0.1, 0.2, True)
            sample(name, I([100, 7]), I([101, 7]), 0.02, 0.0, False)


def rounding_samples():
    """At the end, so that the samples before keep their numbers and with them their values."""
    for sizes, layout in [((2, 3), "c"), ((), "c"), ((0, 3), "c"), ((37,), "c"), ((4, 5), "t"), ((2, 1, 3), "s")]:
        for decimals in (0, 2, -1):
            sample("round.decimals", T(*sizes, lo=-250.0, hi=250.0, layout=layout), decimals)
    sample("round.decimals", V([nan, inf, -inf, 0.0, -0.0, 0.125, 2.5, -0.375]), 2)
    sample("round.decimals", I([3, -7]), 1)
    for sx, sy in [((3, 4), (3, 4)), ((37,), (37,)), ((2, 1, 3), (4, 1)), ((), (5,)), ((0, 3), (3,))]:
        sample("_div_trunc", T(*sx, lo=-3, hi=3), T(*sy, lo=0.3, hi=2.0))
        sample("_div_trunc", T(*sx, lo=-3, hi=3, dtype=f16), T(*sy, lo=0.3, hi=2.0))
    sample("_div_trunc", *cross(CROSS))
    sample("_div_trunc", T(5, lo=-3, hi=3), Number(0.75))
    for a, b in [(i64, i64), (i8, i8), (u8, i32), (u8, u8), (i64, f32), (i32, b8)]:
        x, y = int_pair("div", 24, a, f32 if b == f32 else b)
        sample("_div_trunc", x, y)
    sample("_div_trunc", I([-128, 127, -1], dtype=i8), I([-1, -1, -1], dtype=i8))
    sample("_div_trunc", I([1, 2]), I([1, 0]))
    sample("_div_trunc", I([True, False], dtype=b8), I([True, True], dtype=b8))


def clamp_samples():
    values = [nan, inf, -inf, 0.0, -1.0, 1.0, 0.5, -3.0, 3.0, -0.0]
    both = ("clamp", "clamp.bounds")
    for name in both:
        sample(name, T(3, 4), Number(-0.5), Number(1))
        sample(name, V(values), Number(-1.0), Number(1.0))
        sample(name, V(values), Number(1.0), Number(1.0))
        sample(name, V(values), Number(1.0), Number(-1.0))
        sample(name, T(2, 1, 3), T(4, 1), T(3, lo=0, hi=3))
        sample(name, V(values), T(10, lo=-1, hi=-1), T(10, lo=1, hi=1))
        sample(name, V([-1.0, 1.0, 0.0, 2.0, -2.0, nan, 1.0]), V([-1.0, -1.0, 0.0, 2.0, -1.0, 0.0, 2.0]),
               V([1.0, 1.0, 0.0, 2.0, 1.0, 1.0, 1.0]))
        sample(name, V([1.0, 1.0, 1.0, nan, 1.0, nan]), V([nan, 0.0, nan, 2.0, 1.0, nan]),
               V([2.0, nan, nan, 1.0, nan, 1.0]))
        sample(name, T(), T(), T(lo=1, hi=2))
        sample(name, T(0, 2), Number(0), Number(1))
        sample(name, T(4, 5, layout="t"), T(4, 5), T(4, 5, layout="t"))
        sample(name, I([1, 5, -9]), Number(-2), Number(3))
        sample(name, I([1, 5, -9]), Number(-2.5), Number(3.5))
        sample(name, I([1, 5, 9], dtype=u8), I([2, 2, 2], dtype=u8), I([4, 6, 8], dtype=u8))
        sample(name, I([1, 5]), T(2), T(2, lo=0, hi=4))
        sample(name, T(5, dtype=f16), Number(-0.5), Number(0.5))
    sample("clamp", T(5), None, Number(0.5))
    sample("clamp", T(5), Number(0.5))
    sample("clamp", T(5), None, T(5))
    sample("clamp", T(2, 3), T(3))
    sample("clamp", T(2, 3), None, None)
    for name in ("clamp.min_only", "clamp.max_only", "clamp_min", "clamp_max"):
        for sizes, bound in [((3, 4), (3, 4)), ((2, 1, 3), (4, 1)), ((), ()), ((0, 2), (2,)), ((37,), (37,))]:
            sample(name, T(*sizes), T(*bound))
        sample(name, T(4, 5, layout="t"), Number(0.25))
        sample(name, V(values), Number(1.0))
        sample(name, V(values), Number(-1))
        sample(name, *cross(CROSS))
        sample(name, I([1, -2, 3]), Number(0))
        sample(name, I([1, 2, 3]), T(3))
        sample(name, I([1, 2, 3], dtype=u8), I([2, 2, 2], dtype=u8))


def reduction_samples():
    common = [(T(2, 3), None, False), (T(), None, False), (T(2, 3, 2), [0, -1], True), (T(2, 3, 2), [1], False),
              (T(4, 5, layout="t"), [0], False), (T(3, 4, layout="s"), [-1], True), (T(37), [0], False),
              (T(3, 4, layout="e"), [0], False), (T(2, 3, 4, layout="r"), [0, 2], False), (T(5, 70), [1], False),
              (T(70, 5), [0], True), (T(300), None, False)]
    ints = [I([3, -7, 2, 9, 0, 1], 2, 3), I([3, 7, 255, 9, 0, 1], 2, 3, dtype=u8),
            I([1, 0, 1, 1, 1, 1], 2, 3, dtype=b8),
            I([3, -7, 2, 9, 0, 1], 2, 3, dtype=i32)]
    for name in ("sum", "mean", "amax", "amin", "all", "any", "var", "std", "logsumexp"):
        def one(x, dims, keep, *rest):
            if name in ("var", "std"):
                sample(name, x, dims, None, keep)
            elif name == "logsumexp":
                sample(name, x, dims if dims is not None else list(range(len(x.sizes))), keep)
            elif name in ("amax", "amin"):
                sample(name, x, dims if dims is not None else [], keep)
            elif name in ("all", "any"):
                sample(name, x, dims, keep)
            else:
                sample(name, x, dims, keep, None)
        for case in common:
            one(*case)
        for x in ints:
            one(x, None, False)
            one(x, [1], True)
        one(T(0, 3), [1], False)
        one(T(0, 3), [0], False)
        one(T(0), None, False)
        one(T(2, 3), [0, 0], False)
        one(T(2, 3), [2], False)
        one(V([1.0, nan, 2.0, inf, 1.0, 3.0], 2, 3), [1], False)
        one(V([inf, -inf, 2.0, -inf, -inf, -inf, 0.0, -0.0, 0.0], 3, 3), [1], False)
        one(V([2.0, 2.0, 1.0, 0.0, 0.0, 0.0], 2, 3), [1], False)
        one(V([2.0, 2.0, 1.0, 0.0, 0.0, 0.0], 2, 3), None, False)
        one(T(3, 7, dtype=f16), [1], False)
        one(T(3, 7, dtype=bf16), [0], False)
    for name in ("sum", "mean", "prod"):
        many = [0] if name != "prod" else 0
        sample(name, T(2, 3, dtype=f32), many, False, f64)
        sample(name, T(2, 3, dtype=f16), many, False, f32)
        sample(name, I([1, 2, 3, 4], 2, 2), many, False, f32)
        sample(name, I([1, 2, 3, 4], 2, 2, dtype=u8), many, True, i32 if name != "mean" else f64)
        sample(name, T(4, dtype=f16), None, False, f32)
    for correction in (0, 2, 1.5, 3, 4):
        for name in ("var", "std"):
            sample(name, T(3, 3), [1], correction, False)
            sample(name, T(3), None, correction, True)
    sample("var", V([2.0, 2.0, 2.0]), None, None, False)
    sample("std", V([2.0, 2.0, 2.0]), None, None, False)
    for name in ("var", "std"):
        sample(name, T(1), None, None, False)
        sample(name, T(1, 3), [0], 0, False)
        sample(name, T(2, 3, lo=1e4, hi=1e4 + 1), [1], None, False)
    for x, dim, keep in [(T(2, 3), None, False), (T(), None, False), (T(2, 3, 2), 1, True), (T(2, 3), -1, False),
                         (T(4, 5, layout="t"), 0, False), (T(0), None, False), (T(0, 3), 0, False), (T(9), 0, False),
                         (V([1.0, 0.0, 2.0, 3.0]), None, False), (V([1.0, 0.0, 0.0, 3.0]), None, False),
                         (V([1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 1.0, 2.0, 3.0], 3, 3), 1, False),
                         (V([1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 1.0, 2.0, 3.0], 3, 3), 0, True),
                         (V([1.0, nan, inf]), 0, False), (T(3, dtype=f16), None, False),
                         *[(x, None, False) for x in ints],
                         *[(x, 0, True) for x in ints]]:
        sample("prod", x, dim, keep, None)
    ties = V([1.0, 3.0, 3.0, 2.0, 2.0, 2.0], 2, 3)
    extremes = [T(2, 3), T(), T(1), T(2, 3, 2, layout="r"), T(4, 5, layout="t"), T(37), ties, T(3, 4, layout="e"),
                V([1.0, nan, 3.0, nan]), V([inf, -inf, inf]), V([0.0, -0.0, 0.0]), V([-0.0, 0.0]), T(5, dtype=bf16),
                *ints]
    for name in ("max", "min"):
        for x in extremes:
            sample(name, x)
        sample(name, T(0))
    for name in ("argmax", "argmin", "max.dim", "min.dim"):
        for x in extremes:
            sample(name, x, 0, False)
            sample(name, x, -1, True)
            if name[0] == "a":
                sample(name, x, None, False)
        sample(name, T(0, 3), 1, False)
        sample(name, T(0, 3), 0, False)
        sample(name, T(2, 3), 2, False)
        sample(name, ties, 1, True)
    sample("argmax", T(2, 3), None, True)
    for p in (2, 1, 3, 1.5, 0.5, 0, -1, inf, -inf, -2.5):
        for x, dims, keep in [(T(2, 3), None, False), (T(2, 3, 2), [0, -1], True), (T(), None, False),
                              (T(9), [0], False),
                              (T(4, 5, layout="t"), [0], False), (V([0.0, 0.0, 1.0, -2.0], 2, 2), [1], False),
                              (V([2.0, -2.0, 1.0]), [0], True)]:
            sample("linalg_vector_norm", x, p, dims, keep, None)
        sample("norm", T(3, 4), p, None, False)
        sample("norm", T(3, 4), p, [1], True)
        sample("norm", V([0.0, 0.0, 0.0]), p, None, False)
        sample("norm", T(), p, None, False)
        sample("norm", T(2, 2, 3, layout="r"), p, [0, 2], False)
        sample("norm", T(1, 7), p, [-1], False)
    sample("linalg_vector_norm", V([nan, 1.0, inf, 2.0], 2, 2), 2, [1], False, None)
    sample("linalg_vector_norm", T(0, 3), 2, [0], False, None)
    sample("linalg_vector_norm", T(4, dtype=f16), 2, None, False, f32)
    sample("linalg_vector_norm", T(4, dtype=f32), 2, None, False, f64)
    sample("linalg_vector_norm", I([3, 4]), 2, None, False, None)
    sample("logsumexp", V([-inf, -inf]), [0], False)
    sample("logsumexp", V([1000.0, 1000.5, -1000.0]), [0], False)
    sample("logsumexp", T(2, 3), [], False)
    for name in ("softmax", "log_softmax"):
        for x, d in [(T(2, 3), 1), (T(2, 3), 0), (T(), 0), (T(2, 3, 2), -2), (T(0, 3), 1), (T(37), 0), (T(3, 40), 1),
                     (T(4, 5, layout="t"), 1), (T(4, 5, layout="s"), 0), (V([inf, 1.0, 2.0]), 0),
                     (V([nan, 1.0, 2.0]), 0),
                     (V([-inf, 1.0, 2.0]), 0), (V([-inf, -inf]), 0), (V([1000.0, 999.0, -1000.0]), 0), (T(2, 3), 2),
                     (T(3, 5, dtype=f16), 1), (T(3, 5, dtype=bf16), 0), (I([1, 2, 3]), 0), (T(3, 0), 1)]:
            sample(name, x, d, None)
        sample(name, T(2, 3), 1, f64)
        sample(name, I([1, 2, 3]), 0, f32)
        sample(name, T(2, 3, dtype=f16), 0, f32)
        back = f"_{name}_backward_data"
        low, high = (0.05, 0.4) if name == "softmax" else (-3.0, -0.2)
        for sizes, d in [((2, 3), 1), ((2, 3), 0), ((2, 3, 4), -2), ((5,), 0), ((0, 3), 1), ((), 0), ((3, 40), -1)]:
            sample(back, T(*sizes), T(*sizes, lo=low, hi=high), d)
    for x in extremes + [T(0, 3), T(3, 40), V([2.0, 1.0, 2.0, 1.0, nan, inf, -inf, 1.0], 2, 4),
                         T(5, dtype=f16)]:
        sample("sort", x, -1, False, False)
        sample("sort", x, 0, True, True)
    for descending in (False, True):
        sample("sort", I([5] * 20 + [4] * 20, 40), 0, descending, True)
    sample("sort", T(2, 3, 4), 1, True, False)
    sample("sort", T(2, 3), 2, False, False)


def loss_samples():
    N4 = T(3, 4), I([0, 3, 1])
    for how in (0, 1, 2):
        weight = T(4, lo=0.5, hi=2, grad=False)
        for name in ("nll_loss", "cross_entropy"):
            sample(name, *N4, None, how, -100)
            sample(name, *N4, weight, how, -100)
            sample(name, *N4, weight, how, 3)
            sample(name, T(4), Input([], 0, 0, i64, "c", [2], False), None, how, -100)
            sample(name, T(2, 3, 2), I([0, 2, 1, 1], 2, 2), None, how, 1)
            sample(name, T(2, 3, 2, 2), I([0, 2, 1, 1, 2, 2, 0, 1], 2, 2, 2), T(3, lo=0.5, hi=2, grad=False), how, -100)
            sample(name, T(3, 4), I([1, 1, 1]), None, how, 1)
            sample(name, T(0, 4), I([], 0), None, how, -100)
            sample(name, T(3, 4, layout="t"), I([0, 3, 1]), None, how, -100)
            sample(name, T(3, 4), I([0, 4, 1]), None, how, -100)
        sample("cross_entropy", *N4, None, how, -100, 0.1)
        sample("cross_entropy", *N4, weight, how, 3, 0.3)
        sample("cross_entropy", T(3, 4), T(3, 4, lo=0, hi=1), None, how, -100, 0.0)
        sample("cross_entropy", T(3, 4), T(3, 4, lo=0, hi=1), weight, how, -100, 0.2)
        sample("cross_entropy", T(2, 3, 2), T(2, 3, 2, lo=0, hi=1), None, how, -100, 0.0)
        sample("cross_entropy", T(4), T(4, lo=0, hi=1), None, how, -100, 0.0)
        for w, ignore in ((None, -100), (weight, 3), (weight, -100)):
            sample("nll_loss_forward", *N4, w, how, ignore)
        sample("nll_loss_forward", T(40, 10), I([i % 10 for i in range(40)]), None, how, 7)
        sample("nll_loss_forward", T(0, 4), I([], 0), None, how, 7)
        sample("nll_loss_forward", T(1, 2), I([1]), None, how, 0)
        grads = T(3) if how == 0 else T()
        sample("nll_loss_backward", grads, I([0, 3, 1]), None, Input([], 0, 0, None, "c", [3.0], False),
               how, -100, [3, 4])
        for n in (0, 1, 7):
            sample("nll_loss_backward", T(n) if how == 0 else T(), I([k % 3 for k in range(n)], n), None,
                   Input([], 0, 0, None, "c", [float(n)], False), how, 2, [n, 3])
        sample("nll_loss_backward", grads, I([0, 3, 1]), T(4, lo=0.5, hi=2, grad=False),
               Input([], 0, 0, None, "c", [3.25], False), how, 1, [3, 4])
        for x, y in [(T(2, 3), T(2, 3)), (T(), T()), (T(0, 2), T(0, 2)), (T(4, 1), T(3)),
                     (T(4, 5, layout="t"), T(4, 5)),
                     (T(37), T(37)), (T(3, dtype=f16), T(3, dtype=f16)), (T(3, dtype=f32), T(3, dtype=f64)),
                     (V([nan, inf, 1.0]), V([1.0, 1.0, 1.0])), (T(3), I([1, 2, 3])), (I([1, 2]), I([3, 4]))]:
            sample("mse_loss", x, y, how)


def view_samples():
    for x, d in [(T(2, 3, 4), [2, 0, 1]), (T(2, 3), [-1, 0]), (T(), []), (T(5), [0]), (T(0, 3), [1, 0]),
                 (T(2, 3, 4, layout="r"), [1, -1, 0]), (T(2, 3), [0, 0]), (T(2, 3), [0])]:
        sample("permute", x, d)
    for x, a, b in [(T(2, 3), 0, 1), (T(2, 3, 4), 0, -1), (T(5), 0, 0), (T(), 0, -1), (T(0, 3), 1, 0),
                    (T(2, 3, layout="s"), -1, -2),
                    (T(2, 3), 0, 2)]:
        sample("transpose", x, a, b)
    for x in (T(2, 3), T(5), T(), T(0, 3), T(2, 3, layout="t"), T(2, 3, layout="s"), T(2, 3, 4), I([1, 2, 3, 4], 2, 2)):
        sample("t", x)
        sample("mT", x)
        sample("alias", x)
        sample("clone", x)
        sample("contiguous", x)
    for x in (T(2, 3, layout="e"), T(2, 3, 4, layout="r"), T(3, dtype=f16), I([True, False], dtype=b8)):
        sample("clone", x)
        sample("contiguous", x)
    sample("mT", T(2, 3, 4))
    for name in ("view", "reshape", "_unsafe_view"):
        for x, s in [(T(2, 6), [3, -1]), (T(2, 6), [12]), (T(1), []), (T(), [1, 1]), (T(0, 3), [3, 0]),
                     (T(0, 3), [-1, 3]),
                     (T(2, 3, 4), [6, 4]), (T(2, 3, layout="t"), [2, 3]), (T(2, 6, layout="s"), [2, 2, 3]),
                     (T(2, 3, layout="t"), [6]), (T(2, 3), [4]), (T(2, 3), [-1, -1]), (T(0, 3), [-1, 0]),
                     (T(2, 1, 3), [2, 3])]:
            sample(name, x, s)
    for x, s in [(T(3, 1), [2, 3, 4]), (T(3), [2, -1]), (T(), [2, 2]), (T(1, 1), [0, 3]), (T(2, 3), [2, 3]),
                 (T(1, 3, layout="s"), [4, 3]),
                 (T(3), [2, 4]), (T(2, 3), [3]), (T(3, 1), [-1, -1])]:
        sample("expand", x, s, False)
    for x, y in [(T(3, 1), T(2, 3, 4, grad=False)), (T(), T(3, grad=False)), (T(1), T(0, grad=False)),
                 (T(1, 2), T(3, 2, grad=False)),
                 (T(2, 2), T(2, 2, grad=False))]:
        sample("expand_as", x, y)
    for x, d in [(T(1, 3, 1), None), (T(1, 3, 1), -1), (T(1, 3, 1), 1), (T(1, 3, 1), [0, 1]), (T(1, 3, 1), [0, -1]),
                 (T(), None), (T(), 0),
                 (T(2, 3), None), (T(1, 0, 1), None), (T(1, 3, 2, layout="s"), 0), (T(1, 3), [0, 0]), (T(1, 3), 2),
                 (T(1, 3), [])]:
        sample("squeeze", x, d)
    for x, d in [(T(2, 3), 0), (T(2, 3), -1), (T(2, 3), 1), (T(), 0), (T(0), -2), (T(2, 3, layout="t"), 2),
                 (T(2, 3), 3), (T(2, 3), -4),
                 (T(2, 1, 2), 3), (T(5), 1)]:
        sample("unsqueeze", x, d)
    for x, d, i in [(T(2, 3), 0, 1), (T(2, 3), 1, -1), (T(5), 0, 2), (T(2, 3, 4), -2, 0), (T(2, 3, layout="t"), 1, 2),
                    (T(0, 3), 1, 0), (T(2, 3), 0, 2), (T(2, 3), 2, 0), (T(), 0, 0), (T(1), 0, 0)]:
        sample("select", x, d, i)
    for x, d, a, e, s in [(T(5, 2), 0, 1, 5, 2), (T(5, 2), 0, 4, 2, 1), (T(5), 0, -3, -1, 1), (T(5), 0, None, None, 1),
                          (T(2, 3), -1, 1, 99, 1),
                          (T(0, 3), 0, 0, 5, 1), (T(4, 5, layout="t"), 1, 0, 5, 3), (T(5), 0, 0, 0, 1),
                          (T(5), 0, 0, 5, 0), (T(5), 0, 0, 5, -1),
                          (T(5), 0, -99, 3, 1), (T(5), 0, 7, 9, 1), (T(), 0, 0, 1, 1)]:
        sample("slice", x, d, a, e, s)
    for x, d, a, n in [(T(5), 0, 1, 3), (T(5, 2), 0, -2, 2), (T(2, 3), -1, 0, 0), (T(2, 3, layout="t"), 1, 1, 2),
                       (T(0, 3), 1, 1, 1),
                       (T(5), 0, 3, 3), (T(5), 0, 0, -1), (T(5), 0, 5, 0), (T(2, 2, 4), 2, 1, 2), (T(1), 0, 0, 1)]:
        sample("narrow", x, d, a, n)
    for x, a, b in [(T(2, 3, 4), 0, -1), (T(2, 3, 4), 1, 2), (T(2, 3, 4), 0, 1), (T(), 0, -1), (T(5), 0, 0),
                    (T(0, 3), 0, 1),
                    (T(2, 3, 4, layout="r"), 0, -1), (T(2, 3, 4), 2, 1), (T(2, 3, layout="t"), 0, 1), (T(2, 3), 1, 1)]:
        sample("flatten", x, a, b)
    for x, n, s, o in [(T(6), [2, 2], [3, 1], 1), (T(6), [3, 3], [1, 1], 0), (T(6), [], [], 5),
                       (T(2, 3), [3, 2], [1, 3], 0), (T(6), [0], [1], 0),
                       (T(6), [2, 3], [0, 1], None), (T(2, 3, layout="t"), [3], [1], 2), (T(6), [4], [2], 0),
                       (T(7), [2], [5], 1), (T(), [1], [1], 0),
                       (T(2, 2, 2), [2, 2], [4, 1], 1)]:
        sample("as_strided", x, n, s, o)
    for x, d in [(T(2, 3), 0), (T(2, 3), -1), (T(4), 0), (T(2, 3, 2), 1), (T(3, 0), 0), (T(2, 3, layout="t"), 1),
                 (T(), 0), (T(2, 3), 2), (T(1, 5), 0)]:
        sample("unbind", x, d)
    sample("unbind", T(2, 3), 1, skip=(1,))
    for x, n, d in [(T(5, 2), 3, 0), (T(5), 5, 0), (T(5), 9, 0), (T(2, 6), 2, -1), (T(0, 3), 2, 0),
                    (T(4, 5, layout="t"), 2, 1), (T(0), 0, 0),
                    (T(5), 0, 0), (T(5), -1, 0)]:
        sample("split", x, n, d)
        sample("chunk", x, n, d)
    sample("split", T(5, 2), 2, 0, skip=(0, 2))
    for x, n, d in [(T(5, 2), [2, 0, 3], 0), (T(2, 4), [1, 3], -1), (T(3), [3], 0), (T(0), [0, 0], 0),
                    (T(4, 5, layout="t"), [4, 1], 1),
                    (T(5), [2, 2], 0), (T(5), [-1, 6], 0)]:
        sample("split_with_sizes", x, n, d)


def copy_samples():
    for name in ("_to_copy", "to"):
        for d in CODES:
            sample(name, T(2, 3, lo=0, hi=9), d)
        for source in (i64, u8, b8, i8, f16, bf16):
            for d in (f32, i64, i32, b8, f16):
                sample(name, T(4, lo=0, hi=100, dtype=source, grad=source.is_floating_point), d)
        sample(name, T(0, 2), f32)
        sample(name, T(), f64)
        sample(name, T(4, 5, layout="t"), f64)
        sample(name, T(4, 5, layout="t"), f32)
        sample(name, V([0.5, -0.0, nan, inf, 65504.0, 65520.0, 1e-8, 3.14159, 1e300]), f16)
        sample(name, V([0.5, -0.0, nan, inf, 65504.0, 65520.0, 1e-8, 3.14159, 1e300]), bf16)
        sample(name, V([0.5, -0.0, nan, inf, 1e-50, 1e300]), b8)
        sample(name, V([0.5, -1.5, 2.5, -0.9, 127.0]), i8)
    for l, d in [([T(2, 3), T(2, 1)], 1), ([T(2), T(3), T(1)], 0), ([T(2, 3)], 0), ([T(0), T(2, 3)], 0),
                 ([T(0, 3), T(2, 3)], 0),
                 ([T(4, 5, layout="t"), T(4, 2)], -1), ([T(2), I([1, 2])], 0), ([I([1, 2]), I([1], dtype=u8)], 0),
                 ([T(2, 3), T(3, 3)], 1),
                 ([T(2), T(2, 2)], 0), ([T(), T()], 0), ([T(2, dtype=f16), T(2, dtype=f32)], 0),
                 ([T(2, 3, layout="t"), T(2, 3, layout="t")], 0)]:
        sample("cat", l, d)
    for l, d in [([T(2, 3), T(2, 3)], 0), ([T(2, 3), T(2, 3)], -1), ([T(), T(), T()], 0), ([T(0), T(0)], 1),
                 ([T(4, 5, layout="t"), T(4, 5)], 1),
                 ([T(2), T(3)], 0), ([T(2), I([1, 2])], 0), ([T(2, 3)], 2), ([T(2), T(2)], 3)]:
        sample("stack", l, d)
    mask = I([1, 0, 1], dtype=b8)
    for c, x, y in [(mask, T(3), T(3)), (mask, T(2, 3), T()), (I([1, 0], 2, 1, dtype=b8), T(3), T(1)),
                    (I([], 0, dtype=b8), T(0), T(0)),
                    (Input([], 0, 0, b8, "c", [True], False), T(), T()), (mask, T(3), I([1, 2, 3])),
                    (mask, I([1, 2, 3]), I([4], dtype=u8)),
                    (I([1, 0, 0, 1, 1, 0], 2, 3, dtype=b8), T(2, 3, layout="t"), T(2, 3)),
                    (mask, V([nan, nan, 1.0]), V([1.0, 2.0, inf])),
                    (mask, T(3, dtype=f16), T(3, dtype=f32)), (I([1, 0, 2], dtype=u8), T(3), T(3)),
                    (I([1, 0, 2]), T(3), T(3)), (mask, T(2), T(3))]:
        sample("where", c, x, y)
    sample("where", mask, T(3), Number(0))
    sample("where", mask, Number(1.5), T(3))
    sample("where", mask, I([1, 2, 3]), Number(2.5))
    for mode, name in ((0, "masked_fill"), (1, "masked_fill_"), (2, "masked_fill_")):
        for x, m, v in [(T(2, 3), mask, Number(-1.5)), (T(2, 3), mask, T()), (T(0, 3), mask, Number(1)),
                        (T(4, 5, layout="t"), T(4, 5, dtype=b8, grad=False), Number(0)),
                        (I([1, 2, 3], 1, 3), mask, Number(7)), (T(2, 3), I([1, 0], 2, 1, dtype=b8), Number(inf)),
                        (T(1, 3), mask, T(1))]:
            sample(name, x, m, v, mode=mode)
        if mode != 2:
            sample(name, T(3), mask, T(), mode=mode)
            sample(name, I([1, 2, 3]), mask, Number(2.5), mode=mode)
            sample(name, T(3), I([1, 0, 1]), Number(2.5), mode=mode)
    sample("masked_fill", T(3), T(2, 3, dtype=b8, grad=False), Number(2))
    for x, y, n, s, o in [(T(6), T(2, 2), [2, 2], [3, 1], 1), (T(2, 3), T(3), [3], [2], 0), (T(4), T(), [], [], 3),
                          (T(5), T(0), [0], [1], 0), (T(3, 4), T(3), [3], [5], 0)]:
        strides = x.geometry()[0]
        x.grad = False  # PyTorch 2.15 gives self the gradient of what src overwrote instead of the rest
        sample("as_strided_scatter", x, y, n, s, o, strides)


def index_samples():
    mask3, none = I([1, 0, 1], dtype=b8), None
    cases = [(T(4, 3), [I([0, -1, 0, 2])]), (T(4, 3), [I([0, 1, 3, 0], 2, 2), I([2, 0])]), (T(4, 3), [none, mask3]),
             (T(2, 3, 2), [I([1, 0]), none, I([0, 1])]), (T(5), [I([], 0)]),
             (T(5), [Input([], 0, 0, i64, "c", [3], False)]),
             (T(2, 3), [I([1, 0, 1, 1, 0, 0], 2, 3, dtype=b8)]), (T(4, 5, layout="t"), [none, I([4, 0, 4])]),
             (T(0, 3), [I([], 0)]),
             (T(2, 3, 4), [none, I([2, 0]), I([1, 1])]), (T(3, 2), [I([2, 1], dtype=i32)]),
             (T(2, 3), [I([0, 1], 2, 1), mask3]),
             (T(3, 4, layout="s"), [I([2, 2, 0]), none])]
    bad = [(T(4), [I([4])]), (T(4), [I([0]), I([0])]), (T(4, 4), [I([0, 1]), I([0, 1, 2])]), (T(4), [mask3])]
    for x, l in cases + bad:
        sample("index", x, l)
    sample("index", I([1, 2, 3]), [I([2, 0])])
    sample("index", T(3), [I([1, 0, 1], dtype=u8)])
    shapes = [(4, 3), (2, 2), (4, 2), (2, 3), (0,), (), (3,), (4, 3), (0, 3), (2, 2), (2, 2), (2, 2), (3, 4)]
    for mode, name in ((0, "index_put"), (1, "index_put_"), (2, "index_put_")):
        for (x, l), s in zip(cases, shapes):
            for accumulate in (False, True):
                if mode == 2 and len(x.sizes) != 2:
                    continue
                target = T(*x.sizes[::-1]) if mode == 2 else x
                duplicates = not accumulate and any(i is not None and i.values and i.dtype != b8 and
                                                    len(set(v % 100 for v in i.values)) < len(i.values) for i in l)
                if not duplicates:
                    sample(name, target, l, T(*s), accumulate, mode=mode)
                    sample(name, target, l, T(), accumulate, mode=mode)
        sample(name, T(4, 3) if mode == 0 else T(3, 4), [I([0])], T(1) if mode == 0 else T(), True, mode=mode)
    sample("index_put", I([1, 2, 3]), [I([0, 0])], I([5, 6]), True)
    sample("index_put", T(3), [I([0, 5])], T(2), False)
    sample("index_put", T(3), [I([0, 1])], T(3), False)
    sample("index_put", T(3), [I([0, 1])], I([1, 2]), False)
    for x, d, i in [(T(3, 2), 0, I([0, 2, 2])), (T(3, 2), -1, I([1])), (T(5), 0, I([4, 4, 0])), (T(), 0, I([0])),
                    (T(3, 2), 0, I([], 0)),
                    (T(4, 5, layout="t"), 1, I([3, 1])), (T(3, 2), 0, I([2, 1], dtype=i32)),
                    (T(3), 0, Input([], 0, 0, i64, "c", [1], False)),
                    (T(3), 0, I([3])), (T(3), 0, I([-1])), (T(2, 3, 4), 1, I([2, 2])), (I([1, 2, 3]), 0, I([2]))]:
        sample("index_select", x, d, i)
    for x, d, i, s in [(T(3, 2), 0, I([0, 2, 2]), T(3, 2)), (T(3, 2), -1, I([1]), T(3, 1)),
                       (T(5), 0, I([4, 4, 0]), T(3)), (T(3, 2), 0, I([], 0), T(0, 2)),
                       (T(4, 5, layout="t"), 1, I([3, 1]), T(4, 2)), (T(), 0, I([0]), T(1)),
                       (I([1, 2]), 0, I([1, 1]), I([5, 6])), (T(3), 0, I([3]), T(1)),
                       (T(3), 0, I([0]), T(2)), (T(3, dtype=f32), 0, I([0]), T(1, dtype=f64))]:
        sample("index_add", x, d, i, s)
    for x, d, i, v in [(T(3, 2), 0, I([0, 2]), T()), (T(3, 2), -1, I([1]), Number(1.5)),
                       (T(5), 0, I([4, 4]), Number(2)), (T(), 0, I([0]), T()),
                       (T(3, 2), 0, I([], 0), T()), (T(4, 5, layout="t"), 1, I([3, 1]), T()),
                       (I([1, 2]), 0, I([1]), Number(9)), (T(3), 0, I([3]), Number(1)),
                       (T(3), 0, I([-1]), Number(1)), (T(3), 0, I([0]), T(1))]:
        sample("index_fill", x, d, i, v)
    for x, d, i in [(T(3, 2), 0, I([0, 1, 2, 2], 2, 2)), (T(3, 2), 1, I([0, 1, 1, 0, 0, 0], 3, 2)),
                    (T(4), 0, I([3, 3, 0, 1, 1])), (T(3, 2), -1, I([], 0, 2)),
                    (T(), 0, Input([], 0, 0, i64, "c", [0], False)), (T(4, 5, layout="t"), 1, I([4, 0], 2, 1)),
                    (T(3), 0, I([3])), (T(3, 2), 0, I([0])),
                    (T(2, 3, 2), 1, I([2, 0, 1, 1], 2, 1, 2)), (T(3), 0, I([-1])), (T(3, 2), 0, I([0, 1, 2], 1, 3))]:
        sample("gather", x, d, i)
    for x, d, i, s in [(T(3, 2), 0, I([0, 1, 0, 2], 2, 2), T(2, 2)), (T(3, 2), 1, I([0, 1, 1, 0, 0, 0], 3, 2),
                                                                      T(3, 2)), (T(4), 0, I([3, 3, 0]), T(5)),
                       (T(3, 2), -1, I([], 0, 2), T(1, 2)), (T(), 0, Input([], 0, 0, i64, "c", [0], False), T()),
                       (T(4, 5, layout="t"), 1, I([4, 0], 2, 1), T(2, 1)),
                       (T(3), 0, I([3]), T(1)), (T(3), 0, I([0, 0]), T(1)), (I([1, 2]), 0, I([1, 1]), I([5, 6])),
                       (T(3, 2), 0, I([0]), T(1))]:
        sample("scatter_add", x, d, i, s)
    for x in (T(2, 3), V([0.0, 1.0, -0.0, nan, 2.0, 0.0], 2, 3), T(0, 3), T(), V([0.0], 1),
              I([1, 0, 1, 1], 2, 2, dtype=b8), I([0, 5, 0]),
              T(4, 5, layout="t", dtype=b8, grad=False), T(2, 3, 4)):
        sample("nonzero", x)
    for w, i, p in [(T(4, 3), I([0, 3, 3, 1], 2, 2), -1), (T(4, 3), I([0, 3, 3]), 3), (T(4, 3), I([], 0), -1),
                    (T(4, 3), Input([], 0, 0, i64, "c", [2], False), -1),
                    (T(4, 5, layout="t"), I([1, 1, 0, 2, 1], 5, 1), -1), (T(4, 3), I([0, 1], dtype=i32), 0),
                    (T(4, 3), I([4]), -1), (T(4, 0), I([1, 2]), -1)]:
        sample("embedding", w, i, p)


def product_samples():
    for a, b in [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((17, 33), (33, 9)),
                 ((2, 3), (4, 2)), ((5, 1), (1, 6)), ((40, 7), (7, 40))]:
        sample("mm", T(*a), T(*b))
        sample("mm", T(*a, layout="t"), T(*b))
        sample("mm", T(*a), T(*b, layout="t"))
        sample("mm", T(*a, layout="s"), T(*b, layout="t"))
    sample("mm", I([1, 2, 3, 4], 2, 2), I([5, 6, 7, 8], 2, 2))
    sample("mm", I([1, 2, 3, 4], 2, 2, dtype=u8), I([200, 6, 7, 8], 2, 2, dtype=u8))
    sample("mm", T(2, 3, dtype=f16), T(3, 2, dtype=f16))
    sample("mm", T(2, 3, dtype=bf16), T(3, 2, dtype=bf16))
    sample("mm", T(2, 2, dtype=f32), T(2, 2, dtype=f64))
    sample("mm", T(2, 2), T(2))
    sample("mm", V([inf, 0.0, 1.0, nan], 2, 2), V([0.0, 1.0, 2.0, 3.0], 2, 2))
    for a, b in [((2, 3), (3,)), ((1, 1), (1,)), ((0, 3), (3,)), ((3, 0), (0,)), ((20, 33), (33,)), ((2, 3), (2,))]:
        sample("mv", T(*a), T(*b))
        sample("mv", T(*a, layout="t"), T(*b, layout="s"))
    for n in (0, 1, 5, 37, 300):
        sample("dot", T(n), T(n))
        sample("dot", T(n, layout="s"), T(n))
    sample("dot", I([1, 2, 3]), I([4, 5, 6]))
    sample("dot", T(2), T(3))
    sample("dot", T(2, 2), T(2))
    sample("dot", T(3, dtype=f32), T(3, dtype=f64))
    for a, b in [((2, 2, 3), (2, 3, 2)), ((0, 2, 3), (0, 3, 2)), ((3, 1, 1), (3, 1, 1)), ((2, 0, 3), (2, 3, 4)),
                 ((2, 3, 0), (2, 0, 2)), ((4, 9, 5), (4, 5, 7)),
                 ((2, 2, 3), (3, 3, 2)), ((2, 2, 3), (2, 2, 2))]:
        sample("bmm", T(*a), T(*b))
        sample("bmm", T(*a, layout="t"), T(*b, layout="r"))
    for c, a, b, beta, alpha in [((4,), (2, 3), (3, 4), 1, 1), ((2, 1), (2, 3), (3, 4), 0.5, -2.0),
                                 ((2, 4), (2, 3), (3, 4), 1, 1), ((), (2, 3), (3, 4), 2, 1),
                                 ((4,), (0, 3), (3, 4), 1, 1),
                                 ((2, 4), (2, 0), (0, 4), 3, 2), ((9,), (17, 33), (33, 9), 1, 1),
                                 ((9,), (17, 33), (33, 9), 0, 1.5), ((3,), (2, 3), (3, 4), 1, 1),
                                 ((1, 2, 4), (2, 3), (3, 4), 1, 1)]:
        sample("addmm", T(*c), T(*a), T(*b), beta, alpha)
        sample("addmm", T(*c), T(*a, layout="t"), T(*b, layout="t"), beta, alpha)
    sample("addmm", I([1, 2]), I([1, 2, 3, 4], 2, 2), I([1, 2, 3, 4], 2, 2), 2, 3)
    sample("addmm", V([nan, inf]), T(2, 3), T(3, 2), 0, 1)
    for a, b in [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((2, 2, 3), (3,)),
                 ((2, 2, 3), (3, 4)), ((3,), (2, 3, 4)), ((2, 3), (2, 3, 4)),
                 ((2, 2, 3), (2, 3, 2)), ((5, 1, 2, 3), (2, 3, 2)), ((2, 1, 2, 3), (1, 3, 3, 2)),
                 ((2, 3, 2, 2), (3, 2, 2)), ((0, 2, 3), (3, 2)), ((2, 0, 3), (2, 3, 1)),
                 ((), (3,)), ((2, 3), (2,)), ((2, 2, 3), (3, 3, 2)), ((1, 2, 3), (4, 3, 2)), ((2, 3), (1, 3, 4)),
                 ((4, 1, 3), (3,)), ((2, 2, 2, 3), (3, 2))]:
        sample("matmul", T(*a), T(*b))
        if len(a) > 1 and len(b) > 1:
            sample("matmul", T(*a, layout="t"), T(*b, layout="t"))
    sample("matmul", I([1, 2, 3, 4], 2, 2), I([5, 6], 2))
    sample("matmul", T(2, 2, 3, grad=False), T(3, 4))
    sample("matmul", T(2, 2, 3), T(3, 4, grad=False))
    for x, w, b in [((2, 3), (4, 3), (4,)), ((2, 3), (4, 3), None), ((3,), (4, 3), (4,)), ((3,), (4, 3), None),
                    ((2, 5, 3), (4, 3), (4,)), ((2, 5, 3), (4, 3), None), ((0, 3), (4, 3), (4,)),
                    ((2, 3), (3,), None), ((2, 3), (3,), ()), ((2, 2, 5, 3), (1, 3), (1,)), ((2, 3), (4, 2), (4,)),
                    ((65, 33), (10, 33), (10,)), ((2, 3), (4, 3), (1, 4)), ((2, 3), (4, 3), (2, 4))]:
        sample("linear", T(*x), T(*w), None if b is None else T(*b))
    sample("linear", T(2, 5, 3, layout="t"), T(4, 3), T(4))
    sample("linear", T(2, 3, layout="t"), T(4, 3, layout="t"), T(4, layout="s"))
    sample("linear", T(2, 3, grad=False), T(4, 3), T(4))


def inplace_samples():
    for mode in (1, 2):
        for name in ("add_", "sub_", "mul_", "div_", "pow_", "copy_"):
            lo = 0.3 if name in ("div_", "pow_") else -2
            for x, y in [((3, 4), (3, 4)), ((2, 3), (3,)), ((2, 2), ()), ((0, 3), (3,)), ((4, 5), (4, 1)),
                         ((1, 1), (1, 1))]:
                if mode == 2:
                    y = y[::-1] if y == x else ()
                sample(name, T(*x, lo=max(lo, -2)), T(*y, lo=lo), mode=mode)
            if name != "copy_":
                sample(name, T(2, 3, lo=lo), Number(2.5), mode=mode)
                sample(name, T(2, 3, lo=lo), Number(2), mode=mode)
            if name in ("add_", "sub_"):
                sample(name, T(2, 3), T(), 0.5, mode=mode)
                sample(name, T(3, 2), Number(3), -2, mode=mode)
        for name in ("zero_", "relu_", "exp_", "tanh_", "sigmoid_", "neg_"):
            for sizes, layout in [((2, 3), "c"), ((4, 5), "t"), ((0, 3), "c"), ((1, 1), "c"), ((3, 7), "s")]:
                sample(name, T(*sizes, layout=layout), mode=mode)
        for v in (Number(2), Number(-1.5), T(), Number(nan)):
            sample("fill_", T(2, 3), v, mode=mode)
            sample("fill_", T(4, 5, layout="t"), v, mode=mode)
        sample("fill_", T(2, 3), T(1), mode=mode)
        for lo, hi in [(Number(-0.5), Number(0.5)), (None, Number(1)), (Number(0), None), (T(), None),
                       (T(), T(lo=0, hi=3))]:
            sample("clamp_", T(2, 3), lo, hi, mode=mode)
            sample("clamp_", T(4, 5, layout="t"), lo, hi, mode=mode)
    for name in ("add_", "sub_", "mul_", "div_", "pow_", "copy_"):
        lo = 1
        sample(name, I([1, 2, 3]), I([1, 2, 3]), mode=1)
        sample(name, I([1, 2, 3], dtype=u8), I([1, 2, 3]), mode=1)
        sample(name, I([1, 2, 3]), T(3, lo=lo), mode=1)
        sample(name, T(3, lo=lo), I([1, 2, 3]), mode=1)
        sample(name, T(3, lo=lo, dtype=f16), T(3, lo=lo, dtype=f32), mode=1)
        sample(name, T(3, lo=lo), T(2, 3, lo=lo), mode=1)
        sample(name, T(3, lo=lo), T(2, lo=lo), mode=1)
        sample(name, T(lo=lo), T(lo=lo), mode=1)
        sample(name, I([True, False], dtype=b8), I([True, True], dtype=b8), mode=1)
    for name in ("zero_", "relu_", "exp_", "tanh_", "sigmoid_", "neg_"):
        sample(name, T(), mode=1)
        sample(name, V(SPECIAL), mode=1)
        sample(name, I([1, -2, 3]), mode=1)
        sample(name, I([True, False], dtype=b8), mode=1)
    sample("fill_", I([1, 2]), Number(3), mode=1)
    sample("fill_", I([1, 2]), Number(3.5), mode=1)
    sample("copy_", I([1, 2]), V([1.5, -2.5]), mode=1)
    sample("clamp_", I([1, 9, -4]), Number(0), Number(5), mode=1)
    sample("clamp_", V([nan, 1.0, -1.0, inf, -inf]), Number(-1.0), Number(1.0), mode=1)


# ---- running ---------------------------------------------------------------------------------------------------------


def inputs_of(args):
    for a in args:
        if isinstance(a, Input):
            yield a
        elif isinstance(a, list):
            yield from (x for x in a if isinstance(x, Input))


def wide(dtype):
    return f64 if dtype.is_floating_point else dtype


def place(inp, storage, grad=True):
    strides, offset, n = inp.geometry()
    t = storage.as_strided(inp.sizes, strides, offset).detach()
    return t.requires_grad_() if grad and inp.grad and t.is_floating_point() else t


def plain(args, tensors, widen=False):
    """The arguments as PyTorch takes them: tensors is a map of Input to tensor."""
    def one(a):
        if isinstance(a, Input):
            return tensors[id(a)]
        if isinstance(a, Number):
            return a.value
        if isinstance(a, list):
            return [one(x) for x in a]
        return wide(a) if widen and isinstance(a, torch.dtype) else a
    return [one(a) for a in args]


def run(s, args):
    f = CALLS[s["name"]]
    if s["mode"] == 0:
        r = f(*args)
        return list(r) if isinstance(r, (tuple, list)) else [r]
    base = args[0].clone()
    f(base if s["mode"] == 1 else base.transpose(-1, -2), *args[1:])
    return [base]


def gradients(outs, cotangents, leaves):
    pairs = [(o, g) for o, g in zip(outs, cotangents) if g is not None]
    if not pairs or not leaves:
        return None
    return torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True)


def graph(node, leaves):
    if node.name() == "torch::autograd::AccumulateGrad":
        return f"leaf{[i for i, t in enumerate(leaves) if t is node.variable][0]}"
    parts = ["-" if n is None else graph(n, leaves) for n, _ in node.next_functions]
    return node.name() + (f"({','.join(parts)})" if parts else "")


def norm(t):
    return float(torch.nan_to_num(t.detach().to(f64), nan=0.0, posinf=0.0, neginf=0.0).norm()) if t.numel() else 0.0


def expanded_terms(s, tensors, inputs, cotangents, outs):
    """Per input: the gradients of a pointwise op before they are summed over broadcast dims, absolute, then summed."""
    shape = outs[0].shape
    # what the second input of a write to a view sees
    other = shape[:-2] + shape[-2:][::-1] if s["mode"] == 2 else shape
    grown = {id(i): t.detach().expand(other if k else shape).clone().requires_grad_(t.requires_grad)
             for k, (i, t) in enumerate(zip(inputs, tensors))}
    outs = run(s, plain(s["args"], grown, True))
    leaves = [t for t in grown.values() if t.requires_grad]
    grads = gradients(outs, cotangents, leaves)
    originals = [t for t in tensors if t.requires_grad]
    return [None if g is None else norm(g.abs().nan_to_num(0, 0, 0).sum_to_size(t.shape)) for g,
            t in zip(grads, originals)]


def absolute_terms(s, tensors, inputs, cotangents):
    grown = {id(i): (t.detach().abs() if t.is_floating_point() else t).requires_grad_(t.requires_grad)
             for i, t in zip(inputs, tensors)}
    args = [abs(a) if isinstance(a, (int, float)) and not isinstance(a, bool) and s["name"] in ("add.alpha", "addmm",
                                                                                                "add_")
            else Number(abs(a.value)) if isinstance(a, Number) else a for a in s["args"]]
    outs = run(s, plain(args, grown, True))
    leaves = [t for t in grown.values() if t.requires_grad]
    grads = gradients(outs, [None if g is None else g.abs() for g in cotangents], leaves)
    return [norm(o) for o in outs], [None if g is None else norm(g) for g in grads or []]


def sizes_of_terms(s, tensors, inputs, cotangents, outs, grads):
    forward = [norm(o) for o in outs]
    backward = [None if g is None else norm(g) for g in grads or []]
    more = [None] * len(forward), [None] * len(backward)
    if s["name"] in MULTILINEAR:
        more = absolute_terms(s, tensors, inputs, cotangents if grads else [None] * len(outs))
    if s["name"] in ("var", "std"):
        x = tensors[0].detach()
        far = norm(x) / (norm(x - x.nanmean()) or 1)  # how much of x its mean takes away
        more = [norm(x * x) if s["name"] == "var" else norm(x)], [(b or 0) * far for b in backward]
    if grads and s["name"] in SPREADS:
        more = more[0], [max(a or 0, b or 0) for a, b in zip(more[1] or backward,
                                                             expanded_terms(s, tensors, inputs, cotangents, outs))]
    return ([max(a, b or 0) for a, b in zip(forward, more[0])],
            [None if a is None else max(a, b or 0) for a, b in zip(backward, more[1])])


# ---- writing ---------------------------------------------------------------------------------------------------------


def raw(t):
    t = t.detach().contiguous()
    return t.view(-1).view(u8).numpy().tobytes() if t.numel() else b""


def text(s, width="B"):
    return struct.pack("<" + width, len(s)) + s.encode()


def ints(values):
    return struct.pack(f"<{len(values)}i", *values)


def input_bytes(inp, storage):
    strides, offset, n = inp.geometry()
    flags = 1 if inp.grad and storage.is_floating_point() else 0
    return (struct.pack("<3B", CODES.index(storage.dtype), flags, len(inp.sizes)) + ints(inp.sizes) + ints(strides) +
            struct.pack("<iI", offset, storage.numel()) + raw(storage))


def argument_bytes(a, number):
    if a is None:
        return b"\0"
    if isinstance(a, Input):
        return struct.pack("<2B", 6, number[id(a)])
    if isinstance(a, Number):
        v = a.value
        tag = 10 if isinstance(v, bool) else 9 if isinstance(v, int) else 8
        return struct.pack("<Bd" if tag == 8 else "<Bq", tag, v)
    if isinstance(a, bool):
        return struct.pack("<2B", 3, a)
    if isinstance(a, int):
        return struct.pack("<Bq", 1, a)
    if isinstance(a, float):
        return struct.pack("<Bd", 2, a)
    if isinstance(a, torch.dtype):
        return struct.pack("<2B", 5, CODES.index(a))
    if any(isinstance(x, Input) for x in a):
        return struct.pack("<2B", 7, len(a)) + bytes(255 if x is None else number[id(x)] for x in a)
    return struct.pack("<2B", 4, len(a)) + ints(a)


def tensor_bytes(t, reference, size):
    out = struct.pack("<2B", CODES.index(t.dtype), t.dim()) + ints(t.shape) + ints(t.stride()) + raw(t)
    if not t.is_floating_point():
        return out + b"\0"
    out += struct.pack("<Bd", 1, size)
    return out if t.dtype == f64 else out + raw(reference.to(f64))


def shares(t, tensors):
    if t.numel() == 0:
        return 255
    for i, x in enumerate(tensors):
        if x.numel() and x.untyped_storage().data_ptr() == t.untyped_storage().data_ptr():
            return i
    return 255


def compare_of(s):
    if s["name"] in EXTREMES:
        return VALUES
    if s["name"] in MOVES and s["name"] not in ("index_put",):
        return BITS
    return ELEMENT if s["name"] in POINTWISE and s["name"] not in ("add.alpha", "sub.alpha") else NORM


def cotangents_for(s, rnd, outs):
    """Row-major, in each output's dtype; None for outputs without history and those that the sample leaves out."""
    made = []
    for i, o in enumerate(outs):
        if not o.requires_grad or i in s["skip"]:
            made.append(None)
        else:
            made.append(torch.tensor([rnd.uniform(-2, 2) for _ in range(o.numel())],
                                     dtype=f64).to(o.dtype).view(o.shape))
    return made


def backward_bytes(s, number, tensors, inputs, outs, cotangents, terms):
    leaves = [t for t in tensors if t.requires_grad]
    if not any(g is not None for g in cotangents):
        return b"\0"
    out = b"\1" + b"".join(b"\0" if g is None else b"\1" + raw(g) for g in cotangents)
    try:
        grads = gradients(outs, cotangents, leaves)
    except Exception as e:
        return out + text(type(e).__name__)
    ref_grads, sizes = terms
    out += text("")
    for i, g in enumerate(grads):
        out += b"\0" if g is None else b"\1" + tensor_bytes(g, ref_grads[i], sizes[i] or 0.0)
    return out


def reference_of(s, inputs, storages, cotangents):
    """The call in float64 on the values as the run saw them: outputs, gradients, sizes of their terms."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(f64)
    try:
        tensors = [place(i, st.to(wide(st.dtype))) for i, st in zip(inputs, storages)]
        outs = run(s, plain(s["args"], {id(i): t for i, t in zip(inputs, tensors)}, True))
        wide_g = [None if g is None or not o.requires_grad else g.to(o.dtype) for g, o in zip(cotangents, outs)]
        try:
            grads = gradients(outs, wide_g, [t for t in tensors if t.requires_grad])
        except RuntimeError:
            grads = None
        sizes = sizes_of_terms(s, tensors, inputs, wide_g, outs, grads)
    finally:
        torch.set_default_dtype(default)
    return outs, grads, sizes


def call_bytes(s, dtype, seed):
    rnd = random.Random(seed)
    inputs, number = [], {}
    for i in inputs_of(s["args"]):
        if id(i) not in number:
            number[id(i)] = len(inputs)
            inputs.append(i)
    storages = [i.storage(rnd, dtype) for i in inputs]
    head = text(s["name"]) + struct.pack("<2B", s["mode"], compare_of(s))
    body = struct.pack("<B", len(inputs)) + b"".join(input_bytes(i, st) for i, st in zip(inputs, storages))
    body += struct.pack("<B", len(s["args"])) + b"".join(argument_bytes(a, number) for a in s["args"])
    tensors = [place(i, st) for i, st in zip(inputs, storages)]
    try:
        outs = run(s, plain(s["args"], {id(i): t for i, t in zip(inputs, tensors)}))
    except Exception as e:
        return head + b"\1" + text(type(e).__name__) + body, type(e).__name__, str(e)
    cotangents = cotangents_for(s, rnd, outs)
    ref_outs, ref_grads, (sizes, grad_sizes) = reference_of(s, inputs, storages, cotangents)
    out = head + b"\0" + body + struct.pack("<B", len(outs))
    for o, r, size in zip(outs, ref_outs, sizes):
        same = [i for i, t in enumerate(tensors) if t is o]
        out += struct.pack("<2B", shares(o, tensors), same[0] if same else 255) + tensor_bytes(o, r, size)
        out += text(graph(o.grad_fn, tensors) if o.grad_fn is not None else "", "H")
    return out + backward_bytes(s, number, tensors, inputs, outs, cotangents, (ref_grads, grad_sizes)), None, None


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here), "../tests/golden/data/ops.bin")
    for make in (unary_samples, binary_samples, clamp_samples, reduction_samples, loss_samples, view_samples,
                 copy_samples,
                 index_samples, product_samples, inplace_samples, rounding_samples):
        make()
    calls, raised = [], 0
    for k, s in enumerate(samples):
        runs = [f64, f32] if any(i.dtype is None for i in inputs_of(s["args"])) else [None]
        for dtype in runs:
            data, error, why = call_bytes(s, dtype, f"{k} {s['name']}")
            if error and "-v" in sys.argv:
                print(s["name"], [getattr(a, "sizes", a) for a in s["args"]], error, why[:150])
            raised += error is not None
            calls.append(data)
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden ops 1\nproducer pytorch {torch.__version__}\nscript tools/{os.path.basename(here)}\n"
              f"sha256 {digest}\n\n")
    data = header.encode() + struct.pack("<I", len(calls)) + b"".join(calls)
    if len(data) > MAX_BYTES:
        sys.exit(f"{len(data)} bytes are more than {MAX_BYTES}")
    with open(output, "wb") as f:
        f.write(data)
    names = {s["name"] for s in samples}
    print(f"{len(calls)} calls of {len(names)} ops ({raised} raise), {len(data)} bytes in {os.path.normpath(output)}")


if __name__ == "__main__":
    main()
