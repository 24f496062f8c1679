#!/usr/bin/env python3
"""Promotion held against PyTorch: the dtype, the rank and the element that come out of operands of mixed kinds.

    python tools/conformance_promotion.py

It needs wengert and torch in one interpreter. The operands and operations are those of tools/dump_promotion.py, run with
either library as `torch`, under each default dtype; SPELLED adds the operators of the language, in both orders, and the
functions that have rules of their own. promote_types, result_type and can_cast are compared for every pair.
"""
import importlib.util
import math
import pathlib
import sys
import types
import warnings

import torch
import wengert

HERE = pathlib.Path(__file__).resolve().parent

SPELLED = """a + b ; a - b ; a * b ; a / b ; a // b ; a % b ; a ** b ; a < b ; a >= b ; a == b ; a != b ; a & b ; a | b ; a ^ b ; a << b
torch.add(a, b) ; torch.sub(a, b) ; torch.mul(a, b, out=None) ; torch.maximum(a, b) ; torch.minimum(a, b) ; torch.atan2(a, b)
torch.remainder(a, b) ; torch.fmod(a, b) ; torch.div(a, b, rounding_mode="floor") ; torch.div(a, b, rounding_mode="trunc")
torch.logical_and(a, b) ; torch.isclose(a, b) ; torch.stack([a, b]) ; torch.cat([a, b]) ; torch.full((1,), a) ; torch.result_type(a, b)
torch.where(torch.tensor(True), a, b) ; torch.clamp(a, b) ; torch.clamp_max(a, b) ; torch.rsub(a, b) ; torch.pow(a, b)
a.clone().add_(b) ; a.clone().sub_(b) ; a.clone().mul_(b) ; a.clone().div_(b) ; a.clone().pow_(b) ; a.clone().copy_(b)
a.clone().fill_(b) ; a.clone().masked_fill_(torch.tensor(True), b) ; a.clone().floor_divide_(b) ; a.clone().__iand__(b)
torch.sum(a) ; torch.mean(a) ; torch.prod(a) ; torch.exp(a) ; torch.sign(a) ; torch.floor(a) ; a.to(b.dtype) ; -a ; ~a ; abs(a)"""


class Named(types.ModuleType):
    """A module whose torch.ops.aten.NAME.Tensor is torch.ops.aten.NAME: ours have no overloads to name."""

    def __init__(self, module):
        super().__init__(module.__name__)
        self.module = module
        self.ops = types.SimpleNamespace(aten=types.SimpleNamespace(
            **{n: types.SimpleNamespace(Tensor=getattr(module.ops.aten, n)) for n in ("add", "mul", "div")}))

    def __getattr__(self, name):
        return getattr(self.module, name)


def load(module):
    """tools/dump_promotion.py with module as torch."""
    kept = sys.modules["torch"]
    sys.modules["torch"] = module if module is torch else Named(module)
    try:
        spec = importlib.util.spec_from_file_location("dump_promotion_of_" + module.__name__, HERE / "dump_promotion.py")
        dump = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(dump)
    finally:
        sys.modules["torch"] = kept
    texts = [t.strip() for line in SPELLED.split("\n") for t in line.split(" ; ")]
    calls = [(f"operation {i} of dump_promotion.py", f) for i, f in enumerate(dump.OPS)]
    calls += [(t, eval(f"lambda a, b: {t}", {"torch": module})) for t in texts]  # noqa: S307 - the list above
    return dump, calls


def answer(module, call, a, b):
    try:
        r = call(a, b)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error).__name__, str(error).split("\n")[0].split(". ")[0].rstrip(".")
    if not isinstance(r, module.Tensor):
        return str(type(r)), str(r)
    return str(r.dtype), tuple(r.shape), r.reshape(-1).tolist()


def same(a, b):
    """Floats to a few units in the last place of a double (exp is not the same function); anything else exactly."""
    return a == b or (len(a) == 3 and len(b) == 3 and a[:2] == b[:2] and len(a[2]) == len(b[2]) and
                      all(math.isclose(x, y, rel_tol=1e-15) or x != x and y != y for x, y in zip(a[2], b[2])))


def table(module, dump, calls):
    """(what was asked, the answer) in a fixed order."""
    operands = dump.operands()
    dtypes = [str(d) for d in dump.DTYPES]

    def says(kind, code, value):
        return repr(value) if kind == 2 else f"{dtypes[code]}{' 0-d' if kind else ''}"

    for i, p in enumerate(dump.DTYPES):
        for j, q in enumerate(dump.DTYPES):
            yield f"promote_types, can_cast {dtypes[i]} {dtypes[j]}", (str(module.promote_types(p, q)), module.can_cast(p, q))
    for default in dump.DEFAULTS:
        module.set_default_dtype(default)
        for name, call in calls:
            for left in operands:
                for right in operands:
                    if left[0] == 2 and right[0] == 2:
                        continue
                    yield (f"{name}: {says(*left)}, {says(*right)} (default {default})",
                           answer(module, call, left[2], right[2]))
    module.set_default_dtype(module.float32)


def main():
    warnings.simplefilter("ignore")
    passed = failed = 0
    shown = {}
    for (what, a), (_, b) in zip(table(wengert, *load(wengert)), table(torch, *load(torch)), strict=True):
        good = same(a, b)
        passed += good
        failed += not good
        if not good:
            name = what.split(":")[0]
            shown[name] = shown.get(name, 0) + 1
            if shown[name] <= 2:
                print(f"{what}: {str(a)[:110]}, not {str(b)[:110]}", flush=True)
    for name, n in shown.items():
        print(f"    {name}: {n} differ")
    print(f"promotion: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
