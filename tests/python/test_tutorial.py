"""The document's script (examples/autograd_tutorial.py), unmodified but for a seed, against what PyTorch printed for 200
seeds: tests/golden/data/tutorial.txt, which tools/dump_tutorial.py recorded. Addresses aside, byte for byte."""

import contextlib
import io
import os
import re
import unittest

import wengert

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def recorded():
    """(lines with @ where the seed matters, {seed: its lines})"""
    with open(os.path.join(ROOT, "tests/golden/data/tutorial.txt"), encoding="utf-8") as f:
        lines = f.read().split("\n\n", 1)[1].splitlines()
    n = int(lines[0].split()[1])
    common, seeds, seed = lines[1:n + 1], {}, None
    for line in lines[n + 1:]:
        if line.startswith("seed "):
            seed = int(line.split()[1])
            seeds[seed] = []
        else:
            seeds[seed].append(line)
    return common, seeds


class Tutorial(unittest.TestCase):
    def test_200_seeds_byte_for_byte(self):
        common, seeds = recorded()
        self.assertEqual(len(seeds), 200)
        with open(os.path.join(ROOT, "examples/autograd_tutorial.py"), encoding="utf-8") as f:
            script = f.read()
        head = "import torch\n"
        self.assertIn(head, script)
        torch = wengert.as_torch()
        del torch
        for seed, own in seeds.items():
            code = script.replace(head, f"{head}torch.manual_seed({seed})\n", 1)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, "autograd_tutorial.py", "exec"), {"__name__": "__main__"})
            rest = iter(own)
            expected = [next(rest) if line == "@" else line for line in common]
            self.assertEqual(re.sub(r"0x[0-9a-f]+", "0x0", out.getvalue()).splitlines(), expected, f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
