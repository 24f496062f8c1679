#!/usr/bin/env python3
"""Records PyTorch's answers to samples of its own OpInfo: tests/python/data/opinfo.json.gz, replayed by
tests/python/test_opinfo.py.

Run with an interpreter that has torch, expecttest and hypothesis (no part of the library or its tests needs it):
    python tools/dump_opinfo.py [OUTPUT]

Per entry up to SAMPLES samples in float64 (results, gradients, second gradients, tangents), two in float32 and two in
int64, and up to six calls that are refused. Samples of more than LARGE elements are left out, and what
tests/python/recorded_call.py, which says how the file is made up, cannot write.
"""
import hashlib
import os
import random
import sys
import warnings

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/python"))
import recorded_call as rc  # noqa: E402

SAMPLES, LARGE = 10, 400
# The operators, by OpInfo name, that Wengert has; the variants of an operator are entries of their own.
NAMES = """neg abs sign exp log sqrt rsqrt sin cos tanh sigmoid nn.functional.relu reciprocal floor ceil round trunc isnan
isinf isfinite logical_not bitwise_not add sub mul div true_divide floor_divide remainder fmod pow maximum minimum atan2
eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift
bitwise_right_shift rsub clamp clamp_min clamp_max sum mean prod amax amin argmax argmin max min all any var std norm
linalg.vector_norm logsumexp softmax log_softmax sort argsort nn.functional.mse_loss nn.functional.nll_loss
nn.functional.cross_entropy permute transpose t view view_as reshape reshape_as expand expand_as squeeze unsqueeze select
as_strided unbind split split_with_sizes chunk clone contiguous cat stack where masked_fill index_put index_select
index_add index_fill gather scatter_add nonzero nn.functional.embedding mm mv dot bmm addmm matmul nn.functional.linear
flatten unflatten ravel narrow movedim broadcast_to isclose allclose equal conj resolve_conj positive square __getitem__
__radd__ __rsub__ __rmul__ __rdiv__ __rpow__ __rmod__ __rand__ __ror__ __rxor__ __rmatmul__ T mT mH H item fill zero_
bernoulli multinomial rand_like randn_like randint_like zeros ones full eye arange linspace zeros_like ones_like
full_like new_zeros new_ones new_full scalar_tensor float double long int short char byte bool""".split()
# Entries whose callable is a function of OpInfo's own, and what it calls; others of that kind are left out.
WRAPPED = {"item": "Tensor.item", "bernoulli": "torch.bernoulli", "multinomial": "torch.multinomial", "rand_like": "torch.rand_like",
           "randn_like": "torch.randn_like", "randint_like": "torch.randint_like", "unbind": "torch.unbind",
           "float": "Tensor.float", "double": "Tensor.double", "long": "Tensor.long", "int": "Tensor.int",
           "short": "Tensor.short", "char": "Tensor.char", "byte": "Tensor.byte", "bool": "Tensor.bool",
           "contiguous": "Tensor.contiguous", "view": "Tensor.view", "view_as": "Tensor.view_as", "fill": "Tensor.fill",
           "expand": "Tensor.expand", "expand_as": "Tensor.expand_as", "reshape_as": "Tensor.reshape_as",
           "new_zeros": "Tensor.new_zeros", "new_ones": "Tensor.new_ones", "new_full": "Tensor.new_full",
           "mH": "Tensor.mH.__get__", "mT": "Tensor.mT.__get__", "H": "Tensor.H.__get__", "T": "Tensor.T.__get__",
           "zeros_like": "torch.zeros_like", "ones_like": "torch.ones_like", "where": "torch.where",
           "nn.functional.embedding": "torch.nn.functional.embedding"}
# Of those, the order in which the callable takes a sample's arguments.
ORDER = {"where": (1, 0, 2), "nn.functional.embedding": (1, 0)}


def place(op):
    """Where the callable stands in torch, or None."""
    at = "torch." + op.name
    if rc_find(at) is op.op:
        return at
    name = getattr(op.op, "__name__", "")
    for at in (f"Tensor.{name}", f"torch.{name}", WRAPPED.get(op.name)):
        if at and (rc_find(at) is op.op or at == WRAPPED.get(op.name)):
            return at
    return None


