#!/usr/bin/env python3
"""Calls every public function and method with arguments that make no sense, and looks for crashes.

    python tools/fuzz_arguments.py --calls 20000 --seed 1     # needs only wengert

Each batch runs in a process of its own under faulthandler, with its memory limited; a call may raise any Exception but
SystemError, and must end within some seconds. The last line counts calls and faults; a fault names the seed and the call.
"""
import argparse
import functools
import os
import random
import subprocess
import sys

BATCH = 500
MEMORY = 3 << 30
SECONDS = 20
# What would end, reconfigure or write to the process rather than compute.
LEFT_OUT = {"as_torch", "set_default_tensor_type", "set_num_threads", "seed", "set_printoptions", "set_default_device",
            "set_default_dtype", "share_memory_", "show_config", "_push_mode", "_pop_mode"}


def path_is_python(holder):
    """A module written in Python: its names with an underscore are its own affair."""
    return str(getattr(holder, "__file__", "")).endswith(".py")


def targets(torch):
    """(name, callable) of all that can be called: functions, methods, operators, attributes that can be set."""
    spaces = [("torch", torch), ("node", type(torch.ones(1, requires_grad=True).exp().grad_fn))]
    for path in ("Tensor", "autograd", "autograd.graph", "autograd.functional", "autograd.forward_ad", "autograd.Function", "nn.functional",
                 "random", "Generator", "Size", "device", "dtype", "linalg", "special", "_C"):
        try:
            spaces.append((path, functools.reduce(getattr, path.split("."), torch)))
        except (AttributeError, ImportError):
            pass  # not in this build
    found = []
    for space, holder in spaces:
        for name in dir(holder):
            if name in LEFT_OUT or (name.startswith("_") and path_is_python(holder)) or name in ("__class__", "__init_subclass__", "__new__", "__subclasshook__", "mro", "__del__"):
                continue
            try:
                value = getattr(holder, name)
            except Exception:
                continue
            if isinstance(value, type) and value.__module__ in ("builtins", "threading"):
                continue
            if callable(value):
                found.append((f"{space}.{name}", value))
            elif isinstance(holder, type) and hasattr(value, "__set__"):
                found.append((f"{space}.{name}=", lambda *a, name=name, **k: setattr(a[0], name, a[1])))
                found.append((f"del {space}.{name}", lambda *a, name=name, **k: delattr(a[0], name)))
                found.append((f"{space}.{name}", lambda *a, name=name, **k: getattr(a[0], name)))
    return found


