"""Calls as data, so that PyTorch can be asked once (tools/dump_opinfo.py) and Wengert at every test (test_opinfo.py).

A case is {"op", "at", "args", "kwargs", …}: "at" is the callable's place ("torch.add", "Tensor.view"), arguments are JSON;
what JSON lacks is a dict of one key. A tensor is {"t": [dtype, shape, strides or None, number of elements in storage,
requires_grad, place]}, its storage in the blob of bytes behind the cases. Both libraries are asked by the same code.
"""
import array
import gzip
import json
import math

CODES = {"float64": "d", "float32": "f", "int64": "q", "int32": "i", "int16": "h", "int8": "b", "uint8": "B", "bool": "B"}
SEED = 7


class Unwritten(Exception):
    """A value that has no form here."""


class Blob:
    """Bytes that tensors point into."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def add(self, code, values):
        at = len(self.data)
        self.data += array.array(code, values).tobytes()
        return at

    def get(self, code, n, at):
        a = array.array(code)
        a.frombytes(memoryview(self.data)[at:at + n * a.itemsize])
        return a.tolist()


# ---- writing ---------------------------------------------------------------------------------------------------------


def plain(dtype):
    return str(dtype).replace("torch.", "")


def rounded(values, bits):
    """Doubles with the given number of bits, so that the file packs well."""
    def cut(v):
        if not math.isfinite(v) or not v:
            return v
        m, e = math.frexp(v)
        return math.ldexp(round(m * (1 << bits)), e - bits)
    return [cut(v) for v in values]


def contiguous(shape):
    strides, step = [], 1
    for s in reversed(shape):
        strides.insert(0, step)
        step *= max(s, 1)
    return strides


def write_tensor(x, blob, bits):
    """x's elements in the order of its memory, holes included."""
    dtype, shape, strides = plain(x.dtype), list(x.shape), list(x.stride())
    if dtype not in CODES or str(x.layout) != "torch.strided" or x.device.type != "cpu":
        raise Unwritten(dtype)
    if hasattr(x, "_is_zerotensor") and x._is_zerotensor():
        x = x.detach().clone()
        strides = list(x.stride())
    n = 1 + sum((s - 1) * t for s, t in zip(shape, strides)) if x.numel() else 0
    values = x.detach().as_strided((n,), (1,)).tolist() if n else []
    if dtype in ("float64", "float32"):
        values = rounded(values, bits)
    dense = strides == contiguous(shape) or not n
    return {"t": [dtype, shape, None if dense else strides, n, int(x.requires_grad), blob.add(CODES[dtype], values)]}


def write(x, module, blob, bits=24):
    if isinstance(x, module.Tensor):
        return write_tensor(x, blob, bits)
    if x is None or isinstance(x, (bool, str)) or type(x) is int and abs(x) < 2 ** 63:
        return x
    if type(x) is float:
        return {"f": repr(x)}
    if isinstance(x, module.dtype):
        return {"dtype": plain(x)}
    if isinstance(x, (module.memory_format, module.layout)):
        return {"torch": plain(x)}
    if isinstance(x, module.device):
        return {"device": str(x)}
    if isinstance(x, slice):
        return {"slice": [write(v, module, blob, bits) for v in (x.start, x.stop, x.step)]}
    if x is Ellipsis:
        return {"ellipsis": 1}
    if isinstance(x, tuple):
        return {"tuple": [write(v, module, blob, bits) for v in x], "named": type(x).__name__}
    if type(x) is list:
        return [write(v, module, blob, bits) for v in x]
    raise Unwritten(type(x).__name__)


# ---- reading and calling ---------------------------------------------------------------------------------------------


def read_tensor(module, blob, dtype, shape, strides, n, requires_grad, at):
    values = blob.get(CODES[dtype], n, at)
    t = module.tensor([bool(v) for v in values] if dtype == "bool" else values, dtype=getattr(module, dtype))
    t = t.as_strided(shape, strides or contiguous(shape)).detach()
    return t.requires_grad_() if requires_grad else t


