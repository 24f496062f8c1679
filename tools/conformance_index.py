#!/usr/bin/env python3
"""Indexing held against PyTorch and NumPy: random x[key] and x[key] = value, evaluated by both libraries.

    python tools/conformance_index.py --seed 1 --count 20000
    python tools/conformance_index.py --seed 7 --count 1500 --record tests/python/data/index.json

It needs wengert, torch and numpy in one interpreter. Compared are values, shape, strides, offset, dtype, whether the
storage is shared, the chain of grad_fn names, gradients, versions, warnings, and for errors the exception's type and
first sentence. A case is plain data (make_case) and evaluate asks one library for its answer, so that
tests/python/test_index.py can replay recorded answers without PyTorch. Gets with basic keys are compared with NumPy as
well.
"""
import argparse
import hashlib
import json
import random
import re
import sys
import warnings

FLOATS = ("float32", "float64", "float16", "bfloat16")
DTYPES = ("float32",) * 8 + ("float64", "float64", "int64", "int64", "int32", "uint8", "bool", "float16", "bfloat16",
                             "int8", "int16")
# What few keys hold, and few values.
ODD_PARTS = (
    "0.5", "'a'", "b'ab'", "{}", "1j", "T([0.5], 'float32')", "T([0], 'int8')", "np.float32(1)", "np.bool_(True)",
    "[1.0, 0]", "[0, 'a']", "[None]", "[{}]", "2**70", "[2**70]", "np.array([0.0])", "[[0], [0, 1]]", "object", "[]",
    "T(0.5, 'float64')", "slice(0.5, None)", "slice('a', None)", "[True, 0]", "T([], 'int64')", "[T(0, 'int64')]",
    "[[]]", "set()")
ODD_VALUES = (
    "300", "1e30", "float('nan')", "2**70", "np.float32(1)", "np.float64(2.5)", "np.int64(3)", "np.bool_(True)", "[1]",
    "None", "'a'", "1j", "np.array(1.0)", "float('inf')", "-300", "1+0j")

# ---- cases -----------------------------------------------------------------------------------------------------------


