#!/usr/bin/env python3
"""Records which dtype, and which value, PyTorch gives to operands of mixed kinds: tests/golden/data/promotion.bin, read
by tests/golden/test_promotion.c.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_promotion.py [OUTPUT]

Operands: each dtype as a tensor of one dim and one element, as a 0-d tensor, and the numbers 300, 0.1 and True. The
element is one that the other dtypes round, wrap or cut differently, so that the value tells what was computed in.

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then little-endian:
  u8 10 rows of 10 dtypes: promote_types (codes of wg_dtype)
  23 operands: u8 kind (0 one dim, 1 no dim, 2 number), u8 dtype (of numbers: int64, float64, bool), 8 bytes element
  u8 number of texts; per text u8 exception (codes of wg_status), u8 length, the text
  u32 number of cases; per case u8 default dtype, u8 op, u8 left, u8 right operand, and
    u8 dtype of the result, u8 ndim, its element (as many bytes as the dtype has)
    or u8 255, u8 number of the text of the error
"""
import hashlib
import os
import struct
import sys

import torch

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64]
ELEMENTS = [True, 200, -100, -30000, 2000000011, 2 ** 53 + 1, 0.1, 0.1, 0.1, 0.1]
NUMBERS = [(300, 5), (0.1, 9), (True, 0)]
DEFAULTS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
ERRORS = {RuntimeError: 1, TypeError: 2, ValueError: 3, IndexError: 4, NotImplementedError: 5, ZeroDivisionError: 6}


def is_number(x):
    return not isinstance(x, torch.Tensor)


def in_place(name):
    return lambda a, b: None if is_number(a) else getattr(a.clone(), name)(b)


def compare(name, mirrored):
    """Of a number on the left PyTorch compares the mirror image."""
    return lambda a, b: getattr(torch, mirrored)(b, a) if is_number(a) else getattr(torch, name)(a, b)


def cat(a, b):
    return None if is_number(a) or is_number(b) else torch.cat([a, b])[:1]


# The order is the code. None: no such call.
OPS = [torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor, compare("eq", "eq"),
       compare("lt", "gt"), lambda a, b: torch.where(torch.tensor([True]), a, b),
       lambda a, b: torch.where(torch.tensor([False]), a, b), cat, in_place("add_"), in_place("mul_"), in_place("div_")]


def raw(t):
    return t.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def operands():
    tensors = [torch.tensor(e, dtype=torch.float64 if d.is_floating_point else d).to(d)
               for e, d in zip(ELEMENTS, DTYPES)]
    table = [(0, i, t.view(1)) for i, t in enumerate(tensors)] + [(1, i, t) for i, t in enumerate(tensors)]
    return table + [(2, code, value) for value, code in NUMBERS]


def element(code, x):
    return raw(torch.tensor(x, dtype=DTYPES[code]) if is_number(x) else x).ljust(8, b"\0")


def run(op, a, b, texts):
    try:
        r = op(a, b)
    except Exception as e:
        text = (ERRORS[type(e)], str(e).split("\n")[0])
        if text not in texts:
            texts.append(text)
        return struct.pack("<2B", 255, texts.index(text))
    return None if r is None else struct.pack("<2B", DTYPES.index(r.dtype), r.dim()) + raw(r)


def cases(table, texts):
    for default in DEFAULTS:
        torch.set_default_dtype(default)
        for number, op in enumerate(OPS):
            for i, left in enumerate(table):
                for j, right in enumerate(table):
                    if left[0] == 2 and right[0] == 2:
                        continue
                    result = run(op, left[2], right[2], texts)
                    if result:
                        yield struct.pack("<4B", DTYPES.index(default), number, i, j) + result


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here),
                                                                "../tests/golden/data/promotion.bin")
    table, texts = operands(), []
    all_cases = list(cases(table, texts))
    data = bytes(DTYPES.index(torch.promote_types(a, b)) for a in DTYPES for b in DTYPES)
    data += b"".join(struct.pack("<2B", kind, code) + element(code, x) for kind, code, x in table)
    data += bytes([len(texts)]) + b"".join(struct.pack("<2B", code, len(t)) + t.encode() for code, t in texts)
    data += struct.pack("<I", len(all_cases)) + b"".join(all_cases)
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden promotion 1\nproducer pytorch {torch.__version__}\n"
              f"script tools/{os.path.basename(here)}\nsha256 {digest}\n\n")
    with open(output, "wb") as f:
        f.write(header.encode() + data)
    print(f"{len(all_cases)} cases, {len(texts)} error texts, {len(data)} bytes in {os.path.normpath(output)}")


if __name__ == "__main__":
    main()