def read(x, module, blob):
    if isinstance(x, list):
        return [read(v, module, blob) for v in x]
    if not isinstance(x, dict):
        return x
    (kind, v), *_ = x.items()
    if kind == "t":
        return read_tensor(module, blob, *v)
    if kind == "f":
        return float(v)
    if kind in ("dtype", "torch"):
        return getattr(module, v)
    if kind == "device":
        return module.device(v)
    if kind == "slice":
        return slice(*(read(p, module, blob) for p in v))
    return ... if kind == "ellipsis" else tuple(read(p, module, blob) for p in v)


def find(module, at):
    first, *names = at.split(".")
    place = module.Tensor if first == "Tensor" else module
    for name in names:
        place = getattr(place, name)
    return place


def tensors(x, module):
    """The tensors in arguments or results, in order."""
    if isinstance(x, module.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for v in x for t in tensors(v, module)] if isinstance(x, (list, tuple)) else []


def cotangent(t, k, module):
    """Eighths that depend on the place and on k: the same in both libraries, and exact in every dtype."""
    values = [((i * 37 + k * 11) % 19 - 9) / 8 for i in range(t.numel())]
    return module.tensor(values, dtype=t.dtype).reshape(t.shape)


def call(module, case, blob, args=None):
    """(result, arguments) of the case; the generator is seeded."""
    args = args or [read(case["args"], module, blob), {k: read(v, module, blob) for k, v in case["kwargs"].items()}]
    module.manual_seed(SEED)
    return find(module, case["at"])(*args[0], **args[1]), args


def gradients(module, case, blob, second):
    """[first gradients, second gradients] where asked; None for an input that gets none."""
    out, args = call(module, case, blob)
    inputs = [t for t in tensors(args, module) if t.requires_grad]
    answers = []
    for k in range(2 if second else 1):
        outs = [t for t in tensors(out, module) if t is not None and t.requires_grad]
        if not outs:
            answers.append([None] * len(inputs))
            continue
        cot = [cotangent(t, 3 * i + k, module) for i, t in enumerate(outs)]
        got = module.autograd.grad(outs, inputs, cot, create_graph=second and not k, allow_unused=True)
        answers.append([g if g is None else g.detach() for g in got])
        out = [g for g in got if g is not None]
    return answers


def tangents(module, case, blob):
    import importlib
    forward_ad = importlib.import_module(module.__name__ + ".autograd.forward_ad")
    number = iter(range(1000))

    def dual(x):
        if isinstance(x, module.Tensor):
            return forward_ad.make_dual(x.detach(), cotangent(x, next(number), module)) if x.requires_grad else x
        if isinstance(x, dict):
            return {k: dual(v) for k, v in x.items()}
        return type(x)(map(dual, x)) if type(x) in (list, tuple) else x

    args = [read(case["args"], module, blob), {k: read(v, module, blob) for k, v in case["kwargs"].items()}]
    with forward_ad.dual_level():
        out, _ = call(module, case, blob, dual(args))
        got = [forward_ad.unpack_dual(t).tangent for t in tensors(out, module)]
        return [t if t is None else t.detach().clone() for t in got]


def error_of(module, case, blob):
    """Type and first sentence of what the call raises, or None."""
    try:
        call(module, case, blob)
    except Exception as error:  # noqa: BLE001 - the answer
        return [type(error).__name__, str(error).split("\n")[0].split(". ")[0].rstrip(".")]
    return None


# ---- the file --------------------------------------------------------------------------------------------------------


def save(path, head, cases, blob):
    text = json.dumps(head) + "\n" + json.dumps(cases, separators=(",", ":")) + "\n"
    with open(path, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write(text.encode() + bytes(blob.data))


def load(path):
    with gzip.open(path) as z:
        head, cases, data = z.read().split(b"\n", 2)
    return json.loads(head), json.loads(cases), Blob(data)
