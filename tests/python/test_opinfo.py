"""Samples of PyTorch's own OpInfo, replayed from PyTorch 2.15.0's recorded answers: results, gradients, second gradients,
tangents, refusals. data/opinfo.json.gz was made by tools/dump_opinfo.py; recorded_call.py asks Wengert.
"""
import collections
import hashlib
import importlib.util
import math
import pathlib
import unittest

import recorded_call as rc
import wengert as torch

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / "tools" / "dump_opinfo.py"
TOLERANCE = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5)}
HEAD, CASES, BLOB = rc.load(HERE / "data" / "opinfo.json.gz")
COUNTS = collections.Counter()


def close(a, b, rtol, atol):
    return a == b or math.isnan(a) and math.isnan(b) or abs(a - b) <= atol + rtol * abs(b)


def elements(t):
    return t.detach().reshape(-1).tolist()


def wrong(ours, case_tensor, scale=1):
    """What differs from the recorded tensor, or None."""
    if (ours is None) != (case_tensor is None):
        return f"{'None' if ours is None else 'there'}, not {'None' if case_tensor is None else 'there'}"
    if ours is None:
        return None
    if type(ours) is not torch.Tensor:
        return f"{type(ours).__name__}, not Tensor"
    dtype, shape, strides, n, requires_grad, at = case_tensor["t"]
    if [rc.plain(ours.dtype), list(ours.shape), ours.requires_grad] != [dtype, shape, bool(requires_grad)]:
        return f"{ours.dtype} {tuple(ours.shape)} {ours.requires_grad}, not {case_tensor['t']}"
    want = elements(rc.read_tensor(torch, BLOB, dtype, shape, strides, n, False, at))
    rtol, atol = TOLERANCE.get(dtype, (0, 0))
    return next((f"{a}, not {b}" for a, b in zip(elements(ours), want) if not close(a, b, rtol * scale, atol * scale)), None)


def differs(ours, want):
    """The first difference of a result from the recorded one, whatever it is made of."""
    if isinstance(want, dict) and "t" in want:
        return wrong(ours, want)
    if isinstance(want, dict) and "tuple" in want:
        if type(ours).__name__ != want["named"]:
            return f"{type(ours).__name__}, not {want['named']}"
        want = want["tuple"]
    if isinstance(want, list):
        return f"{len(ours)} results" if len(ours) != len(want) else next((d for d in map(differs, ours, want) if d), None)
    want = rc.read(want, torch, BLOB)
    same = type(ours) is type(want) and (close(ours, want, 1e-7, 0) if isinstance(want, float) else ours == want)
    return None if same else f"{ours!r}, not {want!r}"


def zeros(t):
    return t is not None and not any(elements(t))


def recorded_zeros(want):
    return want is not None and zeros(rc.read(want, torch, BLOB))


class Recorded(unittest.TestCase):
    """One subtest per sample that the entry's operator was asked."""

    def each(self, kind, check):
        for number, case in enumerate(CASES):
            if kind not in case or "nuc" in case["kwargs"].values() or "nuc" in case["args"]:
                continue  # the nuclear norm is still to come
            COUNTS[kind] += 1
            with self.subTest(f"{kind} of {case['op']}", case=number):
                check(case)

    def lists(self, ours, want, scale=1):
        self.assertEqual(len(ours), len(want))
        for i, (a, b) in enumerate(zip(ours, want)):
            if a is None and recorded_zeros(b) or b is None and zeros(a):
                continue  # no gradient and one that is zero everywhere are the same here
            self.assertIsNone(wrong(a, b, scale), f"input {i}")

    @classmethod
    def tearDownClass(cls):
        print(f"OpInfo: {COUNTS['out']} results, {COUNTS['grad']} gradients, {COUNTS['second']} second gradients, "
              f"{COUNTS['tangent']} tangents, {COUNTS['error']} refusals compared with recorded ones")

    @unittest.skipUnless(SCRIPT.exists(), "tools are not here")
    def test_recording_names_its_script(self):
        self.assertEqual(HEAD["script"], "tools/dump_opinfo.py")
        self.assertEqual(HEAD["torch"].split("+")[0], "2.15.0")
        self.assertEqual(HEAD["sha256"], hashlib.sha256(SCRIPT.read_bytes()).hexdigest())

    def test_results(self):
        self.each("out", lambda c: self.assertIsNone(differs(rc.call(torch, c, BLOB)[0], c["out"])))

    def test_gradients(self):
        self.each("grad", lambda c: self.lists(rc.gradients(torch, c, BLOB, False)[0], c["grad"]))

    def test_second_gradients(self):
        self.each("second", lambda c: self.lists(rc.gradients(torch, c, BLOB, True)[1], c["second"], 10))

    @unittest.skipUnless(importlib.util.find_spec("wengert.autograd.forward_ad"), "forward mode is still to come")
    def test_tangents(self):
        self.each("tangent", lambda c: self.lists(rc.tangents(torch, c, BLOB), c["tangent"]))

    def test_refusals(self):
        self.each("error", lambda c: self.assertEqual(rc.error_of(torch, c, BLOB), c["error"]))


if __name__ == "__main__":
    unittest.main()
