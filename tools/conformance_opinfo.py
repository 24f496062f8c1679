#!/usr/bin/env python3
"""Holds the Python module against PyTorch's own test samples (OpInfo), operator by operator.

    python tools/conformance_opinfo.py [--only NAME…] [--engine] [--write docs/conformance.json [--accept]] [--verbose]

Needs both in one interpreter: a virtual environment with torch, expecttest and hypothesis (`make conformance` makes one)
and wengert on PYTHONPATH. For every entry of op_db and every sample of it both libraries are called; compared are whether
they raise, the structure, shapes, dtypes and values of the results, gradients for a fixed random cotangent, second
gradients, forward-mode tangents, in-place and out= variants, and the refusals that error_inputs lists.

A check of an entry passes when every sample of it passes; the denominator is the number of entries that PyTorch has.
What comes back has to be ours. A skipped sample fails its check, but for the few reasons that are out of scope. With
--write, a check that passes in the file and not any more fails the run, and the file stays; --accept writes it anyway.
"""

import argparse
import collections
import json
import math
import re
import signal
import sys
import time
import types
import warnings

warnings.simplefilter("ignore")
import logging

logging.disable(logging.WARNING)

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import wengert

# Classes of entries that are out of scope for good, by OpInfo name (sparse, jiterator, float8, PyTorch's internals).
OUT_OF_SCOPE = re.compile(r"^(sparse\.|to_sparse|jiterator_|torch\._scaled_mm|torch\.ops\.|_chunk_cat|_batch_norm|_native_batch_norm|_segment_reduce|"
                          r"_softmax_backward_data|_unsafe_masked|_upsample_bilinear2d_aa|max_pool2d_with_indices_backward|native_dropout_backward)")
# The operators that the Engine issue asks for: what the totals of docs/COVERAGE.md are about today.
ENGINE = set("""neg abs sign exp log sqrt rsqrt sin cos tanh sigmoid nn.functional.relu reciprocal floor ceil round trunc isnan isinf isfinite
logical_not bitwise_not add sub mul div true_divide floor_divide remainder fmod pow maximum minimum atan2 eq ne lt le gt ge logical_and logical_or
logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift rsub clamp clamp_min clamp_max sum mean prod amax amin argmax
argmin max min all any var std norm linalg.vector_norm logsumexp softmax log_softmax sort argsort nn.functional.mse_loss nn.functional.nll_loss
nn.functional.cross_entropy permute transpose t view view_as reshape reshape_as expand expand_as squeeze unsqueeze select slice as_strided unbind split
split_with_sizes chunk clone contiguous to cat stack where masked_fill index_put index_select index_add index_fill gather scatter_add nonzero
nn.functional.embedding mm mv dot bmm addmm matmul nn.functional.linear flatten unflatten ravel narrow movedim broadcast_to isclose allclose equal conj
resolve_conj positive square __getitem__ __radd__ __rsub__ __rmul__ __rdiv__ __rpow__ __rmod__ __rand__ __ror__ __rxor__ __rmatmul__ T mT mH H item fill
zero_ bernoulli normal uniform multinomial randn rand_like randn_like randint randint_like zeros ones full eye arange linspace empty zeros_like ones_like
full_like empty_like new_zeros new_ones new_full new_empty scalar_tensor exponential cauchy geometric log_normal float double half bfloat16 long int short
char byte bool""".split())

# Samples of today's operators that need one still to come: entry -> what our error says.
TO_COME = {"norm.nuc": "nuclear norm", "nn.functional.embedding": "max_norm, scale_grad_by_freq and sparse"}

CHECKS = ("forward64", "forward32", "grad64", "grad32", "gradgrad", "forward_mode", "inplace", "out", "errors")
TOLERANCE = {torch.float64: (1e-7, 1e-7), torch.float32: (1.3e-6, 1e-5), torch.float16: (1e-3, 1e-3), torch.bfloat16: (1.6e-2, 1e-2)}


