#!/usr/bin/env python3
"""Records what PyTorch prints in its autograd tutorial for 200 seeds: tests/golden/data/tutorial.txt, read by
tests/golden/test_tutorial.c, which runs examples/tutorial.c beside it.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_tutorial.py [OUTPUT]

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then text. First
"lines N" and the N lines of the output, "@" standing for a line that depends on the seed; then for each seed
"seed S" and its lines for the "@"s, in order. Addresses (0x and hexadecimal digits) are written 0x0.
"""
import contextlib
import hashlib
import io
import os
import random
import re
import sys

import torch


def tutorial(seed):
    """The tutorial's steps, in its order."""
    torch.manual_seed(seed)
    x = torch.ones(2, 2, requires_grad=True)
    print(x)
    y = x + 2
    print(y)
    print(y.grad_fn)
    z = y * y * 3
    out = z.mean()
    print(z, out)
    a = torch.randn(2, 2)
    a = (a * 3) / (a - 1)
    print(a.requires_grad)
    a.requires_grad_(True)
    print(a.requires_grad)
    b = (a * a).sum()
    print(b.grad_fn)
    out.backward()
    print(x.grad)

    x = torch.randn(3, requires_grad=True)
    y = x * 2
    while y.data.norm() < 1000:
        y = y * 2
    print(y)
    y.backward(torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float))
    print(x.grad)
    print(x.requires_grad)
    print((x ** 2).requires_grad)
    with torch.no_grad():
        print((x ** 2).requires_grad)
    print(x.requires_grad)
    y = x.detach()
    print(y.requires_grad)
    print(x.eq(y).all())


def output_of(seed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        tutorial(seed)
    return re.sub(r"0x[0-9a-f]+", "0x0", out.getvalue()).splitlines()


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here),
                                                                "../tests/golden/data/tutorial.txt")
    rnd = random.Random(2)
    seeds = list(range(170)) + [1234, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 63 - 1, -1, -2 ** 63]
    seeds += [rnd.randint(-2 ** 63, 2 ** 63 - 1) for _ in range(200 - len(seeds))]
    assert len(set(seeds)) == 200
    texts = [output_of(s) for s in seeds]
    assert len({len(t) for t in texts}) == 1
    common = [column[0] if len(set(column)) == 1 else "@" for column in zip(*texts)]
    varying = [i for i, line in enumerate(common) if line == "@"]
    lines = [f"lines {len(common)}"] + common
    for seed, text in zip(seeds, texts):
        lines += [f"seed {seed}"] + [text[i] for i in varying]
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden tutorial 1\nproducer pytorch {torch.__version__}\n"
              f"script tools/{os.path.basename(here)}\nsha256 {digest}\n\n")
    with open(output, "w") as f:
        f.write(header + "\n".join(lines) + "\n")
    print(f"{len(seeds)} seeds, {len(varying)} of {len(common)} lines differ, {os.path.getsize(output)} bytes in "
          f"{os.path.normpath(output)}")


if __name__ == "__main__":
    main()
