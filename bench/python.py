"""The Python table's work: bench/python.py MODULE [--import] with MODULE one of wengert, torch, numpy, on whatever that
name imports. Prints "name<TAB>value" in the units of bench/report.py; with --import, what importing it cost this process.

A figure is the least of many timings, each of many turns of a loop, in the thread's own processor time; the loop's own
cost (some 10 ns a turn) is in it. Imports little itself, so that what a module imports is seen.
"""
import sys
import time

LINKS = 1000


def report(name, value):
    print(f"{name}\t{value:.6g}", flush=True)


def microseconds(statement, names, repeats=60, turns=5000, per=1):
    import timeit

    timer = timeit.Timer(statement, timer=time.thread_time, globals=names)
    timer.timeit(max(turns // 10, 1))
    return min(timer.repeat(repeats, turns)) / turns / per * 1e6


def resident():
    """MB of this process in memory; the sum over its maps, since the kernel's running count is late."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as maps:
        return next(int(line.split()[1]) for line in maps if line.startswith("Rss")) / 1024


def import_cost(module):
    before, start = resident(), time.process_time()
    __import__(module)
    seconds = time.process_time() - start
    report("python.import", seconds * 1e3)
    report("python.resident", resident() - before)


def numpy_ops(np):
    names = {"x": np.ones((2, 2), np.float32), "y": np.ones((2, 2), np.float32)}
    report("python.add", microseconds("x + y", names))
    report("python.mul", microseconds("x * 2", names))
    report("python.sum", microseconds("x.sum(axis=1, keepdims=True)", names))
    report("python.item", microseconds("x[0]", names))


def small_ops(torch):
    names = {"x": torch.ones(2, 2), "y": torch.ones(2, 2)}
    with torch.no_grad():
        report("python.add", microseconds("x + y", names))
        report("python.mul", microseconds("x * 2", names))
        report("python.sum", microseconds("x.sum(dim=1, keepdim=True)", names))
        report("python.item", microseconds("x[0]", names))


def chain(torch):
    y0, w, b = (torch.full((2, 2), v, requires_grad=True) for v in (1.0, 1.0000001, 1e-9))
    seed = torch.ones(2, 2)

    def links():
        y = y0
        for _ in range(LINKS):
            y = y * w + b
        y.backward(seed)
        y0.grad = w.grad = b.grad = None

    report("python.chain", microseconds("links()", {"links": links}, 40, 1, 2 * LINKS))


def tutorial(torch):
    def graph():
        x = torch.ones(2, 2, requires_grad=True)
        y = x + 2
        z = y * y * 3
        out = z.mean()
        out.backward()

    report("python.tutorial", microseconds("graph()", {"graph": graph}, 60, 200))


def training(torch):
    """10-32-1, 16 rows at a time, everything written out."""
    x, target = torch.rand(16, 10), torch.rand(16, 1)
    w1, b1, w2, b2 = weights = [(torch.rand(*size) - 0.5).requires_grad_() for size in ((10, 32), (32,), (32, 1), (1,))]
    rate = 0.01

    def step():
        hidden = torch.relu(x @ w1 + b1)
        loss = ((hidden @ w2 + b2 - target) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in weights:
                p -= rate * p.grad
                p.grad = None

    report("python.step", microseconds("step()", {"step": step}, 60, 100))


def main():
    module = sys.argv[1]
    if "--import" in sys.argv:
        import_cost(module)
        return
    torch = __import__(module)
    if module == "numpy":
        numpy_ops(torch)
        return
    torch.set_num_threads(1)
    for work in (small_ops, chain, tutorial, training):
        work(torch)


if __name__ == "__main__":
    main()