def rc_find(at):
    try:
        return rc.find(torch, at)
    except AttributeError:
        return None


def seed():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


def samples(op, dtype, grad, most):
    """Up to so many samples, spread over all that there are."""
    if dtype not in op.dtypes:
        return []
    seed()
    try:
        every = list(op.sample_inputs("cpu", dtype, requires_grad=grad))
    except Exception:  # noqa: BLE001 - an entry without such samples
        return []
    fit = [s for s in every if sum(t.numel() for t in rc.tensors([s.input, s.args, s.kwargs], torch)) <= LARGE]
    return fit[::max(1, len(fit) // most)][:most]


def written(op, at, sample, blob):
    args = [sample.input, *sample.args]
    if op.name in ORDER:
        args = [args[i] for i in ORDER[op.name]]
    if any(t.dim() > 64 for t in rc.tensors(args, torch)):
        raise rc.Unwritten("dims")
    return {"op": op.name, "at": at, "args": rc.write(args, torch, blob),
            "kwargs": {k: rc.write(v, torch, blob) for k, v in sample.kwargs.items()}}


def answers(op, case, blob, keep):
    """The case with PyTorch's answers to what was written, or None when there is none."""
    out, _ = rc.call(torch, case, blob)
    if sum(t.numel() for t in rc.tensors(out, torch)) > 2 * LARGE:
        return None
    case["out"] = rc.write(out, torch, keep, 36)
    if not any(t.requires_grad for t in rc.tensors(out, torch)):
        return case
    first, *second = rc.gradients(torch, case, blob, op.supports_gradgrad)
    case["grad"] = rc.write(first, torch, keep, 36)
    if second:
        case["second"] = rc.write(second[0], torch, keep, 36)
    if op.supports_forward_ad:
        case["tangent"] = rc.write(rc.tangents(torch, case, blob), torch, keep, 36)
    return case


def entry(op, blob, left_out):
    at = place(op)
    if at is None:
        left_out.append(op.name)
        return
    for dtype, grad, most in (torch.float64, op.supports_autograd, SAMPLES), (torch.float32, op.supports_autograd, 2), (torch.int64, False, 2):
        for sample in samples(op, dtype, grad, most):
            trial = rc.Blob(blob.data)
            try:
                case = answers(op, written(op, at, sample, trial), trial, trial)
            except rc.Unwritten:
                continue
            except Exception as error:  # noqa: BLE001 - PyTorch refuses the rounded sample: nothing to record
                print(f"    {op.name}: {type(error).__name__}: {str(error)[:100]}")
                continue
            if case:
                blob.data = trial.data
                yield case


def refusals(op, blob):
    at = place(op)
    if at is None or not op.error_inputs_func:
        return
    seed()
    for case in [e.sample_input for e in op.error_inputs("cpu")][:6]:
        trial = rc.Blob(blob.data)
        try:
            case = written(op, at, case, trial)
        except rc.Unwritten:
            continue
        if at.startswith("Tensor.") and not isinstance(case["args"][0], dict):
            continue  # what Python says of a method of something else
        case["error"] = rc.error_of(torch, case, trial)
        if case["error"]:
            blob.data = trial.data
            yield case


def main():
    warnings.simplefilter("ignore")
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../tests/python/data/opinfo.json.gz")
    blob, cases, left_out = rc.Blob(), [], []
    for op in op_db:
        if op.name in NAMES:
            cases += entry(op, blob, left_out)
            cases += refusals(op, blob)
    with open(__file__, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    head = {"torch": torch.__version__, "script": "tools/dump_opinfo.py", "sha256": digest}
    rc.save(output, head, cases, blob)
    print(f"{len(cases)} calls of {len({c['op'] for c in cases})} operators, {os.path.getsize(output)} bytes in {os.path.normpath(output)}")
    print(f"left out: {' '.join(sorted(set(left_out)))}")


if __name__ == "__main__":
    main()
