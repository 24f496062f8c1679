#!/usr/bin/env python3
"""Records how PyTorch makes tensors from numbers and converts elements: tests/golden/data/create.bin, read by
tests/golden/test_create.c.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_create.py [OUTPUT]

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then little-endian:
  u32 number of calls; per call u8 function (order of FUNCTIONS), u8 default dtype, u8 dtype (codes of wg_dtype; 255:
  not given), u8 number of arguments; per argument u8 dtype (int64, float64 or bool), 8 bytes; then the result:
    u8 dtype, u8 ndim, i32 sizes[ndim], row-major elements
    or u8 255, u8 exception (codes of wg_status), u8 length, the first sentence of its text
  u32 number of conversions; per conversion u8 from, u8 to, u16 number of elements, the elements, the converted ones
"""
import hashlib
import math
import os
import random
import struct
import sys

import torch

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64]
FLOATS = DTYPES[6:]
ERRORS = {RuntimeError: 1, TypeError: 2, ValueError: 3, IndexError: 4, NotImplementedError: 5, ZeroDivisionError: 6}
torch.set_num_threads(1)


def options(dtype):
    return {} if dtype is None else {"dtype": dtype}


def filled(dtype):
    return torch.ones(3, dtype=dtype or torch.get_default_dtype())


MASK = torch.tensor([True, False, True])
FUNCTIONS = {
    "arange": lambda d, *a: torch.arange(*a, **options(d)),
    "linspace": lambda d, *a: torch.linspace(*a, **options(d)),
    "eye": lambda d, *a: torch.eye(*a, **options(d)),
    "full": lambda d, x: torch.full((3,), x, **options(d)),
    "full_like": lambda d, x: torch.full_like(filled(d), x),
    "fill_": lambda d, x: filled(d).fill_(x),
    "where": lambda d, x: torch.where(MASK, filled(d), x),
    "masked_fill": lambda d, x: filled(d).masked_fill(MASK, x),
    "add": lambda d, x: filled(d) + x,
    "mul": lambda d, x: filled(d) * x,
    "eq": lambda d, x: filled(d) == x,
}
NUMBERS = [0, 1, -1, 300, 127, 128, -128, -129, 255, 256, -255, -256, 70000, 2 ** 31, -2 ** 31 - 1, 2 ** 63 - 1,
           -2 ** 63, 0.0, 2.5, -2.5, 0.3, 65504.0, 65519.0, 65520.0, 1e6, 3.4028235e38, 3.4028236e38, 1e300, math.nan,
           math.inf, -math.inf, True, False]


def raw(t):
    return t.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""


def number(x):
    if isinstance(x, bool):
        return struct.pack("<Bq", 0, x)
    return struct.pack("<Bq", 5, x) if isinstance(x, int) else struct.pack("<Bd", 9, x)


def first_sentence(e):
    return str(e).split("\n")[0].split(". ")[0][:200].encode()


def result(call):
    try:
        t = call()
    except Exception as e:
        text = first_sentence(e)
        return struct.pack("<3B", 255, ERRORS[type(e)], len(text)) + text
    return struct.pack(f"<2B{t.dim()}i", DTYPES.index(t.dtype), t.dim(), *t.shape) + raw(t)


def call(name, args, dtype=None, default=torch.float32):
    torch.set_default_dtype(default)
    out = struct.pack("<4B", list(FUNCTIONS).index(name), DTYPES.index(default),
                      255 if dtype is None else DTYPES.index(dtype), len(args))
    out += b"".join(number(x) for x in args) + result(lambda: FUNCTIONS[name](dtype, *args))
    torch.set_default_dtype(torch.float32)
    return out


def sequences():
    spans = [(0, 5, 1), (2, 11, 3), (5, 0, -1), (5, 0, -2), (0, 0, 1), (3, 3, -1), (0, 1, 1), (-3, 4, 2), (0, 100, 1),
             (0, 1, 0.1), (1, 2.5, 0.5), (0, 1, 0.3), (5, 0, -1.5), (0, 5, 2.5), (0.5, 5, 1), (0, 5.0, 1), (1, 0, -0.1),
             (0, 10, 0.1), (0, 33, 0.7), (-1, 1, 0.01), (2.5, 7.25, 1), (-0.5, 0.5, 0.25), (0, 64, 1.0), (0, 120, 7),
             (0, -1, 1), (0, 1, -1), (0, 5, 0), (0, 1.5, 0), (0, math.nan, 1), (math.nan, 1, 1), (0, math.inf, 1),
             (-math.inf, 0, 1), (0.0, 5, math.nan), (True, 5, 1), (2 ** 53, 2 ** 53 + 4, 1),
             (-2 ** 63, -2 ** 63 + 3, 1), (0, 4, 0.999999), (0, 1e-30, 1e-31), (0, 1e20, 1e19), (0, 1e30, 1e-30),
             (0, 2 ** 62, 1)]
    for span in spans:
        for dtype in [None] + DTYPES:
            if span[1] != 2 ** 62:
                yield call("arange", span, dtype)
        yield call("arange", span, None, torch.float64) if span[1] != 2 ** 62 else call("arange", (0, 2, 1))
    rnd = random.Random(5)
    for _ in range(150):
        a, n = rnd.uniform(-50, 50), rnd.uniform(0, 90)
        step = rnd.choice([-1, 1]) * rnd.uniform(0.1, 3)
        yield call("arange", (a, a + n * step, step), rnd.choice([None] + FLOATS), rnd.choice(FLOATS))


