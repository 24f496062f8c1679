#!/usr/bin/env python3
"""Records what PyTorch's repr prints for random tensors: tests/golden/data/print.bin, read by tests/core/test_print.c.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_print.py [OUTPUT]

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then little-endian:
u32 number of cases; per case
  u8 dtype, u8 default dtype (codes of wg_dtype), u8 ndim, u8 flags (1 requires_grad, 2 tangent, 4 options)
  i32 sizes[ndim], i32 strides[ndim], u32 offset (elements)
  u32 stored elements, u32 pattern elements, pattern bytes: stored element i is pattern[i mod pattern elements]
  options: i32 precision, f64 threshold, i32 edgeitems, i32 linewidth, u8 sci_mode (0 auto, 1 on, 2 off)
  u8 length + name of grad_fn (length 0: none)
  tangent: raw bytes, row-major, same shape and dtype
  u16 length + the text
"""
import hashlib
import math
import os
import random
import struct
import sys

import torch
import torch.autograd.forward_ad as forward_ad

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64]
FLOATS = DTYPES[6:]
CASES = 3400
MAX_BYTES = 1_450_000

rnd = random.Random(20260101)


def raw(t):
    """The bytes of a contiguous tensor."""
    return t.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""


def float_values(n):
    kind = rnd.randrange(12)
    special = [math.nan, math.inf, -math.inf, 0.0, -0.0]

    def one():
        if kind == 0:
            return float(rnd.randint(-20, 20))
        if kind == 1:
            return rnd.uniform(-1, 1)
        if kind == 2:
            return rnd.gauss(0, 1) * 10 ** rnd.randint(-3, 3)
        if kind == 3:
            return rnd.choice([-1, 1]) * 10 ** rnd.uniform(-12, 12)
        if kind == 4:
            return rnd.choice(special + [1.0, 2.5])
        if kind == 5:
            return float(rnd.randint(-10 ** 9, 10 ** 9))
        if kind == 6:
            return rnd.choice([1e8, 1e-4, 1000.0, 1.0, 1001.0, 99999.0, 0.5])
        if kind == 7:
            return rnd.choice([1e-300, 1e-320, 1e300, -1e-44, 6e-8, 65504.0, 3e38])
        if kind == 8:
            return rnd.choice([0.00009999, 0.0001, 0.99995, 9.99995, 99.99995, 0.00005])
        if kind == 9:
            return rnd.uniform(0, 1000)
        if kind == 10:
            return 0.0 if rnd.random() < 0.7 else rnd.uniform(-5, 5)
        return float(2 ** rnd.randint(-20, 20))

    return [rnd.choice(special) if rnd.random() < 0.02 else one() for _ in range(n)]


def int_values(n, dtype):
    if dtype == torch.bool:
        return [rnd.random() < 0.5 for _ in range(n)]
    info = torch.iinfo(dtype)
    low, high = rnd.choice([(0, 9), (-9, 9), (-100, 1000), (info.min, info.max)])
    low, high = max(low, info.min), min(high, info.max)
    return [rnd.randint(low, high) for _ in range(n)]


def values(n, dtype):
    data = float_values(n) if dtype.is_floating_point else int_values(n, dtype)
    return torch.tensor(data, dtype=torch.float64 if dtype.is_floating_point else dtype).to(dtype)


def shape():
    kind = rnd.random()
    ndim = rnd.choice([0, 1, 1, 2, 2, 3, 4])
    if kind < 0.6:
        return [rnd.randint(1, 4) for _ in range(ndim)]
    if kind < 0.68:
        return [rnd.randint(0, 3) for _ in range(ndim)]
    if kind < 0.86:
        return [rnd.randint(1, 40)] if rnd.random() < 0.6 else [rnd.randint(1, 4), rnd.randint(1, 25)]
    big = {1: [rnd.randint(900, 20000)], 2: [rnd.randint(1, 120), rnd.randint(1, 160)],
           3: [rnd.randint(1, 30) for _ in range(3)], 4: [rnd.randint(1, 12) for _ in range(4)]}
    return big[rnd.randint(1, 4)]


