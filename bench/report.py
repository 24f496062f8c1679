"""BENCHMARKS.md and BENCHMARKS.json from what bench/run measured. A row says what was measured, what is allowed here, and
whether that was met.
"""
import json

TAPE_THERE = 22.0  # ns per op of bench/tape.c on the machine of C's targets, a 3 GHz Zen 3
PYTHON_THERE = TAPE_THERE / 1.25  # on that of Python's, a 3.6 GHz Zen 4
SIZES = ((10**4, "10⁴"), (10**6, "10⁶"), (10**7, "10⁷"))
HEAD = ("work", "measured", "target here", "measured / target", "met", "the target", "PyTorch eager")
PYTHON_HEAD = (*HEAD[:-1], "PyTorch", "NumPy")


class Report:
    def __init__(self, best, torch, numpy):
        self.best, self.torch, self.numpy = best, torch, numpy
        self.factor = best["tape.total"] / TAPE_THERE
        self.lines, self.rows = [], []

    def head(self, title, columns=HEAD):
        self.lines += ["", f"## {title}", "", line(columns), "|---|" + "---:|" * (len(columns) - 1)]

    def row(self, name, key, unit, target, why):
        """A figure against a limit that is already this machine's."""
        value, peers = self.best[key], {"pytorch": self.torch.get(key)}
        if key.startswith("python."):
            peers["numpy"] = self.numpy.get(key)
        self.rows.append({"work": name, "unit": unit, "measured": value, "target_here": target, "ratio": value / target,
                          "met": value <= target, "target": why, **peers})
        self.lines.append(line((name, figure(value, unit), figure(target, unit), f"{value / target:.2f}", "yes" if value <= target else "**no**",
                                why, *(figure(v, unit) if v else "–" for v in peers.values()))))

    def scaled(self, name, key, unit, target):
        self.row(name, key, unit, target * self.factor, f"{target:g} {unit} × {self.factor:.2f}")

    def python(self, name, key, unit, target):
        factor = self.best["tape.total"] / PYTHON_THERE
        self.row(name, key, unit, target * factor, f"{target:g} {unit} × {factor:.2f}")

    def beside_c(self, name, key, times):
        c = self.best[key + ".c"]
        self.row(name, key, "µs", times * c, f"{times:g} × C's {figure(c, 'µs')}")

    @property
    def missed(self):
        return [r["work"] for r in self.rows if not r["met"]]


def figure(value, unit):
    return f"{value:.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def line(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def small_ops(r):
    r.head("Small ops")
    r.scaled("2×2 chain, no grad, per op", "chain.no_grad", "ns", 40)
    r.scaled("2×2 chain, recording", "chain.recording", "ns", 55)
    r.scaled("2×2 chain, forward + backward + free", "chain.total", "ns", 140)
    r.scaled("the same, 10⁶ ops in the graph", "chain.long_total", "ns", 250)
    r.scaled("the tutorial's graph", "tutorial.graph", "µs", 1.0)
    best = r.best
    parts = ", ".join(f"{what} {best['chain.' + key]:.0f} / {best['chain.long_' + key]:.0f}"
                      for what, key in (("recording", "recording"), ("backward", "backward"), ("free", "end")))
    r.lines += ["", "A link of the chain, `y = y*w + b` on 2×2 float32, is two ops. Parts, ns per op in 2,000 / 10⁶ "
                    f"ops: {parts}. The bare tape of `bench/tape.c`: no grad {best['tape.no_grad']:.1f}, recording "
                    f"{best['tape.recording']:.1f}, total {best['tape.total']:.1f}."]


def elementwise(r):
    r.head("Elementwise, float32, result in recycled memory")
    for op in ("add", "mul", "relu", "exp", "tanh"):
        for n, text in SIZES:
            r.beside_c(f"{op}, {text}", f"elementwise.{op}.{n}", 1.3)
    r.lines += ["", "C is the best of the loops in `bench/elementwise.c`: plain, by vectors as long as the machine's, and "
                    "stored past the cache."]


