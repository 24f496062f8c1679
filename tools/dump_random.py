#!/usr/bin/env python3
"""Records PyTorch's random streams: tests/golden/data/random.bin, read by tests/core/test_random.c.

Run with an interpreter that has torch (no part of the library or its tests needs it), on x86-64 with AVX2:
    python tools/dump_random.py [OUTPUT]

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then little-endian:
u32 functions; per function u8 length + name, u8 1 when its bits depend on the C library's functions
u32 seeds, u64 each; u32 sizes, u32 each
streams: per function, per seed: manual_seed(seed); per size one call, u32 CRC of the result's bytes (row-major);
         then u32 CRC of the generator's state
u32 seeds of the values, u64 each; u32 sizes of the values, u32 each
values:  per function without a layout (u8 1, else u8 0), per seed, per size: manual_seed(seed), one
         call, u32 count of bytes + bytes
"""
import hashlib
import os
import random
import struct
import sys
import zlib

import torch

F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, F16, BF16, F32, F64]
NAMES = {d: str(d).split(".")[1] for d in DTYPES}
FLOATS = DTYPES[6:]
SIZES = [1, 2, 3, 5, 7, 8, 15, 16, 17, 24, 31, 32, 33, 64, 100, 311, 312, 625, 1000, 1251]
VALUE_SEEDS = [0, 1, 42, 1234, 2 ** 32 + 5]
VALUE_SIZES = [3, 4, 5, 8, 10, 12, 15, 16, 17, 21]

rnd = random.Random(20260102)
SEEDS = [0, 1, 2, 42, 1234, 2 ** 32, 2 ** 32 + 1, 2 ** 63, 2 ** 64 - 1] + [rnd.getrandbits(64) for _ in range(41)]


LAYOUTS = {"transposed": lambda n, d: torch.empty(n, 3, dtype=d).t(),
           "columns": lambda n, d: torch.empty(3, 2 * n, dtype=d)[:, 1::2],
           "permuted": lambda n, d: torch.empty(2, n, 3, dtype=d).permute(2, 0, 1)[:, :, ::2]}


def fraction(n, dtype=F32):
    """Probabilities and weights that C makes the same way: exact integers over 101 in double, then the dtype."""
    return (torch.arange(n, dtype=F64) * 37 % 101 / 101).to(dtype)


def each(t):
    """t filled with a probability per element of its last dimension."""
    return t.bernoulli_(fraction(t.shape[-1]))


def rows(n, d):
    return torch.multinomial((fraction(3 * n, d) + 1).view(3, n), n)


def columns(n, d):
    return torch.multinomial((fraction(3 * n, d) + 1).view(n, 3).t(), n)