class Skip(Exception):
    """A sample that cannot be tried, for one of a closed set of reasons."""

    OUT_OF_SCOPE = {"complex", "sparse", "layout", "quantized", "device", "operator to come"}
    REASONS = OUT_OF_SCOPE | {"dtype"}

    def __init__(self, reason):
        assert reason in self.REASONS, reason
        super().__init__(reason)


class Missing(Exception):
    """Wengert has no such operator."""


# ---- PyTorch's objects as ours ----------------------------------------------------------------------------------------

DTYPES = {getattr(torch, n): getattr(wengert, n) for n in
          "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 complex32 uint16 uint32 uint64".split()}
FORMATS = {getattr(torch, n): getattr(wengert, n) for n in "contiguous_format preserve_format channels_last channels_last_3d strided".split()}
SUPPORTED = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64}


def to_ours(x):
    """A tensor of ours with x's elements, strides and requires_grad; containers and small types likewise."""
    if isinstance(x, torch.Tensor):
        return tensor_to_ours(x)
    if isinstance(x, torch.Size):
        return wengert.Size(x)
    if isinstance(x, torch.dtype):
        if x in DTYPES:
            return DTYPES[x]
        raise Skip("dtype")
    if isinstance(x, (torch.memory_format, torch.layout)):
        if x in FORMATS:
            return FORMATS[x]
        raise Skip("layout")
    if isinstance(x, torch.device):
        if x.type != "cpu":
            raise Skip("device")
        return wengert.device("cpu")
    if isinstance(x, torch.Generator):
        g = wengert.Generator()
        g.set_state(wengert.from_numpy(x.get_state().numpy().copy()))
        return g
    if isinstance(x, complex):
        raise Skip("complex")
    if isinstance(x, dict):
        return {k: to_ours(v) for k, v in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(to_ours, x))
    if isinstance(x, (list, tuple)):
        return type(x)(to_ours(v) for v in x)
    return x


def storage_of(x):
    """All elements of x's storage in a vector of ours; one for all tensors of a sample that share it."""
    key = x.untyped_storage().data_ptr() or id(x), x.dtype
    if key not in STORAGES:
        whole = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage().clone()) if x.untyped_storage().nbytes() else torch.empty(0, dtype=x.dtype)
        ours = wengert.from_numpy((whole.to(torch.float32) if x.dtype == torch.bfloat16 else whole).numpy())
        STORAGES[key] = (x, ours.to(wengert.bfloat16) if x.dtype == torch.bfloat16 else ours)
    return STORAGES[key][1]


STORAGES = {}
SEEN = {}  # what one sample holds twice is one object with us too


def tensor_to_ours(x):
    if id(x) not in SEEN:
        SEEN[id(x)] = (x, new_tensor(x))
    return SEEN[id(x)][1]


def forget():
    SEEN.clear()
    STORAGES.clear()


def sample_to_ours(*parts):
    forget()
    try:
        return tuple(to_ours(p) for p in parts)
    finally:
        forget()


def new_tensor(x):
    if x.layout != torch.strided:
        raise Skip("sparse")
    if x.is_quantized:
        raise Skip("quantized")
    if x.device.type != "cpu":
        raise Skip("device")
    if x.dtype.is_complex:
        raise Skip("complex")
    if x.dtype not in SUPPORTED:
        raise Skip("dtype")
    if x._is_zerotensor():
        t = wengert.zeros(tuple(x.size()), dtype=DTYPES[x.dtype])
    else:
        x_plain = x.detach().resolve_conj().resolve_neg()
        t = storage_of(x_plain).as_strided(tuple(x.size()), tuple(x.stride()), x_plain.storage_offset()).detach()
    if x.requires_grad:
        t.requires_grad_()
    return t


def to_numpy(t):
    """Either library's tensor as an array that can be compared."""
    t = t.detach()
    if isinstance(t, torch.Tensor):
        t = t.resolve_conj().resolve_neg()
        return (t.float() if t.dtype == torch.bfloat16 else t).numpy(force=True)
    return (t.float() if t.dtype == wengert.bfloat16 else t).numpy()