def training(r):
    r.head("A training step of Fashion-MNIST's network, 784-128-64-10")
    for batch, times in ((64, 1.5), (1, 2.5)):
        r.beside_c(f"training step, batch {batch}", f"mlp.{batch}", times)
    r.lines += ["", "C is `bench/mlp.c`: buffers made once, gradients apart from weights, the same BLAS."]


def sizes(r):
    r.head("Size")
    r.row("shared object, stripped", "size.stripped", "MB", 3, "3 MB")
    r.row("program start to first gradient", "gradient.launch.first_byte", "ms", 5, "5 ms")
    r.row("resident memory of the tutorial", "tutorial.launch.resident", "MB", 8, "8 MB")


def products(r):
    r.head("Products, float32, GFLOP/s (no target)", ("shape", "the BLAS", "Wengert with it", "Wengert's own kernels"))
    for key in [k for k in r.best if k.startswith("gemm.") and k.endswith(".wengert")]:
        shape = key.split(".")[1]
        r.lines.append(line([shape] + [f"{r.best[f'gemm.{shape}.{side}']:.1f}" for side in ("blas", "wengert", "own")]))


def python(r, about):
    if "absent" in about:
        r.lines += ["", "## Python", "", f"Left out: {about['absent']}."]
        return
    r.head("Python, one thread", PYTHON_HEAD)
    r.python("`import wengert` in a fresh process", "python.import", "ms", 20)
    r.row("resident memory it adds", "python.resident", "MB", 12, "12 MB")
    r.python("`x + y`, 2×2, no grad", "python.add", "µs", 0.12)
    r.python("`x * 2`", "python.mul", "µs", 0.12)
    r.python("`x.sum(dim=1, keepdim=True)`", "python.sum", "µs", 0.2)
    r.python("`x[0]`", "python.item", "µs", 0.15)
    r.python("chain `y*w + b`, forward + backward + free, per op", "python.chain", "µs", 0.2)
    r.python("the tutorial's graph, forward and backward", "python.tutorial", "µs", 1.6)
    r.python("a training step of 10-32-1, batch 16, on tensors", "python.step", "µs", 15)
    r.lines += ["", f"`bench/python.py`; {about['version']}, the extension and the library as the wheel has them, in the thread's processor time, the "
                    f"best of {about['rounds']} processes (peers: of one); {about['date']}, commit {about['commit']}, load average {about['load']}. "
                    f"Targets in time are for a 3.6 GHz Zen 4, on which `bench/tape.c` takes {PYTHON_THERE:g} ns, a quarter less than on the Zen 3 "
                    "above. Importing is measured without `site`, PyTorch's and NumPy's with it."]


def write(out, best, torch, numpy, about):
    """about: machine, isa, blas, compiler, load, date, commit, rounds, a sentence for each peer, and the like for Python."""
    r = Report(best, torch, numpy)
    for section in (small_ops, elementwise, training, sizes, products):
        section(r)
    python(r, about["python"])
    head = ["# Benchmarks", "",
            "Written by `bench/run` (`make bench`); do not edit. One thread on one core, an installed release build, "
            "version checks, thread-safe counts, call sites and scopes on; each figure is the best of "
            f"{about['rounds']} runs, in the thread's own processor time (a program's start: by the clock).", "",
            f"- {len(r.rows) - len(r.missed)} of {len(r.rows)} targets met" +
            (f"; missed: {', '.join(r.missed)}" if r.missed else ""),
            f"- {about['machine']}; instruction set {about['isa']}; load average {about['load']}",
            f"- {about['compiler']}; BLAS `{about['blas']}`",
            f"- {about['date']}, commit {about['commit']}",
            f"- the machine's factor: {r.factor:.2f}. C's targets in time are for a 3 GHz Zen 3, where `bench/tape.c` takes "
            f"{TAPE_THERE:g} ns; here it takes {best['tape.total']:.1f} ns"]
    head += [f"- {peer}: {what}" for peer, what in about["peers"].items()]
    out.write_text("\n".join(head + r.lines) + "\n", encoding="utf-8")
    data = dict(about, factor=r.factor, rows=r.rows, figures=best, pytorch=torch, numpy=numpy)
    out.with_suffix(".json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return r
