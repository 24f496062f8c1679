#!/usr/bin/env python3
"""Behaviour held against PyTorch: small programs, run once with torch = PyTorch and once with torch = wengert.

    python tools/conformance_behaviour.py                 # needs wengert and torch 2.15 in one interpreter
    python tools/conformance_behaviour.py V3 'H*'         # only some rules
    python tools/conformance_behaviour.py --record tests/python/data/behaviour.json

The programs stand in tools/behaviour/*.txt, each under a line "#- RULE title". A program is read as a session at Python's
prompt: statements run one after another, the value of an expression is printed, an exception ends its statement only. So
the transcript of a program holds what it printed, warned (category and first sentence) and raised (type and first
sentence), statement by statement; addresses are normalised. A title "known: ..." says a difference that is meant or accepted. Every program runs in a process of its own, forked after the
import, so that "once per process" means once per program. tests/python/test_behaviour.py replays recorded transcripts.
"""
import argparse
import ast
import fnmatch
import hashlib
import io
import json
import os
import pathlib
import re
import signal
import sys
import traceback
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "tools" / "behaviour"
SECONDS = 20

# Rules of the specification without programs here, and why: a closed list.
TO_COME = {
    "S5-S7 saved-tensor hooks, save_on_cpu, allow_mutation_on_saved_tensors": "comes with the issue of all of autograd",
    "K1-K4 checkpoint": "comes with the issue of all of autograd",
    "Y1-Y3 anomaly mode, profiler": "comes with the issue of all of autograd",
    "M2, S5 inference tensors (the mode itself is here)": "comes with the issue of all of autograd",
    "L7 grad_dtype other than the tensor's, H8 node_creation_hook, S6 _raw_saved_*": "comes with the issue of all of autograd",
    "N2-N3 func transforms, vmap, is_grads_batched": "comes with the issue of all of autograd",
    "C1 complex": "complex dtypes are to come",
    "A3 sparse": "no sparse layouts",
    "nn, optim": "come with the issue of training",
    "operators beyond the Engine's list": "come with the issue of operators",
}


def first_sentence(text):
    """Up to the first full stop, line end, or the place that C++ warnings name."""
    text = text.split(" (Triggered internally")[0].strip()
    return re.split(r"\.(?=\s|$)|\n|\.(?=[A-Z][a-z]+ )", text, maxsplit=1)[0].strip()


def normalise(text):
    return re.sub(r"0x[0-9a-f]+", "0x", text)


class Session:
    """Runs one program against one library."""

    def __init__(self, torch):
        self.torch, self.lines = torch, []
        self.names = {"torch": torch, "__name__": "__main__", "__builtins__": __builtins__}

    def out(self, text):
        self.lines += normalise(text).split("\n")

    def warned(self, message, category, *_, **__):
        self.flush()
        self.lines.append(f"~ {category.__name__}: {normalise(first_sentence(str(message)))}")

    def flush(self):
        text = self.stdout.getvalue()
        if text:
            self.out(text[:-1] if text.endswith("\n") else text)
            self.stdout.seek(0)
            self.stdout.truncate()

    def statement(self, node, source):
        try:
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), "<program>", "eval"), self.names)
                if value is not None:
                    print(repr(value))
                    del value
            else:
                exec(compile(ast.Module([node], []), "<program>", "exec"), self.names)
        except BaseException as e:
            self.flush()
            module = type(e).__module__
            kind = type(e).__name__ if module in ("builtins", "__main__") else f"{module}.{type(e).__name__}"
            self.lines.append(f"! {kind}: {normalise(first_sentence(str(e)))}")
            traceback.clear_frames(e.__traceback__) if e.__traceback__ else None

    def run(self, source):
        self.torch.manual_seed(0)
        if "Function" in source:
            self.names["Function"] = self.torch.autograd.Function
        self.stdout, before = io.StringIO(), sys.stdout
        sys.stdout = self.stdout
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.showwarning = self.warned
                for node in ast.parse(source).body:
                    self.statement(node, source)
                self.flush()
        finally:
            sys.stdout = before
        return self.lines


