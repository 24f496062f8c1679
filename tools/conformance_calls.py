#!/usr/bin/env python3
"""Calls held against PyTorch: what attributes, conversions, small types, arrays, capsules, copies and overrides answer.

    python tools/conformance_calls.py                                        # needs wengert, torch and numpy in one interpreter
    python tools/conformance_calls.py --record tests/python/data/calls.json  # PyTorch's answers anew, to the file's own calls

The file holds [group, source, answer], and a second answer where NumPy 1 gives another one (record once with NumPy 2, then
with NumPy 1). A source is a few lines of Python in which `torch` is one of the two libraries; its
answer is the text of its last expression's value (or of r): types, elements, dtypes, shapes and strides, or the exception's
type and first sentence. To add a call write [group, source, null] and record. tests/python replays the answers without
PyTorch. Ends with "calls: N passed, N failed".
"""
import argparse
import ast
import contextlib
import copy
import gc
import hashlib
import io
import json
import pathlib
import pickle
import re
import sys
import warnings
import weakref

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/python/data/calls.json"


def first_sentence(text):
    m = re.match(r"(.*?[.:!?])(\s|$)", text, re.S)
    return (m.group(1) if m else text.split("\n")[0]).rstrip(".")


class Shown:
    """Values of one library as text."""

    def __init__(self, lib, np):
        self.lib, self.np = lib, np

    def tensor(self, v):
        if type(v) not in (self.lib.Tensor, self.lib.nn.Parameter):
            return f"<{type(v).__name__} {v!r}>"
        return f"<{type(v).__name__} {v!r} {v.dtype} {tuple(v.shape)} {v.stride()} {v.requires_grad}>"

    def __call__(self, v):
        if isinstance(v, self.lib.Tensor):
            return self.tensor(v)
        if self.np and isinstance(v, self.np.ndarray):
            return f"<ndarray {v.dtype} {v.shape} {v.strides if v.size else ''} {v.flags.writeable} {v.tolist()}>"
        if type(v) in (list, tuple):
            inner = ", ".join(map(self, v))
            return f"[{inner}]" if type(v) is list else f"({inner})"
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k}: {self(x)}" for k, x in v.items()) + "}"
        return f"{type(v).__module__}.{type(v).__name__} {v!r}"


def evaluate(lib, np, source):
    """One library's answer."""
    names = {"torch": lib, "np": np, "copy": copy, "pickle": pickle, "gc": gc, "weakref": weakref}
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            exec(compile(tree, "<call>", "exec"), names)
            answer = Shown(lib, np)(eval(compile(last, "<call>", "eval"), names) if last else names.get("r"))
        except Exception as e:
            answer = f"{type(e).__name__}: {first_sentence(str(e).replace('wengert', 'torch'))}"
    answer = answer.replace("wengert._C", "torch").replace("wengert", "torch")
    return re.sub(r"0x[0-9a-f]+", "0x", answer)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", help="writes PyTorch's answers to this file, which holds the calls")
    a = parser.parse_args()
    import numpy as np
    import torch
    import wengert

    path, failed, answers = pathlib.Path(a.record or DATA), 0, []
    for group, source, before, *_ in json.loads(path.read_text())["calls"]:
        want, got = evaluate(torch, np, source), evaluate(wengert, np, source)
        old = int(np.__version__.split(".")[0]) < 2
        answers.append([group, source, want] if not old else [group, source, before] if before == want else [group, source, before, want])
        if want != got:
            failed += 1
            print(f"{source}\n--- PyTorch\n{want}\n--- Wengert\n{got}")
    if a.record:
        script = pathlib.Path(__file__).resolve()
        head = {"torch": torch.__version__, "script": "tools/conformance_calls.py", "sha256": hashlib.sha256(script.read_bytes()).hexdigest()}
        path.write_text(json.dumps(head)[:-1] + ', "calls": [\n' + ",\n".join(json.dumps(c) for c in answers) + "\n]}\n")
    print(f"calls: {len(answers) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