# ---- comparing ----------------------------------------------------------------------------------------------------------

def tensors(x, kind):
    """The tensors in a result, in order."""
    if isinstance(x, kind):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return [t for v in x for t in tensors(v, kind)]
    return []


def name_of(dtype):
    return str(dtype).replace("torch.", "")


def close(ours, ref, dtype, scale=1):
    a, b = to_numpy(ours), to_numpy(ref)
    if a.dtype.kind == "f":
        rtol, atol = TOLERANCE.get(dtype, (1e-7, 1e-7))
        return np.allclose(a.astype(np.float64), b.astype(np.float64), rtol=rtol * scale, atol=atol * scale, equal_nan=True)
    return np.array_equal(a, b)


def same(ours, ref, what, scale=1):
    """Text of the first difference, or None."""
    assert not tensors(ours, torch.Tensor), f"{what}: a tensor of PyTorch's"
    if isinstance(ref, torch.Tensor):
        if not isinstance(ours, wengert.Tensor):
            return f"{what}: {type(ours).__name__}, not a Tensor"
        if tuple(ours.shape) != tuple(ref.shape):
            return f"{what}: shape {tuple(ours.shape)}, not {tuple(ref.shape)}"
        if name_of(ours.dtype) != name_of(ref.dtype):
            return f"{what}: dtype {ours.dtype}, not {ref.dtype}"
        if ours.requires_grad != ref.requires_grad:
            return f"{what}: requires_grad {ours.requires_grad}, not {ref.requires_grad}"
        return None if close(ours, ref, ref.dtype, scale) else f"{what}: values differ by {difference(ours, ref)}"
    if isinstance(ref, torch.Size):
        return None if tuple(ours) == tuple(ref) else f"{what}: {ours}, not {ref}"
    if isinstance(ref, (list, tuple)):
        if not isinstance(ours, (list, tuple)) or len(ours) != len(ref):
            return f"{what}: {ours!r:.60}, not a sequence of {len(ref)}"
        if type(ours).__name__ != type(ref).__name__:
            return f"{what}: {type(ours).__name__}, not {type(ref).__name__}"
        return next((d for i, (a, b) in enumerate(zip(ours, ref)) if (d := same(a, b, f"{what}[{i}]", scale))), None)
    if isinstance(ref, float) and isinstance(ours, float) and (math.isnan(ref) and math.isnan(ours) or math.isclose(ref, ours, rel_tol=1e-6)):
        return None
    if isinstance(ref, (torch.dtype, torch.device)):
        return None if str(ours) == str(ref) else f"{what}: {ours}, not {ref}"
    return None if type(ours) is type(ref) and ours == ref else f"{what}: {ours!r:.60}, not {ref!r:.60}"


def difference(ours, ref):
    a, b = to_numpy(ours).astype(np.float64), to_numpy(ref).astype(np.float64)
    return f"{np.nanmax(np.abs(a - b)) if a.size else 0:.3g}"


# ---- finding our operator ------------------------------------------------------------------------------------------------

def lookup(name):
    at = wengert
    for part in name.split("."):
        at = getattr(at, part, None)
        if at is None:
            return getattr(wengert.Tensor, name, None)
    return at


def seeded(f, *args, **kwargs):
    """What OpInfo's wrapper_set_seed does, for ours."""
    wengert.manual_seed(42)
    return f(*args, **kwargs)


def rebound(f):
    """A function of OpInfo's own in which torch means wengert."""
    names = dict(f.__globals__, torch=wengert, wrapper_set_seed=seeded, F=wengert.nn.functional)
    ours = types.FunctionType(f.__code__, names, f.__name__, f.__defaults__, f.__closure__)
    ours.__kwdefaults__ = f.__kwdefaults__
    return ours


