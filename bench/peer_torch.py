"""PyTorch's side of the table, in eager mode on one thread: the same work as chain.c, tutorial.c, elementwise.c and mlp.c.
bench/run starts it with the Python that WENGERT_BENCH_TORCH names. Prints "name<TAB>value" in the units of those programs;
with --first, a line after the first gradient.
"""
import sys
import time

import torch

SHORT, LONG = 1000, 500000


def least(work, repeats, calls=1):
    work()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time() - start) / calls)
    return best


def report(name, value):
    print(f"{name}\t{value:.6g}", flush=True)


def tutorial():
    x = torch.ones(2, 2, requires_grad=True)
    y = x + 2
    (y * y * 3).mean().backward()


def link(y, w, b, links):
    for _ in range(links):
        y = y * w + b
    return y


def chains():
    y, w, b = (torch.full((2, 2), v, requires_grad=True) for v in (1.0, 1.0000001, 1e-9))

    def whole(links):
        link(y, w, b, links).backward(torch.ones(2, 2))
        y.grad = w.grad = b.grad = None

    with torch.no_grad():
        report("chain.no_grad", least(lambda: link(y, w, b, SHORT), 30) / (2 * SHORT) * 1e9)
    report("chain.recording", least(lambda: link(y, w, b, SHORT), 30) / (2 * SHORT) * 1e9)
    report("chain.total", least(lambda: whole(SHORT), 30) / (2 * SHORT) * 1e9)
    report("chain.long_total", least(lambda: whole(LONG), 1) / (2 * LONG) * 1e9)


def elementwise():
    for n, calls, rounds in ((10**4, 100, 20), (10**6, 10, 10), (10**7, 2, 5)):
        x, y = torch.rand(n) * 6 - 3, torch.rand(n) * 6 - 3
        for op in ("add", "mul", "relu", "exp", "tanh"):
            f = getattr(torch, op)
            work = (lambda: f(x, y)) if op in ("add", "mul") else (lambda: f(x))
            report(f"elementwise.{op}.{n}", least(work, rounds, calls) * 1e6)


def step(layers, x, y, rate):
    for i, layer in enumerate(layers):
        x = layer(x) if i == len(layers) - 1 else torch.relu(layer(x))
    loss = torch.nn.functional.cross_entropy(x, y)
    loss.backward()
    with torch.no_grad():
        for layer in layers:
            for p in layer.parameters():
                p.add_(p.grad, alpha=-rate)
                p.grad = None
    return loss.item()


def training():
    for batch in (64, 1):
        layers = [torch.nn.Linear(i, o) for i, o in ((784, 128), (128, 64), (64, 10))]
        x, y = torch.rand(batch, 784), torch.randint(10, (batch,))
        report(f"mlp.{batch}", least(lambda: step(layers, x, y, 0.01), 15, 64) * 1e6)


def main():
    torch.set_num_threads(1)
    if "--first" in sys.argv:
        tutorial()
        print(flush=True)
        return
    print(f"version\t{torch.__version__}")
    report("tutorial.graph", least(tutorial, 20, 100) * 1e6)
    chains()
    elementwise()
    training()


main()
