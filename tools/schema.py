"""Schemas as tools read them: parameters and result of "add(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "build/release/python"))


class Param:
    def __init__(self, text, kwonly):
        words, _, default = text.partition("=")
        self.type, _, self.name = words.rpartition(" ")
        self.default = default or None
        self.kwonly = kwonly
        self.optional = self.type.endswith("?")
        self.type = self.type.removesuffix("?")


class Row:
    """One overload: kind f (torch.X), m (Tensor.X), n (nn.functional.X)."""

    def __init__(self, kind, name, schema, in_place, takes_out):
        self.kind, self.name, self.schema, self.in_place, self.takes_out = kind, name, schema, in_place, takes_out
        inside, self.result = schema[schema.index("(") + 1:].rsplit(") -> ", 1)
        self.params, kwonly = [], False
        for part in filter(None, (p.strip() for p in inside.split(", "))):
            if part == "*":
                kwonly = True
            else:
                self.params.append(Param(part, kwonly))


def rows():
    from wengert import _C

    return [Row(*r) for r in _C._schemas() if r[0] in "fmn"]