def tensor(dtype):
    """A tensor and the pattern that its storage repeats."""
    sizes = shape()
    numel = math.prod(sizes)
    if numel > 200:
        pattern = values(rnd.choice([7, 13, 31, 97]), dtype)
        flat = pattern.repeat(numel // pattern.numel() + 1)[:numel].clone()
        return flat.view(sizes), pattern
    form = rnd.random()
    if form < 0.7 or not sizes or numel == 0:
        flat = values(numel, dtype)
        return flat.view(sizes), flat
    if form < 0.85:  # transposed
        flat = values(numel, dtype)
        return flat.view(sizes[::-1]).permute(*range(len(sizes) - 1, -1, -1)), flat
    if form < 0.95:  # every second column, from the second on
        flat = values(numel * 2, dtype)
        return flat.view(sizes[:-1] + [sizes[-1] * 2])[..., 1::2], flat
    flat = values(1, dtype)
    return flat.view([1] * len(sizes)).expand(sizes), flat


def random_options():
    return {"precision": rnd.randint(0, 8), "threshold": rnd.choice([0, 5, 20, 100, 1000, 12.5, math.inf]),
            "edgeitems": rnd.choice([0, 1, 2, 3, 4, 7]), "linewidth": rnd.choice([5, 20, 40, 60, 79, 80, 81, 100, 200]),
            "sci_mode": rnd.choice([None, None, True, False])}


def with_history(t):
    """t with requires_grad or a grad_fn; its elements and strides stay."""
    kind = rnd.random()
    if kind < 0.5:
        return t.detach().requires_grad_()
    leaf = torch.zeros((), dtype=t.dtype, requires_grad=True)
    y = rnd.choice([lambda x: x + leaf, lambda x: x * (leaf + 1), lambda x: torch.where(leaf > 1, leaf, x),
                    lambda x: (x + leaf).view(x.shape), lambda x: (x + leaf).exp(),
                    lambda x: (x + leaf).log_softmax(0)])
    return y(t)


def text_of(t, tangent, options, default_dtype):
    torch.set_default_dtype(default_dtype)
    torch.set_printoptions(profile="default")
    if options:
        torch.set_printoptions(**options)
    with forward_ad.dual_level():
        shown = t if tangent is None else forward_ad.make_dual(t, tangent)
        text, grad_fn = repr(shown), shown.grad_fn
    torch.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)
    return text.encode(), type(grad_fn).__name__ if grad_fn is not None else ""


def case():
    dtype = rnd.choice(DTYPES + FLOATS + [torch.float32] * 3)
    t, pattern = tensor(dtype)
    options = random_options() if rnd.random() < 0.25 else None
    default_dtype = rnd.choice([torch.float32] * 12 + [torch.float64, torch.float16, torch.bfloat16])
    small, offset, tangent = t.numel() <= 200, t.storage_offset(), None
    if dtype.is_floating_point and small and rnd.random() < 0.35:
        t = with_history(t)
        if t.grad_fn is not None:
            t_flat = t.detach().contiguous().view(-1)
            pattern, offset = t_flat.clone(), 0
            if not t.is_contiguous():
                return None
        if rnd.random() < 0.15 and t.dim() < 3 and (t.numel() < 2 or 0 not in t.stride()):
            tangent = values(t.numel(), dtype).view(t.shape)
    text, name = text_of(t, tangent, options, default_dtype)
    if len(text) > 6000 or (len(text) > 700 and rnd.random() < 0.85):
        return None
    if options and options["threshold"] == math.inf and t.numel() > 3000:
        return None
    flags = (1 if t.requires_grad else 0) | (2 if tangent is not None else 0) | (4 if options else 0)
    stored = t.numel() if t.numel() > 200 or t.grad_fn is not None else pattern.numel()
    out = struct.pack("<4B", DTYPES.index(dtype), DTYPES.index(default_dtype), t.dim(), flags)
    out += struct.pack(f"<{2 * t.dim()}i", *t.shape, *t.stride())
    out += struct.pack("<3I", offset, stored, pattern.numel()) + raw(pattern)
    if options:
        sci = {None: 0, True: 1, False: 2}[options["sci_mode"]]
        out += struct.pack("<idiiB", options["precision"], options["threshold"], options["edgeitems"],
                           options["linewidth"], sci)
    out += struct.pack("<B", len(name)) + name.encode()
    if tangent is not None:
        out += raw(tangent)
    return out + struct.pack("<H", len(text)) + text


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here), "../tests/golden/data/print.bin")
    cases = []
    while len(cases) < CASES:
        c = case()
        if c:
            cases.append(c)
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden print 1\nproducer pytorch {torch.__version__}\nscript tools/{os.path.basename(here)}\n"
              f"sha256 {digest}\n\n")
    data = header.encode() + struct.pack("<I", len(cases)) + b"".join(cases)
    if len(data) > MAX_BYTES:
        sys.exit(f"{len(data)} bytes are more than {MAX_BYTES}")
    with open(output, "wb") as f:
        f.write(data)
    print(f"{len(cases)} cases, {len(data)} bytes in {os.path.normpath(output)}")


if __name__ == "__main__":
    main()