def ours_of(op):
    """Our callable: the Tensor's own where PyTorch tests the Tensor's, else by name."""
    name = getattr(op.op, "__name__", "")
    if isinstance(op.op, types.FunctionType) and op.op.__module__.startswith("torch.testing"):
        return rebound(op.op)
    if type(op.op).__name__.startswith("OpOverload"):
        found = getattr(wengert.ops.aten, op.name, None)
    elif type(op.op).__name__ in ("method_descriptor", "wrapper_descriptor") or getattr(torch.Tensor, name, None) is op.op:
        found = getattr(wengert.Tensor, name, None)
    else:
        found = lookup(op.name)
    if not callable(found):
        raise Missing(name or op.name)
    return found


UNDEFINED = re.compile(r"^(empty|new_empty|empty_like|resize_|empty_strided|empty_permuted)")


def absent(error):
    """The name that an AttributeError does not find in ours and that PyTorch has, as far as the text tells."""
    m = re.search(r"has no attribute '(\w+)'(\. Wengert does not have it yet)?", str(error)) if isinstance(error, AttributeError) else None
    return m and (m[2] or hasattr(torch.Tensor, m[1])) and m[1]


class Timeout(Exception):
    pass


def alarm(seconds):
    def ring(signum, frame):
        raise Timeout(f"took more than {seconds} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)


# ---- one sample ----------------------------------------------------------------------------------------------------------

def call(f, sample):
    return f(sample[0], *sample[1], **sample[2])


def both(op, sample, ours_f=None, ref_f=None, copy=False):
    """(ours, theirs) results of one sample; raises AssertionError with the difference when only one raises."""
    ref_sample = (sample.input, sample.args, sample.kwargs)
    our_sample = sample_to_ours(*ref_sample)
    ref_f, ours_f = ref_f or op.op, ours_f or ours_of(op)
    torch.manual_seed(7)
    wengert.manual_seed(7)
    ref_error = our_error = ref = ours = None
    try:
        ref = call(ref_f, ref_sample)
    except Exception as error:  # noqa: BLE001 - whatever PyTorch raises is the expectation
        ref_error = error
    try:
        ours = call(ours_f, our_sample)
    except Missing:
        raise
    except Exception as error:  # noqa: BLE001
        our_error = error
    if absent(our_error):
        raise Missing(absent(our_error))
    if isinstance(our_error, NotImplementedError) and not ref_error and TO_COME.get(label(op), "-") in str(our_error):
        raise Skip("operator to come")
    if ref_error or our_error:
        if type(ref_error).__name__ == type(our_error).__name__ or (ref_error and our_error):
            return None
        raise AssertionError(f"raised {type(our_error).__name__}: {our_error}" if our_error else f"did not raise {type(ref_error).__name__}: {ref_error}")
    return ours, ref, our_sample, ref_sample


def inputs_of(sample, kind):
    return [t for t in tensors(list(sample[:2]) + [sample[2]], kind) if t.requires_grad]


def cotangents(outs, seed=3):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(np.asarray(rng.standard_normal(tuple(o.shape)))).to(getattr(torch, name_of(o.dtype))) for o in outs]


def differentiable(outs):
    return [o for o in outs if o.requires_grad]


def compare_lists(ours, ref, what, scale):
    for i, (a, b) in enumerate(zip(ours, ref)):
        if (a is None) != (b is None):
            return f"{what} of input {i}: {'None' if a is None else 'there'}, not {'None' if b is None else 'there'}"
        if b is not None and (d := same(a.detach(), b.detach(), f"{what} of input {i}", scale)):
            return d
    return None


def check_forward(op, sample):
    r = both(op, sample)
    if r is None:
        return None
    ours, ref = r[0], r[1]
    if UNDEFINED.match(op.name):  # only shapes are promised
        return next((f"shape {tuple(a.shape)}" for a, b in zip(tensors(ours, wengert.Tensor), tensors(ref, torch.Tensor)) if tuple(a.shape) != tuple(b.shape)), None)
    return same(ours, ref, "result")