class Junk:
    """Values, named so that a fault can be repeated."""

    pool = []  # results of earlier calls: graphs, views, inference tensors, what was freed

    def __init__(self, torch, rng):
        self.torch, self.rng = torch, rng

    def keep(self, result):
        for t in result if isinstance(result, (tuple, list)) and len(result) < 9 else (result,):
            if isinstance(t, self.torch.Tensor) and t.numel() < 10000:
                self.pool.append(t)
        del self.pool[:-40]

    def value(self, depth=0):
        torch, rng = self.torch, self.rng
        r = rng.random()
        if r < 0.42:
            return self.tensor()
        if r < 0.57:
            return rng.choice((0, 1, -1, 2, 3, 7, -5, True, False, 1 << 31, 1 << 62, -(1 << 63), 1 << 64, 1 << 200, -(1 << 31), 65, 1000))
        if r < 0.63:
            return rng.choice((0.0, 1.5, -0.5, float("nan"), float("inf"), -float("inf"), 1e300, 1e-300, 2 ** 53 + 0.0))
        if r < 0.68:
            return None
        if r < 0.72:
            return rng.choice(("", "x", "mean", "sum", "cpu", "cuda:0", "meta", "cpu:999999999999", "\udcff", "float32", "trunc", "\0", "é" * 3000))
        if r < 0.86 and depth < 3:
            return self.sequence(depth)
        if r < 0.90:
            return rng.choice((torch.float32, torch.float64, torch.int64, torch.bool, torch.float16, torch.complex64, torch.uint8,
                               torch.uint16, torch.strided, torch.contiguous_format, torch.channels_last, torch.preserve_format,
                               torch.device("cpu"), torch.float8_e5m2, float, int, bool, str, object, torch.Tensor, type))
        if r < 0.94:
            return rng.choice((slice(None), slice(0, 1), slice(2, 0, -1), slice(1 << 70), slice(None, "x"), Ellipsis, range(3),
                               range(1 << 40), b"bytes", bytearray(8), memoryview(b"abcd"), {}, {"a": 1}, set(), object(), 1j,
                               lambda *a: None, lambda *a: a, print, NotImplemented, iter((1, 2)), (i for i in range(3))))
        return rng.choice((Raises(), Liar(), Endless(), Recursive.make(), Index(rng.choice((0, 2, -1, 1 << 70))), torch.Generator(),
                           torch.Size((2, 3)), Override(), torch.ones(2, requires_grad=True).exp().grad_fn))

    def sequence(self, depth):
        rng = self.rng
        r = rng.random()
        if r < 0.5:
            v = [rng.choice((0, 1, 2, 3, -1, 4, 0, 1)) for _ in range(rng.randint(0, 5))]
        elif r < 0.6:
            v = [rng.choice((1 << 31, 1 << 62, -1, 0, 1 << 20, 1 << 40)) for _ in range(rng.randint(0, 4))]
        elif r < 0.64:
            v = [1] * rng.choice((63, 64, 65, 66, 200, 5000))
        elif r < 0.67:
            v = []
            v.append(v)
        else:
            v = [self.value(depth + 1) for _ in range(rng.randint(0, 4))]
        return rng.choice((v, v, tuple(v)))

    def tensor(self):
        torch, rng = self.torch, self.rng
        if self.pool and rng.random() < 0.3:
            return rng.choice(self.pool)
        shape = rng.choice(((), (1,), (2,), (3,), (0,), (2, 3), (3, 2), (2, 2), (0, 3), (1, 3), (2, 1, 3), (2, 2, 2), (1,) * 10, (5,) * 4, (1,) * 64))
        dtype = rng.choice((torch.float32, torch.float32, torch.float32, torch.float64, torch.int64, torch.int64, torch.bool, torch.uint8,
                            torch.float16, torch.bfloat16, torch.int8, torch.int32, torch.int16))
        t = torch.ones(shape, dtype=dtype) if rng.random() < 0.5 else torch.zeros(shape, dtype=dtype)
        r = rng.random()
        if t.is_floating_point():
            if r < 0.25:
                t.requires_grad_()
            elif r < 0.35:
                t = (t.requires_grad_() * 2).exp()
            elif r < 0.38:
                t.fill_(float("nan"))
        if r > 0.95:
            with torch.inference_mode():
                t = t.clone()
        elif r > 0.9:
            t = t.expand((3,) + shape) if len(shape) < 60 else t
        elif r > 0.85:
            t = t.as_subclass(Sub)
        elif r > 0.8 and t.dim() > 1:
            t = t.transpose(0, 1)
        elif r > 0.75 and t.dim() and t.shape[0]:
            t = t[1:]
        return t


class Raises:
    """Fails whatever it is asked."""

    def fail(self, *a, **k):
        raise KeyError("asked")

    __len__ = __getitem__ = __iter__ = __index__ = __float__ = __int__ = __bool__ = __repr__ = __call__ = __contains__ = fail
    __eq__ = __hash__ = __array__ = __dlpack__ = __radd__ = __rmul__ = fail


