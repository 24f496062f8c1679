#!/usr/bin/env python3
"""Random numbers held against PyTorch: 50 seeds x 20 sizes of every function that draws, bit for bit.

    python tools/conformance_random.py [--only WORD]

It needs wengert and torch in one interpreter. The functions are those of tools/dump_random.py, written once and run with
either library as `torch`; after the sizes of a seed the state of the generator is compared too. CALLS adds what only the
Python module spells: sizes as arguments, out=, in-place methods of fresh tensors, a generator of one's own.
"""
import argparse
import importlib.util
import pathlib
import sys
import warnings

import torch
import wengert

HERE = pathlib.Path(__file__).resolve().parent

# Expressions of a size n; g is a generator with the seed of the row.
CALLS = """torch.rand(n, 2)
torch.rand((n,), out=torch.empty(0))
torch.rand(n, generator=g)
torch.randn(2, n, generator=g)
torch.randn((n,), dtype=torch.float64, generator=g)
torch.randn(n, out=torch.empty(n, dtype=torch.float64))
torch.randint(7, (n,))
torch.randint(-3, 9, (2, n), generator=g)
torch.randint(2, 5, (n,), out=torch.empty(n, dtype=torch.int64))
torch.randperm(n)
torch.randperm(n, generator=g)
torch.rand_like(torch.ones(n, 3))
torch.randn_like(torch.ones(3, n).t())
torch.randint_like(torch.ones(n), 9)
torch.randint_like(torch.ones(n, dtype=torch.int32), -4, 9)
torch.normal(0.5, 2.0, (n,))
torch.normal(torch.zeros(n), 1.5, generator=g)
torch.normal(torch.zeros(n), torch.ones(n), out=torch.empty(n))
torch.bernoulli(torch.full((n,), 0.25))
torch.bernoulli(torch.full((n,), 0.25), generator=g)
torch.bernoulli(torch.full((n,), 0.5), 0.75)
torch.empty(n).uniform_(-1, 1, generator=g)
torch.empty(n).normal_(generator=g)
torch.empty(n).random_(5, generator=g)
torch.empty(n, dtype=torch.int64).random_(2, 2 ** 40)
torch.empty(n).exponential_(generator=g)
torch.empty(n).bernoulli_(generator=g)
torch.multinomial(torch.arange(1.0, n + 2), 1, generator=g)
torch.multinomial(torch.ones(2, n), n, replacement=True, generator=g)
torch.empty(n).uniform_().clone().normal_()""".splitlines()


def functions_of(module):
    """The calls of tools/dump_random.py with module as torch."""
    kept = sys.modules["torch"]
    sys.modules["torch"] = module
    try:
        spec = importlib.util.spec_from_file_location("dump_random_of_" + module.__name__, HERE / "dump_random.py")
        dump = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(dump)
        return dump, [(name, lambda n, g, f=call: f(n)) for name, _, call in dump.functions()] + [
            (text, eval(f"lambda n, g: {text}", {"torch": module})) for text in CALLS]  # noqa: S307 - the list above
    finally:
        sys.modules["torch"] = kept


def raw(t, module):
    if not isinstance(t, module.Tensor):
        raise TypeError(f"{type(t)} is not a tensor of {module.__name__}")
    return str(t.dtype), tuple(t.shape), (t.float() if t.dtype == module.bfloat16 else t).numpy().tobytes()


def stream(module, call, seed, sizes):
    """What a seed gives: a value per size, then the generators' states."""
    module.manual_seed(seed)
    g = module.Generator()
    g.manual_seed(seed)
    values = []
    for n in sizes:
        try:
            values.append(raw(call(n, g), module))
        except Exception as error:  # noqa: BLE001 - none of the calls is wrong: ours is
            if module is torch:
                raise
            values.append(f"{type(error).__name__}: {error}".split("\n")[0])
    return values + [raw(module.get_rng_state(), module), raw(g.get_state(), module)]


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="functions whose names hold this")
    args = parser.parse_args()
    dump, theirs = functions_of(torch)
    _, ours = functions_of(wengert)
    passed = failed = functions = 0
    for (name, their_call), (_, our_call) in zip(theirs, ours, strict=True):
        if args.only not in name:
            continue
        functions += 1
        first = None
        for seed in dump.SEEDS:
            a = stream(wengert, our_call, seed, dump.SIZES)
            b = stream(torch, their_call, seed, dump.SIZES)
            wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
            failed += len(wrong)
            passed += len(a) - len(wrong)
            if wrong and first is None:
                i = wrong[0]
                what = f"size {dump.SIZES[i]}" if i < len(dump.SIZES) else "the generator's state"
                first = f"{name}: seed {seed}, {what}: {str(a[i])[:90]}, not {str(b[i])[:90]}"
        if first:
            print(first, flush=True)
    print(f"{functions} functions, {len(dump.SEEDS)} seeds, {len(dump.SIZES)} sizes")
    print(f"random: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