def gradients(op, sample, second):
    """Compares first, or second, gradients."""
    r = both(op, sample)
    if r is None:
        return None
    ours, ref, our_sample, ref_sample = r
    if sample.output_process_fn_grad and "lambda" not in getattr(sample.output_process_fn_grad, "__name__", "lambda"):
        ours, ref = sample.output_process_fn_grad(ours), sample.output_process_fn_grad(ref)
    elif sample.output_process_fn_grad:
        ref = sample.output_process_fn_grad(ref)
        ours = sample.output_process_fn_grad(ours)
    ref_out, our_out = differentiable(tensors(ref, torch.Tensor)), differentiable(tensors(ours, wengert.Tensor))
    ref_in, our_in = inputs_of(ref_sample, torch.Tensor), inputs_of(our_sample, wengert.Tensor)
    if len(our_out) != len(ref_out) or len(our_in) != len(ref_in):
        return f"{len(our_out)} differentiable results and {len(our_in)} inputs, not {len(ref_out)} and {len(ref_in)}"
    if not ref_out or not ref_in:
        return None
    cot = cotangents(ref_out)
    g_ref = torch.autograd.grad(ref_out, ref_in, cot, create_graph=second, allow_unused=True)
    g_our = wengert.autograd.grad(our_out, our_in, [to_ours(c) for c in cot], create_graph=second, allow_unused=True)
    if not second:
        return compare_lists(g_our, g_ref, "gradient", 1)
    ref_out, our_out = [g for g in g_ref if g is not None and g.requires_grad], [g for g in g_our if g is not None and g.requires_grad]
    if len(ref_out) != len(our_out):
        return f"{len(our_out)} gradients that differentiate again, not {len(ref_out)}"
    if not ref_out:
        return None
    cot = cotangents(ref_out, 5)
    g_ref = torch.autograd.grad(ref_out, ref_in, cot, allow_unused=True)
    g_our = wengert.autograd.grad(our_out, our_in, [to_ours(c) for c in cot], allow_unused=True)
    zeros = [(a, b) for a, b in zip(g_our, g_ref)]
    # A second gradient that is zero everywhere may be None in one and zeros in the other.
    g_our = [None if a is not None and b is None and not to_numpy(a).any() else a for a, b in zeros]
    g_ref = [None if b is not None and a is None and not to_numpy(b).any() else b for a, b in zeros]
    return compare_lists(g_our, g_ref, "second gradient", 10)


def tangents(op, sample):
    import torch.autograd.forward_ad as ref_ad

    our_f = ours_of(op)
    our_ad = wengert.autograd.forward_ad
    seed = iter(range(11, 1000))

    def dual_of(x, ad, kind, convert):
        if isinstance(x, kind):
            if not x.requires_grad:
                return x
            t = cotangents([x], next(seed))[0]
            return ad.make_dual(x.detach(), convert(t))
        if isinstance(x, dict):
            return {k: dual_of(v, ad, kind, convert) for k, v in x.items()}
        if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
            return type(x)(dual_of(v, ad, kind, convert) for v in x) if not isinstance(x, torch.Size) else x
        return x

    def run(ad, kind, convert, parts, f):
        nonlocal seed
        seed = iter(range(11, 1000))
        with ad.dual_level():
            out = call(f, tuple(dual_of(p, ad, kind, convert) for p in parts))
            return [ad.unpack_dual(o).tangent for o in tensors(out, kind)]

    ref_parts = (sample.input, sample.args, sample.kwargs)
    torch.manual_seed(7)
    wengert.manual_seed(7)
    try:
        ref = run(ref_ad, torch.Tensor, lambda t: t, ref_parts, op.op)
    except Exception:  # noqa: BLE001
        return None
    # Ours are cut from history as theirs are: the dtype and strides of the primals are kept.
    try:
        ours = run(our_ad, wengert.Tensor, to_ours, sample_to_ours(*ref_parts), our_f)
    except NotImplementedError as error:
        if TO_COME.get(label(op), "-") not in str(error):
            raise
        raise Skip("operator to come") from None
    if len(ours) != len(ref):
        return f"{len(ours)} tangents, not {len(ref)}"
    for i, (a, b) in enumerate(zip(ours, ref)):
        zero = a is None and b is not None and not to_numpy(b).any() or b is None and a is not None and not to_numpy(a).any()
        if (a is None) != (b is None) and not zero:
            return f"tangent of result {i}: {'None' if a is None else 'there'}"
        if a is not None and b is not None and (d := same(a.detach(), b.detach(), f"tangent {i}", 1)):
            return d
    return None