def programs(directory=PROGRAMS):
    """[(rule, title, source)] of all files."""
    found = []
    for path in sorted(pathlib.Path(directory).glob("*.txt")):
        for part in re.split(r"(?m)^#- ", path.read_text(encoding="utf-8"))[1:]:
            head, _, source = part.partition("\n")
            rule, _, title = head.partition(" ")
            found.append((rule, title.strip(), source.strip() + "\n"))
    return found


def key(rule, source):
    return f"{rule}:{hashlib.sha256(source.encode()).hexdigest()[:12]}"


def transcript(torch, source):
    """The lines of one program, from a process of its own; a crash or a hang is a line too."""
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(r)
            signal.alarm(SECONDS)
            data = json.dumps(Session(torch).run(source)).encode()
            with os.fdopen(w, "wb") as f:
                f.write(data)
            code = 0
        finally:
            os._exit(code)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        data = f.read()
    _, status = os.waitpid(child, 0)
    return json.loads(data) if data else [f"the process ended with status {status}"]


def hash_of_programs(directory=PROGRAMS):
    h = hashlib.sha256((ROOT / "tools" / "conformance_behaviour.py").read_bytes())
    for path in sorted(pathlib.Path(directory).glob("*.txt")):
        h.update(path.read_bytes())
    return h.hexdigest()


def show(rule, title, source, theirs, ours):
    print(f"---- {rule} {title}\n" + "".join(f"    {line}\n" for line in source.rstrip().split("\n")), end="")
    import difflib
    for line in difflib.unified_diff(theirs, ours, "pytorch", "wengert", lineterm="", n=1):
        if not line.startswith(("---", "+++")):
            print("  " + line)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("rules", nargs="*", help="rules to run (patterns)")
    p.add_argument("--record", help="write PyTorch's transcripts to this file")
    a = p.parse_args()
    import torch
    import wengert
    torch.set_num_threads(1)
    with warnings.catch_warnings():  # the first dual tensor brings warnings of torch.jit's
        warnings.simplefilter("ignore")
        with torch.autograd.forward_ad.dual_level():
            torch.autograd.forward_ad.make_dual(torch.ones(1), torch.ones(1))
    chosen = [c for c in programs() if not a.rules or any(fnmatch.fnmatch(c[0], rule) for rule in a.rules)]
    passed, failed, known, recorded = {}, {}, 0, {}
    for rule, title, source in chosen:
        theirs = transcript(torch, source)
        recorded[key(rule, source)] = theirs
        if a.record:
            continue
        ours = transcript(wengert, source)
        if title.startswith("known: "):
            known += 1
            print(f"{title}" if ours != theirs else f"no difference any more: {title}")
            continue
        count = passed if ours == theirs else failed
        count[rule] = count.get(rule, 0) + 1
        if ours != theirs:
            show(rule, title, source, theirs, ours)
    if a.record:
        with open(a.record, "w") as f:
            with open(__file__, "rb") as script:  # the head stands on the first line, as tools/check_recorded reads it
                digest = hashlib.sha256(script.read()).hexdigest()
            f.write(f'{{"torch": "{torch.__version__}", "script": "tools/conformance_behaviour.py", "sha256": "{digest}",\n')
            f.write(f'"programs": "{hash_of_programs()}", "transcripts": ')
            json.dump(recorded, f, indent=0, ensure_ascii=False)
            f.write("}\n")
        print(f"{len(recorded)} transcripts recorded")
        return 0
    for name, reason in TO_COME.items():
        print(f"left out: {name}: {reason}")
    print("rules: " + ", ".join(f"{r} {passed.get(r, 0)}/{passed.get(r, 0) + failed.get(r, 0)}"
                               for r in dict.fromkeys(c[0] for c in chosen)))
    statements = sum(len(ast.parse(c[2]).body) for c in chosen)
    print(f"{len(chosen)} programs of {statements} statements, {known} of them with known differences")
    print(f"behaviour: {sum(passed.values())} passed, {sum(failed.values())} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