def spaces():
    spans = [(0.0, 1.0, 10), (0.0, 1.0, 0), (0.0, 1.0, 1), (0.0, 1.0, 2), (0.0, 1.0, 3), (-3.0, 7.0, 101),
             (5.0, -5.0, 8), (2.0, 2.0, 5), (0.1, 0.9, 33), (0.0, 1e30, 7), (-1e-30, 1e-30, 9), (0.0, 1.0, -1),
             (0.0, math.inf, 3), (math.nan, 1.0, 3), (-128.0, 127.0, 256), (0.0, 10.0, 4), (-5.5, 5.5, 12), (1.0, 2.0, 64),
             (3.0, -3.0, 65)]
    for span in spans:
        for dtype in [None] + DTYPES:
            whole = dtype is not None and not dtype.is_floating_point
            if whole and not all(math.isfinite(x) and abs(x) < 100 for x in span[:2]):
                continue
            yield call("linspace", span, dtype)
        yield call("linspace", span, None, torch.float64)
    rnd = random.Random(6)
    for _ in range(150):
        span = (rnd.uniform(-50, 50), rnd.uniform(-50, 50), rnd.randint(1, 90))
        yield call("linspace", span, rnd.choice([None] + FLOATS), rnd.choice(FLOATS))


def others():
    for args in [(3,), (0,), (1,), (2, 4), (4, 2), (0, 3), (3, 0), (-1,), (-2, 3)]:
        for dtype in [None] + DTYPES:
            yield call("eye", args, dtype)
    for name in list(FUNCTIONS)[3:]:
        for x in NUMBERS:
            for dtype in ([None] if name == "full" else []) + DTYPES:
                yield call(name, (x,), dtype)
    for default in FLOATS:
        for x in NUMBERS:
            yield call("full", (x,), None, default)


def special(dtype):
    rnd = random.Random(7)
    if dtype == torch.bool:
        return torch.tensor([True, False])
    if dtype.is_floating_point:
        edges = [0.0, 0.5, 0.9, 1.0, 1.5, 2.5, 3.5, 127.0, 127.5, 128.0, 129.0, 255.0, 255.9, 256.0, 300.0, 32767.0,
                 32768.0, 40000.0, 65504.0, 65519.9, 65520.0, 70000.0, 2147483520.0, 2147483647.0, 2147483648.0, 4e9,
                 1e10, 2.0 ** 53 + 2, 9.223372036854775e18, 2.0 ** 63, 2.0 ** 64, 1e20, 1e30, 3.4028234e38,
                 3.4028236e38, 1e39,
                 1e300, 6e-8, 2.9e-8, 3e-8, 1e-7, 1e-40, 1e-45, 5e-324, 1 / 3, 1.00390625, 1.01171875, 1.00048828125,
                 1.0014648437500002, math.inf, math.nan]
        edges += [rnd.uniform(-1, 1) * 10 ** rnd.randint(-9, 12) for _ in range(200)]
        return torch.tensor(edges + [-x for x in edges], dtype=torch.float64).to(dtype)
    info = torch.iinfo(dtype)
    edges = [0, 1, -1, 2, 7, 100, 127, 128, 129, 200, 255, 256, 257, 32767, 32768, 65519, 65520, 65535, 65536, 2 ** 24,
             2 ** 24 + 1, 2 ** 24 + 3, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 1, 2 ** 53 + 3, 2 ** 63 - 1]
    edges += [-x for x in edges] + [info.min, info.max] + [rnd.randint(info.min, info.max) for _ in range(100)]
    return torch.tensor([x for x in edges if info.min <= x <= info.max], dtype=dtype)


def conversions():
    """What PyTorch gives alone and in a long row; where the two differ the element is left out."""
    for source in DTYPES:
        x = special(source)
        for target in DTYPES:
            row = x.repeat(40)[: 32 * x.numel()].to(target)
            alone = torch.cat([x[i: i + 1].clone().to(target) for i in range(x.numel())])
            word = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[target.itemsize]
            same = (row.view(word).view(32, -1) == alone.view(word)).all(0)
            left_out = [v for v, s in zip(x.tolist(), same.tolist()) if not s]
            if left_out:
                print(f"{source} to {target}: PyTorch disagrees with itself for {left_out}")
            x_same, y_same = x[same], alone[same]
            head = struct.pack("<2BH", DTYPES.index(source), DTYPES.index(target), x_same.numel())
            yield head + raw(x_same) + raw(y_same)


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here),
                                                                "../tests/golden/data/create.bin")
    calls = [*sequences(), *spaces(), *others()]
    casts = list(conversions())
    data = struct.pack("<I", len(calls)) + b"".join(calls) + struct.pack("<I", len(casts)) + b"".join(casts)
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden create 1\nproducer pytorch {torch.__version__}\nscript tools/{os.path.basename(here)}\n"
              f"sha256 {digest}\n\n")
    with open(output, "wb") as f:
        f.write(header.encode() + data)
    print(f"{len(calls)} calls, {len(casts)} conversions, {len(data)} bytes in {os.path.normpath(output)}")


if __name__ == "__main__":
    main()