class Liar:
    """Says that it has more elements than it has."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        raise IndexError(i)


class Endless:
    def __len__(self):
        return 1

    def __getitem__(self, i):
        if i:
            raise IndexError(i)
        return self


class Recursive(list):
    @staticmethod
    def make():
        v = Recursive()
        v.append([v, 1.0])
        return v


class Index:
    def __init__(self, i):
        self.i = i

    def __index__(self):
        return self.i

    def __float__(self):
        return float("nan")


class Override:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return rng_result(func)


def rng_result(func):
    return NotImplemented if len(getattr(func, "__name__", "")) % 2 else 1


KEYWORDS = ("dim", "dtype", "out", "input", "other", "keepdim", "size", "device", "requires_grad", "generator", "inputs", "retain_graph",
            "create_graph", "gradient", "memory_format", "layout", "nonsense", "self", "alpha", "axis", "value", "index", "src", "reduction")


def batch(seed, calls, first):
    import faulthandler
    import resource
    import signal

    import wengert as torch
    globals()["Sub"] = type("Sub", (torch.Tensor,), {})
    faulthandler.enable()
    faulthandler.dump_traceback_later(SECONDS * 20, exit=True)
    if "san.so" not in os.environ.get("LD_PRELOAD", ""):  # a sanitizer needs all the addresses that there are
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    log = open(3, "w", buffering=1, errors="backslashreplace")
    sys.stdout = open(os.devnull, "w")
    __import__("warnings").simplefilter("ignore")
    found = targets(torch)

    class TooLong(Exception):
        pass

    def too_long(*_):
        raise TooLong()

    signal.signal(signal.SIGALRM, too_long)
    for i in range(first, first + calls):
        rng = random.Random(f"{seed}:{i}")
        junk = Junk(torch, rng)
        name, f = rng.choice(found)
        args = [junk.value() for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 6)))]
        if name.startswith(("Tensor.", "del Tensor")) and rng.random() < 0.95:
            args = [junk.tensor()] + args[:rng.choice((1, 1, 2, 3))]
        elif name.startswith("Generator.") and rng.random() < 0.8:
            args = [torch.Generator()] + args[:2]
        elif name.startswith(("node.", "del node")) and rng.random() < 0.8:
            args = [torch.ones(2, requires_grad=True).exp().grad_fn] + args[:2]
        kwargs = {rng.choice(KEYWORDS): junk.value() for _ in range(rng.choice((0, 0, 0, 0, 1, 2)))}
        log.write(f"{i} {name} {len(args)} {[type(a).__name__ for a in args]} {sorted(kwargs)}\n")
        signal.alarm(SECONDS)
        try:
            result = f(*args, **kwargs)
            junk.keep(result)
            if type(result) is torch.Tensor and rng.random() < 0.3:
                repr(result)
            if isinstance(result, torch.Tensor) and result.requires_grad and rng.random() < 0.3:
                result.sum().backward()
        except SystemError as e:
            log.write(f"FAULT SystemError {str(e)[:300]}\n")
        except TooLong:
            log.write(f"FAULT took longer than {SECONDS} s\n")
        except Exception as e:
            try:
                str(e)
            except Exception as worse:
                log.write(f"FAULT its message cannot be read: {worse!r}\n")
        finally:
            signal.alarm(0)
        torch.set_grad_enabled(True)
        del args, kwargs
        result = None
    log.write("end\n")
    log.flush()
    log.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--calls", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--batch", type=int, nargs=2, metavar=("FIRST", "CALLS"), help="run these calls in this process")
    a = p.parse_args()
    if a.batch:
        return batch(a.seed, a.batch[1], a.batch[0])
    faults = 0
    for first in range(0, a.calls, BATCH):
        calls, at = min(BATCH, a.calls - first), first
        while at < first + calls:  # after a crash: on with the next call
            r, w = os.pipe()
            with open(os.devnull) as nothing:
                child = subprocess.Popen(["sh", "-c", f'exec 3>&{w}; exec "$@"', "sh", sys.executable, __file__, "--seed", str(a.seed),
                                          "--batch", str(at), str(first + calls - at)], pass_fds=(w,), stdin=nothing,
                                         stderr=subprocess.PIPE, start_new_session=True)
            os.close(w)
            import threading
            errors = []
            reader = threading.Thread(target=lambda: errors.append(child.stderr.read()))
            reader.start()
            with open(r, errors="replace") as f:
                lines = f.read().splitlines()
            code = child.wait()
            reader.join()
            for n, line in enumerate(lines):
                if line.startswith("FAULT"):
                    faults += 1
                    print(f"{line}\n    in call {lines[n - 1]}", flush=True)
            if code == 0 and lines and lines[-1] == "end":
                break
            calls_seen = [line for line in lines if line[:1].isdigit()]
            faults += 1
            last = calls_seen[-1] if calls_seen else f"{at} (none)"
            print(f"FAULT exit {code}\n    in call {last}\n    " + errors[0].decode(errors="replace")[-1500:].replace("\n", "\n    "), flush=True)
            if not calls_seen:
                break
            at = int(last.split()[0]) + 1
    print(f"arguments: {a.calls} calls, {faults} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