def functions():
    """(name, depends on libm, call with a size)."""
    out = []

    def add(name, call, libm=False):
        out.append((name, libm, call))

    for d in FLOATS:
        s, wide = NAMES[d], d == F64
        add(f"rand {s}", lambda n, d=d: torch.rand(n, dtype=d))
        add(f"randn {s}", lambda n, d=d: torch.randn(n, dtype=d), True)
        add(f"uniform_ -0.1 0.1 {s}", lambda n, d=d: torch.empty(n, dtype=d).uniform_(-0.1, 0.1))
        add(f"uniform_ 1000 1001 {s}", lambda n, d=d: torch.empty(n, dtype=d).uniform_(1000, 1001))
        add(f"normal_ 1.5 0.02 {s}", lambda n, d=d: torch.empty(n, dtype=d).normal_(1.5, 0.02), True)
        add(f"exponential_ 0.3 {s}", lambda n, d=d: torch.empty(n, dtype=d).exponential_(0.3), True)
        add(f"cauchy_ 1 2 {s}", lambda n, d=d: torch.empty(n, dtype=d).cauchy_(1, 2), True)
        add(f"log_normal_ 1 0.5 {s}", lambda n, d=d: torch.empty(n, dtype=d).log_normal_(1, 0.5), True)
        add(f"bernoulli {s}", lambda n, d=d: torch.bernoulli(fraction(n, d)))
        add(f"bernoulli_ tensor {s}", lambda n, d=d: torch.empty(n).bernoulli_(fraction(n, d)))
        add(f"normal mean {s}", lambda n, d=d: torch.normal(fraction(n, d), 0.5), True)
        add(f"normal std {s}", lambda n, d=d: torch.normal(0.1, fraction(n, d)), True)
        add(f"normal both {s}", lambda n, d=d: torch.normal(fraction(n, d), fraction(n, d)), True)
        add(f"multinomial replacement {s}", lambda n, d=d: torch.multinomial(fraction(n + 1, d), n + 1, True))
    # Equal quotients of float32 lie in whatever order PyTorch's sort leaves them: rows stay short enough to have none.
    for d in (F32, F64):
        s = NAMES[d]
        add(f"multinomial {s}", lambda n, d=d: torch.multinomial(fraction(n, d) + 1, (n + 1) // 2), True)
        add(f"multinomial rows {s}", lambda n, d=d: rows(min(n, 100), d), True)
        add(f"multinomial columns {s}", lambda n, d=d: columns(min(n, 100), d), True)
        add(f"multinomial one {s}", lambda n, d=d: torch.multinomial(fraction(n, d) + 1, 1, True), True)
    for d in DTYPES:
        s = NAMES[d]
        add(f"random_ {s}", lambda n, d=d: torch.empty(n, dtype=d).random_())
        add(f"bernoulli_ 0.3 {s}", lambda n, d=d: torch.empty(n, dtype=d).bernoulli_(0.3))
        if d != torch.bool:
            add(f"randint 10 100 {s}", lambda n, d=d: torch.randint(10, 100, (n,), dtype=d))
            add(f"geometric_ 0.2 {s}", lambda n, d=d: torch.empty(n, dtype=d).geometric_(0.2), True)
            add(f"randperm {s}", lambda n, d=d: torch.randperm(min(n, 120), dtype=d))
    for low, high in ((0, 2 ** 28 - 1), (0, 2 ** 28), (-5, 2 ** 33), (-2 ** 63, 2 ** 63 - 1)):
        add(f"randint {low} {high} int64", lambda n, a=low, b=high: torch.randint(a, b, (n,)))
    add("randint 0 1073741824 float32", lambda n: torch.randint(0, 2 ** 30, (n,), dtype=F32))
    add("randint -70 3000 float16", lambda n: torch.randint(-70, 3000, (n,), dtype=F16))
    add("uniform_ -0.5 0.5 float32", lambda n: torch.empty(n).uniform_(-0.5, 0.5))
    add("randint 0 100 int64", lambda n: torch.randint(0, 100, (n,)))
    add("randint 0 10 int64", lambda n: torch.randint(0, 10, (n,)))
    add("multinomial ones", lambda n: torch.multinomial(torch.ones(10), min(n, 10)), True)
    for name, make in LAYOUTS.items():
        for d in (F32, F64, BF16):
            s = NAMES[d]
            add(f"uniform_ {name} {s}", lambda n, d=d, m=make: m(n, d).uniform_(0, 1))
            add(f"normal_ {name} {s}", lambda n, d=d, m=make: m(n, d).normal_(0, 1), True)
        add(f"exponential_ {name}", lambda n, m=make: m(n, F32).exponential_(1), True)
        add(f"bernoulli_ {name}", lambda n, m=make: m(n, F32).bernoulli_(0.5))
        add(f"random_ {name}", lambda n, m=make: m(n, torch.int64).random_())
        add(f"randn_like {name}", lambda n, m=make: torch.randn_like(m(n, F32)), True)
        add(f"bernoulli_ tensor {name}", lambda n, m=make: each(m(n, F32)))
    return out


def raw(t):
    t = t.contiguous().view(-1)
    return t.view(torch.uint8).numpy().tobytes() if t.numel() else b""


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here),
                                                                "../tests/golden/data/random.bin")
    table = functions()
    out = struct.pack("<I", len(table))
    for name, libm, _ in table:
        out += struct.pack("<B", len(name)) + name.encode() + struct.pack("<B", libm)
    out += struct.pack(f"<I{len(SEEDS)}Q", len(SEEDS), *SEEDS) + struct.pack(f"<I{len(SIZES)}I", len(SIZES), *SIZES)
    for name, _, call in table:
        for s in SEEDS:
            torch.manual_seed(s)
            hashes = [zlib.crc32(raw(call(n))) for n in SIZES] + [zlib.crc32(raw(torch.get_rng_state()))]
            out += struct.pack(f"<{len(hashes)}I", *hashes)
    out += struct.pack(f"<I{len(VALUE_SEEDS)}Q", len(VALUE_SEEDS), *VALUE_SEEDS)
    out += struct.pack(f"<I{len(VALUE_SIZES)}I", len(VALUE_SIZES), *VALUE_SIZES)
    for name, _, call in table:
        laid_out = name.split()[-1] in LAYOUTS or name.split()[1] in LAYOUTS
        out += struct.pack("<B", not laid_out)
        for s in [] if laid_out else VALUE_SEEDS:
            for n in VALUE_SIZES:
                torch.manual_seed(s)
                data = raw(call(n))
                out += struct.pack("<I", len(data)) + data
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden random 1\nproducer pytorch {torch.__version__}\nscript tools/{os.path.basename(here)}\n"
              f"sha256 {digest}\n\n")
    with open(output, "wb") as f:
        f.write(header.encode() + out)
    print(f"{len(table)} functions, {len(table) * len(SEEDS) * len(SIZES)} streams, {len(out)} bytes in "
          f"{os.path.normpath(output)}")


if __name__ == "__main__":
    main()
