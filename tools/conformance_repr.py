#!/usr/bin/env python3
"""The text of tensors held against PyTorch: random tensors of ten dtypes, evaluated by both libraries.

    python tools/conformance_repr.py --seed 1 --count 5000          # needs wengert and torch in one interpreter
    python tools/conformance_repr.py --seed 1 --count 400 --record tests/python/data/repr.json

A case is plain data: elements as text, sizes, strides, offset, what it is (plain, a leaf, a result, a Parameter, a subclass),
print options, and how it is shown (repr, str, format, inside a list). evaluate asks one library for the text, so that
tests/python/test_printing.py can replay recorded answers without PyTorch. Ends with "repr: N passed, N failed".
"""
import argparse
import hashlib
import json
import pathlib
import random
import sys

FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64") + FLOATS
SPECIAL = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0)

# ---- cases ---------------------------------------------------------------------------------------------------------------


def float_source(rng):
    """A way of drawing floats that share a look."""
    digits, exponent = rng.randint(0, 4), rng.randint(-8, 8)
    return rng.choice((
        lambda: float(rng.randint(-30, 30)), lambda: rng.uniform(-1, 1), lambda: rng.gauss(0, 1) * 10.0 ** exponent,
        lambda: rng.choice((-1, 1)) * 10 ** rng.uniform(-12, 12), lambda: rng.choice(SPECIAL), lambda: round(rng.uniform(-100, 100), digits),
        lambda: float(rng.randint(-10 ** 9, 10 ** 9)), lambda: rng.choice((1e8, 1e-4, 1000.0, 1.0, 1001.0, 99999.0, 0.5, 1e-5)),
        lambda: rng.choice((0.0, rng.gauss(0, 1))), lambda: rng.choice((float("nan"), rng.uniform(-9, 9)))))


def int_source(rng, dtype):
    if dtype == "bool":
        return lambda: rng.random() < 0.5
    least = 0 if dtype == "uint8" else -128
    wide = {"int16": 2 ** 15, "int32": 2 ** 31, "int64": 2 ** 63}.get(dtype)
    if wide and rng.random() < 0.4:
        return lambda: rng.randint(-wide, wide - 1) >> rng.randint(0, 40)
    return lambda: rng.randint(least, 127) // rng.choice((1, 20))


def draw_sizes(rng):
    kind = rng.random()
    if kind < 0.06:
        return [rng.choice((0, 0, 1, 3)) for _ in range(rng.randint(1, 4))]
    if kind < 0.12:
        return rng.choice(([1001], [2, 600], [40, 40], [7, 8, 20], [3, 3, 3, 40], [1200, 1], [1, 1200], [11, 11, 11]))
    return [rng.randint(1, 5 if rng.random() < 0.8 else 9) for _ in range(rng.randint(0, 4))]


def lay(rng, sizes):
    """Strides over a storage: row by row, permuted, with gaps, expanded; and the offset."""
    order, step, strides = list(range(len(sizes))), 1, [0] * len(sizes)
    if rng.random() < 0.3:
        rng.shuffle(order)
    gap = rng.choice((1, 1, 1, 2))
    for d in reversed(order):
        strides[d] = step * gap
        step = max(step * sizes[d], 1) * gap
        if sizes[d] and rng.random() < 0.05:
            strides[d], step = 0, max(step // (sizes[d] * gap), 1)
    return strides, rng.choice((0, 0, 0, 3))


def draw_options(rng):
    if rng.random() < 0.75:
        return {}
    choices = {"precision": (0, 1, 2, 6, 10), "threshold": (0, 5, 50, 2000), "edgeitems": (1, 2, 3, 5), "linewidth": (10, 40, 80, 120),
               "sci_mode": (True, False), "profile": ("short", "full", "default")}
    return {k: rng.choice(v) for k, v in choices.items() if rng.random() < 0.4}


def make_case(rng):
    dtype, sizes = rng.choice(DTYPES), draw_sizes(rng)
    strides, offset = lay(rng, sizes)
    reach = offset + 1 + sum((n - 1) * s for n, s in zip(sizes, strides) if n)
    draw = float_source(rng) if dtype in FLOATS else int_source(rng, dtype)
    pattern = [draw() for _ in range(min(reach, 60))]
    kinds = ["plain"] * 8 + ["subclass", "plain_in_list"] + (["leaf", "leaf", "result", "parameter", "subclass_leaf", "frozen"] if dtype in FLOATS else ["frozen"])
    return {"dtype": dtype, "sizes": sizes, "strides": strides, "offset": offset, "stored": reach,
            "pattern": [v if isinstance(v, (bool, int)) else v.hex() for v in pattern], "kind": rng.choice(kinds), "options": draw_options(rng),
            "default": rng.choice(("float32",) * 6 + ("float64",)), "show": rng.choice(("repr", "repr", "str", "format"))}


# ---- answers -------------------------------------------------------------------------------------------------------------


def build(lib, case):
    pattern = [float.fromhex(v) if isinstance(v, str) else v for v in case["pattern"]]
    values = [pattern[i % len(pattern)] for i in range(case["stored"])]
    line = lib.tensor(values, dtype=lib.float64 if case["dtype"] in FLOATS else lib.int64).to(getattr(lib, case["dtype"]))
    return line.as_strided(case["sizes"], case["strides"], case["offset"])


class Kinds:
    """The subclasses of one library's Tensor, made once."""

    made = {}

    @classmethod
    def of(cls, lib):
        if lib not in cls.made:
            cls.made[lib] = type("Mine", (lib.Tensor,), {})
        return cls.made[lib]


def dressed(lib, case):
    t, kind = build(lib, case), case["kind"]
    if kind in ("leaf", "subclass_leaf"):
        t = t.detach().requires_grad_()
    if kind == "result":
        t = t.detach().requires_grad_() * 1
    if kind in ("parameter", "frozen"):
        return lib.nn.Parameter(t, kind == "parameter")
    return t.as_subclass(Kinds.of(lib)) if kind.startswith("subclass") else t


def evaluate(lib, case):
    """One library's text."""
    lib.set_printoptions(profile="default")
    lib.set_printoptions(sci_mode=None)
    before = lib.get_default_dtype()
    try:
        lib.set_default_dtype(getattr(lib, case["default"]))
        t = dressed(lib, case)
        lib.set_printoptions(**case["options"])
        if case["kind"] == "plain_in_list":
            return repr([t, (t,)])
        return {"repr": repr, "str": str, "format": "{}".format}[case["show"]](t)
    except Exception as e:
        return f"{type(e).__name__}: {str(e).split('.')[0]}"
    finally:
        lib.set_default_dtype(before)
        lib.set_printoptions(profile="default")


# ---- the program -----------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--record", help="writes PyTorch's answers to this file")
    a = parser.parse_args()
    import torch
    import wengert

    rng, failed, answers = random.Random(a.seed), 0, []
    for _ in range(a.count):
        case = make_case(rng)
        want, got = evaluate(torch, case), evaluate(wengert, case)
        answers.append([case, want])
        if want != got:
            failed += 1
            print(f"case {json.dumps(case)}\n--- PyTorch\n{want}\n--- Wengert\n{got}")
    if a.record:
        script = pathlib.Path(__file__).resolve()
        head = {"torch": torch.__version__, "script": "tools/conformance_repr.py", "sha256": hashlib.sha256(script.read_bytes()).hexdigest(),
                "seed": a.seed, "cases": answers}
        pathlib.Path(a.record).write_text(json.dumps(head, separators=(",", ":")))
    print(f"repr: {a.count - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