class Maker:
    """Draws one key for a tensor of a given shape, part by part, as Python source."""

    def __init__(self, rng, shape):
        self.rng, self.shape, self.at, self.basic = rng, shape, 0, True
        self.common = [rng.randint(1, 3) for _ in range(rng.choice((1, 1, 1, 2)))]

    def chance(self, p):
        return self.rng.random() < p

    def size(self):
        return self.shape[self.at] if self.at < len(self.shape) else self.rng.randint(1, 3)

    def position(self, size):
        if self.chance(0.015) or size == 0:
            return self.rng.choice((size, -size - 1, 7, -9))
        return self.rng.randint(-size, size - 1)

    def whole_number(self):
        size = self.size()
        self.at += 1
        i = self.position(size)
        if self.chance(0.06):
            self.basic = False
            return self.rng.choice((f"np.int64({i})", f"T({i}, 'int64')", f"T({i}, 'int32')", f"np.array({i})",
                                    f"Index({i})", f"T({i}, 'int16')"))
        return str(i)

    def bound(self, size):
        if self.chance(0.35):
            return "None"
        i = self.rng.randint(-size - 2, size + 2)
        if self.chance(0.03):
            self.basic = False
            return self.rng.choice((f"T({i}, 'int64')", f"np.int64({i})"))
        return str(i)

    def cut(self):
        size = self.size()
        self.at += 1
        if self.chance(0.35):
            return "slice(None)"
        step = self.rng.choice(("None", "None", "1", "2", "3", "5"))
        if self.chance(0.02):
            self.basic = False
            step = self.rng.choice(("0", "-1", "-2"))
        return f"slice({self.bound(size)}, {self.bound(size)}, {step})"

    def index_shape(self):
        shape = [n if self.chance(0.8) else 1 for n in self.common]
        shape = shape[self.rng.randint(0, len(shape) - 1):] if self.chance(0.3) else shape
        if self.chance(0.02):
            shape[-1] = self.rng.choice((0, 2, 4))
        return shape

    def nested(self, shape, draw):
        return draw() if not shape else [self.nested(shape[1:], draw) for _ in range(shape[0])]

    def positions(self):
        size = self.size()
        self.at += 1
        values = self.nested(self.index_shape(), lambda: self.position(size))
        if size == 0 and self.chance(0.7):
            values = []
        kind = self.rng.choice(("T", "T", "T", "T32", "list", "list", "np", "tuple", "range", "Tt"))
        if kind == "T":
            return f"T({values}, 'int64')"
        if kind == "T32":
            return f"T({values}, 'int32')"
        if kind == "Tt" and values and isinstance(values[0], list) and values[0]:
            return f"T({[list(r) for r in zip(*values)]}, 'int64').t()"
        if kind == "np":
            return f"np.array({values}, 'int64')"
        if kind == "tuple" and not isinstance(values[0] if values else 0, list):
            return repr(tuple(values))
        if kind == "range" and size:
            return f"range({self.rng.randint(0, size)})"
        return repr(values)

    def mask(self):
        dims = self.rng.choice((1, 1, 1, 2, 2, 3, 0))
        dims = min(dims, len(self.shape) - self.at)
        shape = list(self.shape[self.at:self.at + dims])
        if shape and self.chance(0.03):
            shape[self.rng.randrange(len(shape))] += 1
        self.at += dims
        if any(n == 0 for n in shape):
            return f"(R({shape}, 'int64') > 0)"
        values = self.nested(shape, lambda: self.chance(0.5))
        kind = self.rng.choice(("T",) * 6 + ("list", "np", "byte"))
        if kind == "byte":
            return f"T({json.dumps(values).replace('true', '1').replace('false', '0')}, 'uint8')"
        if kind == "np":
            return f"np.array({values})"
        return repr(values) if kind == "list" and dims == 1 else f"T({values}, 'bool')"

    def odd(self):
        self.at += 1
        return self.rng.choice(ODD_PARTS)

    def part(self):
        kinds = {self.whole_number: 28, self.cut: 30, self.positions: 16, self.mask: 7, self.odd: 0.7}
        r = self.rng.random() * 100
        if r < 6:
            return "None"
        if r < 8.5:
            self.basic = False
            return self.rng.choice(("True", "True", "False", "T(True, 'bool')", "T(False, 'bool')", "T(1, 'uint8')"))
        made = self.rng.choices(list(kinds), list(kinds.values()))[0]
        if made not in (self.whole_number, self.cut):
            self.basic = False
        return made()

    def parts(self):
        want = self.rng.choice([len(self.shape), self.rng.randint(0, len(self.shape) + 1)])
        made, dots = [], self.chance(0.25)
        at_dots = self.rng.randint(0, want) if dots else -1
        while self.at < want:
            if len(made) == at_dots:
                made.append("...")
                rest = self.rng.randint(0, max(0, len(self.shape) - self.at))
                self.at, want = self.at + rest, max(want, self.at + rest)
                continue
            made.append(self.part())
            if len(made) > 7:
                break
        if self.chance(0.01):
            made.insert(self.rng.randint(0, len(made)), "...")
            self.basic = False
        return made

    def key(self):
        made = self.parts()
        if len(made) == 1 and self.chance(0.7):
            return made[0]
        text = ", ".join(made)
        if made and self.chance(0.02):
            self.basic = False
            return f"[{text}]"
        return f"({text},)" if made else "()"