def check_inplace(op, sample):
    name = getattr(op.inplace_variant, "__name__", None)
    if name is None:  # a function with inplace=True
        base = ours_of(op)

        def f(x, *args, **kwargs):
            return base(x, *args, inplace=True, **kwargs)
    else:
        f = getattr(wengert.Tensor, name, None)
    if f is None:
        raise Missing(name)
    if sample.broadcasts_input or not isinstance(sample.input, torch.Tensor):
        return None

    def ref_f(x, *args, **kwargs):
        x = x.detach().clone()
        return op.inplace_variant(x, *args, **kwargs), x._version

    def our_f(x, *args, **kwargs):
        x = x.detach().clone()
        return f(x, *args, **kwargs), x._version

    r = both(op, sample, our_f, ref_f)
    return r and same(r[0], r[1], "in place")


def check_out(op, sample):
    r = both(op, sample)
    if r is None:
        return None
    ours, ref = r[0], r[1]
    ours_f = ours_of(op)
    outs = tensors(ours, wengert.Tensor)
    if not outs or len(outs) != len(tensors(ref, torch.Tensor)) or "as_tuple" in sample.kwargs:
        return None
    given = [wengert.empty_like(o.detach()) for o in outs]
    parts = sample_to_ours(sample.input, sample.args, sample.kwargs)
    parts[2].pop("out", None)
    wengert.manual_seed(7)
    with wengert.no_grad():
        back = ours_f(parts[0], *parts[1], **parts[2], out=given[0] if len(given) == 1 and isinstance(ours, wengert.Tensor) else tuple(given))
    if UNDEFINED.match(op.name):
        return None
    first = tensors(back, wengert.Tensor)
    if any(a is not b for a, b in zip(first, given)):
        return "out= is not what came back"
    for a, b in zip(given, tensors(ref, torch.Tensor)):
        if d := same(a, b.detach(), "out="):
            return d
    return None


def check_error(op, ei):
    s = ei.sample_input
    f = ours_of(op)
    try:  # a shape that cannot exist is refused before the operator sees it
        call(f, sample_to_ours(s.input, s.args, s.kwargs))
    except Skip:
        raise
    except Exception as error:  # noqa: BLE001
        if absent(error):
            raise Missing(absent(error)) from None
        expected = ei.error_type if isinstance(ei.error_type, tuple) else (ei.error_type,)
        names = {t.__name__ for t in expected}
        if not isinstance(error, expected) and type(error).__name__ not in names:
            return f"{type(error).__name__}: {error}; not {'/'.join(names)}: {ei.error_regex}"
        return None if re.search(ei.error_regex, str(error)) else f"says '{str(error)[:100]}', not /{ei.error_regex}/"
    try:
        call(op.op, (s.input, s.args, s.kwargs))
    except Exception:  # noqa: BLE001
        return f"did not raise {ei.error_type.__name__}: {ei.error_regex}"
    return None  # nor does PyTorch


# ---- one entry -----------------------------------------------------------------------------------------------------------

def samples_of(op, dtype, requires_grad):
    try:
        return list(op.sample_inputs("cpu", dtype, requires_grad=requires_grad))
    except Exception as error:  # noqa: BLE001 - no samples: not ours to judge
        raise LookupError(str(error)) from None


def run_samples(op, samples, check, verbose):
    """(status, detail, tried, passed, skipped)"""
    passed = skipped = 0
    reasons = collections.Counter()
    failure = None
    for i, sample in enumerate(samples):
        forget()
        try:
            alarm(20)
            problem = check(op, sample)
        except Skip as skip:
            skipped += 1
            reasons[str(skip)] += 1
            continue
        except Missing as missing:
            return "missing", str(missing), len(samples), 0, 0
        except Timeout as late:
            problem = str(late)
        except AssertionError as wrong:
            problem = str(wrong)
        except Exception as error:  # noqa: BLE001
            if absent(error):
                return "missing", absent(error), len(samples), 0, 0
            problem = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
        if problem:
            failure = failure or f"sample {i}: {problem}"
            if verbose:
                print(f"    {op.name}.{op.variant_test_name} {check.__name__} sample {i}: {problem[:300]}", flush=True)
        else:
            passed += 1
    said = ", ".join(f"{n} {r}" for r, n in sorted(reasons.items()))
    if failure:
        return "fail", failure, len(samples), passed, skipped
    if set(reasons) - Skip.OUT_OF_SCOPE:
        return "fail", f"skipped samples: {said}", len(samples), passed, skipped
    if samples and skipped == len(samples):
        return "skip", said, len(samples), 0, skipped
    return "pass", said, len(samples), passed, skipped


def first_gradient(op, sample):
    return gradients(op, sample, False)


def second_gradient(op, sample):
    return gradients(op, sample, True)


def plan(op):
    """(check, function, dtype, requires_grad) for what this entry claims."""
    d64, d32 = torch.float64, torch.float32
    forward = op.dtypes if op.dtypes else set()
    first = d64 if d64 in forward else torch.int64 if torch.int64 in forward else torch.bool if torch.bool in forward else \
        torch.complex128 if torch.complex128 in forward else None
    rows = []
    if first is not None:
        rows.append(("forward64", check_forward, first, False))
    if d32 in forward:
        rows.append(("forward32", check_forward, d32, False))
    if op.supports_autograd:
        rows += [("grad64", first_gradient, d64, True), ("grad32", first_gradient, d32, True)]
        if op.supports_gradgrad:
            rows.append(("gradgrad", second_gradient, d64, True))
        if op.supports_forward_ad:
            rows.append(("forward_mode", tangents, d64, True))
    if op.inplace_variant and first is not None:
        rows.append(("inplace", check_inplace, first, False))
    if op.supports_out and first is not None:
        rows.append(("out", check_out, first, False))
    return rows


def check_entry(op, verbose):
    result = {}
    for check, function, dtype, grad in plan(op):
        try:
            samples = samples_of(op, dtype, grad)
        except LookupError as error:
            result[check] = {"status": "skip", "samples": 0, "passed": 0, "skipped": 0, "detail": f"PyTorch gives no samples: {error}"[:160]}
            continue
        status, detail, tried, passed, skipped = run_samples(op, samples, function, verbose)
        result[check] = {"status": status, "samples": tried, "passed": passed, "skipped": skipped}
        if detail:
            result[check]["detail"] = detail[:240]
    if op.error_inputs_func:
        try:
            errors = list(op.error_inputs("cpu"))
        except Exception:  # noqa: BLE001
            errors = []
        if errors:
            status, detail, tried, passed, skipped = run_samples(op, errors, check_error, verbose)
            result["errors"] = {"status": status, "samples": tried, "passed": passed, "skipped": skipped}
            if detail:
                result["errors"]["detail"] = detail[:240]
    return result


def label(op):
    return op.name + ("." + op.variant_test_name if op.variant_test_name else "")


def totals(entries, names=None):
    out = {}
    for check in CHECKS:
        rows = [e["checks"][check] for e in entries if check in e["checks"] and (names is None or e["op"] in names)]
        counts = collections.Counter(r["status"] for r in rows)
        out[check] = {"entries": len(rows), **{s: counts.get(s, 0) for s in ("pass", "fail", "skip", "missing")}}
    return out