def draw_layout(rng, shape):
    """Ops that make another layout of the same elements, and the shape that results."""
    steps, shape = [], list(shape)
    if len(shape) > 1 and rng.random() < 0.25:
        order = list(range(len(shape)))
        rng.shuffle(order)
        steps.append(["permute", order])
        shape = [shape[d] for d in order]
    if shape and rng.random() < 0.12:
        d = rng.randrange(len(shape))
        start = rng.randint(0, 1)
        steps.append(["slice", d, start, 2])
        shape[d] = max(0, (shape[d] - start + 1) // 2)
    if rng.random() < 0.04 and 1 in shape:
        d = shape.index(1)
        shape[d] = 2
        steps.append(["expand", list(shape)])
    return steps, shape


def draw_value(rng, shape, dtype):
    """shape: of what the key leads to, None when it leads nowhere."""
    numbers = ["1.5", "2", "True", "-1", "0"]
    if shape is None or rng.random() < 0.4:
        return rng.choice(ODD_VALUES if rng.random() < 0.12 else numbers)
    d = dtype if rng.random() < 0.85 else rng.choice(("float64", "float32", "int64", "uint8", "bool"))
    shape = list(shape)
    r = rng.random()
    if r < 0.15:
        shape = []
    elif r < 0.35:
        shape = shape[rng.randint(0, len(shape)):]
    elif r < 0.5:
        shape = [n if rng.random() < 0.6 else 1 for n in shape]
    elif r < 0.6:
        shape = [1] * rng.randint(1, 2) + shape
    elif r < 0.64 and shape:
        shape[rng.randrange(len(shape))] += rng.choice((1, 2))
    grad = d in FLOATS and rng.random() < 0.4
    return f"R({shape}, '{d}'{', True' if grad else ''})"


def make_case(rng, result_shape):
    dims = rng.choice((0, 1, 1, 2, 2, 3, 3, 3, 4))
    shape = [rng.choice((1, 2, 2, 3, 3, 4, 5) if rng.random() < 0.96 else (0,)) for _ in range(dims)]
    dtype = rng.choice(DTYPES)
    layout, seen = draw_layout(rng, shape)
    maker = Maker(rng, seen)
    case = {"shape": shape, "dtype": dtype, "layout": layout, "key": maker.key(), "mode": "plain"}
    if dtype in FLOATS and rng.random() < 0.8:
        expanded = any(step[0] == "expand" for step in layout)
        case["mode"] = rng.choice(("leaf", "clone", "clone", "clone" if expanded else "view"))
    if rng.random() < 0.5:
        case["value"] = draw_value(rng, result_shape(case), dtype)
        if "j" in case["value"]:
            case["mode"] = "plain"
    elif maker.basic and not any(step[0] == "expand" for step in layout):
        case["basic"] = True
    return case


# ---- answers ---------------------------------------------------------------------------------------------------------


class Index:
    def __init__(self, i):
        self.i = i

    def __index__(self):
        return self.i


def names(lib, np):
    """What the source of keys and values may name."""
    def tensor(data, dtype):
        return lib.tensor(data, dtype=getattr(lib, dtype))

    def counted(shape, dtype, grad=False):
        n = 1
        for s in shape:
            n *= s
        t = lib.tensor([(i * 5 + 3) % 64 for i in range(n)], dtype=lib.float32).to(getattr(lib, dtype)).reshape(shape)
        return t.requires_grad_() if grad else t

    return {"T": tensor, "R": counted, "np": np, "Index": Index}


def lay_out(t, steps):
    for step in steps:
        if step[0] == "permute":
            t = t.permute(step[1])
        elif step[0] == "expand":
            t = t.expand(step[1])
        else:
            t = t[(slice(None),) * step[1] + (slice(step[2], None, step[3]),)]
    return t


def flat(t):
    """Values, or a checksum of many."""
    v = [x if isinstance(x, bool) or x == x and abs(x) != float("inf") else str(x) for x in t.reshape(-1).tolist()]
    v = [int(x) if isinstance(x, (bool, float)) and x == int(x) else x for x in v]
    if len(v) <= 12:
        return v
    numbers = [x if not isinstance(x, str) else 77 for x in v]
    return [len(v), sum(x * (i % 97 + 1) for i, x in enumerate(numbers))]


def described(t):
    return {"shape": list(t.shape), "stride": list(t.stride()), "offset": t.storage_offset(),
            "dtype": str(t.dtype).split(".")[1], "v": flat(t)}


def chain(t):
    out, g = [], t.grad_fn
    while g is not None and len(out) < 8:
        out.append(g.name().replace("torch::autograd::", ""))
        g = g.next_functions[0][0] if g.next_functions else None
    return " ".join(out)


def weights(lib, t):
    n = 1
    for s in t.shape:
        n *= s
    return lib.tensor([i % 7 + 1 for i in range(n)], dtype=lib.float32).to(t.dtype).reshape(tuple(t.shape))


def first_address(t):
    return t.data_ptr() - t.storage_offset() * t.element_size()


def start(lib, env, case):
    """The leaf, the tensor that is looked at after a write, and the one that the key is applied to."""
    mode = case["mode"]
    leaf = env["R"](case["shape"], case["dtype"])
    if mode != "plain":
        leaf.requires_grad_()
    if mode == "clone" and "value" in case:
        x = lay_out(leaf, case["layout"]).clone()
        return leaf, x, x
    base = leaf.clone() if mode == "view" else leaf
    return leaf, base, lay_out(base, case["layout"])


def read(lib, env, case, leaf, x, key):
    r = x[key]
    got = described(r)
    got["shares"] = r.numel() > 0 and first_address(r) == first_address(x)
    got["fn"] = chain(r)
    if got["fn"]:
        r.backward(weights(lib, r))
        got["grad"] = flat(leaf.grad)
    return got


def write(lib, env, case, leaf, base, x, key):
    value = eval(case["value"], env)
    x[key] = value
    got = {"v": flat(base), "version": getattr(base, "_version", None), "stride": list(x.stride()), "fn": chain(base)}
    if x is not base:
        got["view"] = chain(x)
    if got["fn"]:
        base.backward(weights(lib, base))
        got["grad"] = flat(leaf.grad) if leaf.grad is not None else None
        if getattr(value, "requires_grad", False) is True:
            got["vgrad"] = flat(value.grad) if value.grad is not None else None
    return got


def first_sentence(text):
    return re.split(r"\.\s|\n", text.strip() + " ")[0].strip().rstrip(".")


def evaluate(lib, np, case):
    """One library's answer to a case."""
    env = names(lib, np)
    leaf, base, x = start(lib, env, case)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            key = eval(case["key"], env)
            del caught[:]
            got = write(lib, env, case, leaf, base, x, key) if "value" in case else read(lib, env, case, leaf, x, key)
        except Exception as e:
            got = {"error": type(e).__name__, "text": first_sentence(str(e))}
    said = [first_sentence(str(w.message)) for w in caught if "complex" not in str(w.message)]
    if said:
        got["warns"] = sorted(set(said))
    return got


def with_numpy(np, case, got):
    """What NumPy's view of the same elements has: shape, strides, values."""
    n = 1
    for s in case["shape"]:
        n *= s
    dtype = {"bfloat16": "float32"}.get(case["dtype"], case["dtype"])
    a = np.array([(i * 5 + 3) % 64 for i in range(n)], "float32").astype(dtype).reshape(case["shape"])
    for step in case["layout"]:
        if step[0] == "permute":
            a = a.transpose(step[1])
        else:
            a = a[(slice(None),) * step[1] + (slice(step[2], None, step[3]),)]
    try:
        r = a[eval(case["key"], {"np": np})]
    except IndexError:
        return got.get("error") == "IndexError"
    if "error" in got:
        return False
    values = [int(v) for v in np.asarray(r).reshape(-1)]
    if len(values) > 12:
        values = [len(values), sum(v * (i % 97 + 1) for i, v in enumerate(values))]
    strides = [s // a.itemsize for s in np.asarray(r).strides]
    moved = [d for d in range(len(got["shape"])) if got["shape"][d] > 1 and r.size]
    return (list(np.shape(r)) == got["shape"] and values == got["v"] and
            all(strides[d] == got["stride"][d] for d in moved if isinstance(r, np.ndarray)))


# ---- the program -----------------------------------------------------------------------------------------------------


def shape_finder(torch, np):
    def find(case):
        try:
            env = names(torch, np)
            x = lay_out(env["R"](case["shape"], case["dtype"]), case["layout"])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(x[eval(case["key"], env)].shape)
        except Exception:
            return None
    return find


def show(case, want, got):
    print("case", json.dumps(case))
    for k in sorted(set(want) | set(got)):
        if want.get(k) != got.get(k):
            print(f"    {k}: PyTorch {want.get(k)!r}, Wengert {got.get(k)!r}")


# Where PyTorch's answer is an accident: index_fill_ of a dim of size 0 fails inside, a dim past the last is read from
# whatever lies there, a complex number is named after the type in between, and a tensor as a bound of a slice with
# step 0 breaks it.
ACCIDENTS = ("<method '__index__' of", "setStorage: ", "Dimension out of range",
             "value cannot be converted to type double without overflow")


def accident(case, want, got):
    past = case["key"].count("...") > 1 and "is out of bounds" in want.get("text", "")
    return "error" in got and (past or want.get("text", "").startswith(ACCIDENTS))


def run(seed, count, shown):
    import numpy as np
    import torch
    import wengert
    rng, find = random.Random(seed), shape_finder(torch, np)
    cases, passed, failed, basic, basic_failed, excused = [], 0, 0, 0, 0, 0
    for _ in range(count):
        case = make_case(rng, find)
        want = evaluate(torch, np, case)
        got = evaluate(wengert, np, case)
        if want != got and accident(case, want, got):
            excused += 1
            continue
        cases.append([case, want])
        if want == got:
            passed += 1
        else:
            failed += 1
            if failed <= shown:
                show(case, want, got)
        if case.pop("basic", False):
            basic += 1
            if not with_numpy(np, case, got):
                basic_failed += 1
                print("NumPy differs:", json.dumps(case), got)
    print(f"{passed} passed, {failed} failed" + (f" ({excused} more: accidents of PyTorch)" if excused else ""))
    print(f"against NumPy: {basic - basic_failed} passed, {basic_failed} failed")
    return cases, failed + basic_failed


def digest():
    with open(__file__, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def record(path, cases, seed):
    import torch
    head = {"torch": torch.__version__, "script": "tools/conformance_index.py", "sha256": digest(), "seed": seed}
    with open(path, "w") as f:
        f.write(json.dumps(head)[:-1] + ', "cases": [\n')
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
        f.write("\n]}\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--show", type=int, default=20, help="how many differences to print")
    p.add_argument("--record", help="write the cases with PyTorch's answers to this file")
    a = p.parse_args()
    cases, failed = run(a.seed, a.count, a.show)
    if a.record:
        record(a.record, cases, a.seed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