def written(row):
    """A row as the file has it: 'pass 12', 'fail 3 of 12: why'."""
    status, detail = row["status"], row.get("detail", "")
    if status == "missing":
        return status
    text = f"pass {row['passed']}" if status == "pass" else f"{status} {row['passed']} of {row['samples']}"
    return text + (f": {detail}" if detail else "")


def went_back(path, entries):
    """The checks that pass in the file and do not pass now."""
    try:
        with open(path, encoding="utf-8") as f:
            before = json.load(f)["entries"]
    except FileNotFoundError:
        return []
    now = {e["entry"]: e["checks"] for e in entries}
    return [f"{name} {check}: {written(now[name][check]) if check in now[name] else 'no such check'}"
            for name, checks in before.items() if name in now for check, row in checks.items()
            if row.startswith("pass") and now[name].get(check, {}).get("status") != "pass"]


def write(path, entries, engine, everything):
    """An entry a line; what other scripts have counted stays."""
    try:
        with open(path, encoding="utf-8") as f:
            scripts = json.load(f).get("scripts", {})
    except FileNotFoundError:
        scripts = {}
    head = {"torch": torch.__version__, "wengert": wengert.__version__, "entries_in_pytorch": len(op_db),
            "out_of_scope": sorted(e["entry"] for e in entries if e["scope"] == "out"),
            "engine": engine, "all": everything, "scripts": scripts, "of_the_engine": sorted(e["entry"] for e in entries if e["engine"])}
    rows = {e["entry"]: {c: written(r) for c, r in e["checks"].items()} for e in entries}
    with open(path, "w", encoding="utf-8") as f:
        f.write("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in head.items()) + ',\n"entries": {\n')
        f.write(",\n".join(f"{json.dumps(k)}: {json.dumps(rows[k], ensure_ascii=False)}" for k in sorted(rows)) + "\n}}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", help="names of operators")
    parser.add_argument("--engine", action="store_true", help="only the operators that the library has to have today")
    parser.add_argument("--write", help="JSON file to write")
    parser.add_argument("--accept", action="store_true", help="write it though checks that passed do not pass any more")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    if args.write and (args.only or args.engine):
        parser.error("what is written has all entries")
    start = time.time()
    entries = [checked(op, args) for op in op_db if (not args.only or op.name in args.only) and (not args.engine or op.name in ENGINE)]
    engine, everything = totals(entries, ENGINE), totals(entries)
    for title, table in (("the engine's operators", engine), ("all entries", everything)):
        print(f"\n{title}:")
        for check, t in table.items():
            if t["entries"]:
                print(f"  {check:13s} {t['pass']:4d} of {t['entries']:4d} pass, {t['fail']} fail, {t['missing']} missing, {t['skip']} skipped")
    back = went_back(args.write, entries) if args.write else []
    for b in back:
        print(f"passed before: {b}")
    if args.write and (args.accept or not back):
        write(args.write, entries, engine, everything)
    passed = sum(t["pass"] for t in engine.values())
    failed = sum(t["fail"] + t["missing"] for t in engine.values())
    print(f"\nin {time.time() - start:.0f} s; {len(op_db)} entries in PyTorch, {len(entries)} tried")
    print(f"opinfo: {passed} passed, {failed} failed")
    return 1 if failed or back and not args.accept else 0


def checked(op, args):
    entry = {"entry": label(op), "op": op.name, "engine": op.name in ENGINE, "scope": "out" if OUT_OF_SCOPE.match(op.name) else "in"}
    entry["checks"] = {} if entry["scope"] == "out" else check_entry(op, args.verbose)
    bad = {c: r for c, r in entry["checks"].items() if r["status"] == "fail"}
    if bad and (args.verbose or args.only or entry["engine"]):
        print(f"{entry['entry']}:", flush=True)
        for c, r in bad.items():
            print(f"  {c}: {r['detail']}", flush=True)
    return entry


if __name__ == "__main__":
    sys.exit(main())
