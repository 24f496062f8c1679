"""Indexing and assignment, replayed from PyTorch 2.15.0's recorded answers, and what the recording does not cover.

data/index.json was made by tools/conformance_index.py, which also evaluates the cases here.
"""
import gc
import hashlib
import importlib.util
import json
import pathlib
import sys
import unittest
import warnings

import wengert as torch

try:
    import numpy as np
except ImportError:
    np = None

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / "tools" / "conformance_index.py"
DATA = HERE / "data" / "index.json"


def conformance():
    spec = importlib.util.spec_from_file_location("conformance_index", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(f):
    """The exception's type and the first sentence of its text."""
    try:
        f()
    except Exception as e:
        return f"{type(e).__name__}: {conformance().first_sentence(str(e))}"
    return None


def chain(t):
    return conformance().chain(t)


class Recorded(unittest.TestCase):
    def test_recording_names_its_script(self):
        head = json.loads(DATA.read_text())
        self.assertTrue(head["torch"].startswith("2."))
        self.assertEqual(head["script"], "tools/conformance_index.py")
        self.assertEqual(head["sha256"], hashlib.sha256(SCRIPT.read_bytes()).hexdigest())

    def test_every_case_as_pytorch(self):
        script, cases = conformance(), json.loads(DATA.read_text())["cases"]
        self.assertGreaterEqual(len(cases), 1000)
        for case, want in cases:
            if np is None and "np." in case["key"] + case.get("value", ""):
                continue
            with self.subTest(case=case):
                if case.get("value") == "np.bool_(True)" and np.__version__ < "2":
                    continue  # recorded with NumPy 2; NumPy 1 lets its bool pass for an index, with a warning of its own
                self.assertEqual(json.loads(json.dumps(script.evaluate(torch, np, case)).replace("numpy.bool_", "numpy.bool")), want)

    @unittest.skipIf(np is None, "needs numpy")
    def test_basic_keys_as_numpy(self):
        script, rng, basic = conformance(), __import__("random").Random(5), 0
        while basic < 300:
            case = script.make_case(rng, lambda case: None)
            if not case.pop("basic", False):
                continue
            basic += 1
            with self.subTest(case=case):
                self.assertTrue(script.with_numpy(np, case, script.evaluate(torch, np, case)))


class Reading(unittest.TestCase):
    def setUp(self):
        self.x = torch.arange(24.).reshape(2, 3, 4).requires_grad_()

    def test_views_and_their_history(self):
        x = self.x
        alias = ["[:, :]", "[...]", "[()]", "[0:2, :]", "[..., ...]"]
        for key in alias:
            self.assertEqual(chain(eval("x" + key)), "AliasBackward0 AccumulateGrad", key)
        self.assertEqual(chain(x[:]), "SliceBackward0 AccumulateGrad")
        self.assertEqual(chain(x[0]), "SelectBackward0 AccumulateGrad")
        self.assertEqual(chain(x[torch.tensor(1), 2]), "SelectBackward0 SelectBackward0 AccumulateGrad")
        self.assertEqual(chain(x[None]), "UnsqueezeBackward0 AccumulateGrad")
        self.assertEqual(chain(x[True]), "IndexBackward0 UnsqueezeBackward0 AccumulateGrad")
        self.assertEqual(chain(x[[0]]), "IndexBackward0 AccumulateGrad")
        self.assertIs(x[1:]._base, x._base)

    def test_a_sequence_that_stands_for_a_tuple_warns(self):
        with self.assertWarnsRegex(UserWarning, "Using a non-tuple sequence for multidimensional indexing"):
            self.assertEqual(self.x[[[0], [1]]].shape, (1, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.x[[0] * 40].shape, (40, 3, 4))
            self.assertEqual(self.x[[[0]] * 33].shape, (33, 1, 3, 4))

    def test_a_warning_that_is_an_error_stops_the_call(self):
        mask = torch.tensor([1, 0], dtype=torch.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertRaises(UserWarning, lambda: self.x[mask])
            self.assertRaises(UserWarning, lambda: self.x[[[0], [1]]])

    def test_errors(self):
        x, zero = self.x, torch.tensor(1.)
        valid = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices"
        facts = [
            (lambda: zero[0], "IndexError: invalid index of a 0-dim tensor"),
            (lambda: zero[1], "IndexError: index 1 is out of bounds for dimension 0 with size 0"),
            (lambda: zero[:], "IndexError: slice() cannot be applied to a 0-dim tensor"),
            (lambda: zero[0,], "IndexError: too many indices for tensor of dimension 0"),
            (lambda: x[2], "IndexError: index 2 is out of bounds for dimension 0 with size 2"),
            (lambda: x[None, 5], "IndexError: index 5 is out of bounds for dimension 1 with size 2"),
            (lambda: x[:, [5]], "IndexError: index 5 is out of bounds for dimension 0 with size 3"),
            (lambda: x[::-1], "ValueError: step must be greater than zero"),
            (lambda: x[::0], "ValueError: slice step cannot be zero"),
            (lambda: x[0.5:], "TypeError: slice indices must be integers or None or have an __index__ method"),
            (lambda: x[0.5], f"IndexError: {valid} (got float)"),
            (lambda: x[{}], f"IndexError: {valid} (got dict)"),
            (lambda: x[torch.float32], f"IndexError: {valid} (got torch.dtype)"),
            (lambda: x[2**63], "ValueError: Overflow when unpacking long long"),
            (lambda: x[-2**63], "IndexError: index -9223372036854775808 is out of bounds for dimension 0 with size 2"),
            (lambda: x[[{}]], "RuntimeError: Could not infer dtype of dict"),
        ]
        for f, want in facts:
            self.assertEqual(said(f), want)

    def test_what_an_index_raises_is_not_swallowed(self):
        class Bad:
            def __len__(self):
                return 2

            def __getitem__(self, i):
                raise ZeroDivisionError("mine")

        class BadIndex:
            def __index__(self):
                raise ZeroDivisionError("mine")

        self.assertRaises(ZeroDivisionError, lambda: self.x[Bad()])
        self.assertRaises(ZeroDivisionError, lambda: self.x[BadIndex():])

    def test_the_most_dims(self):
        x = torch.ones(1)
        self.assertEqual(x[(None,) * 63].dim(), 64)
        for key in ((None,) * 64, (True,) * 64, (True,) * 70, (None,) * 200):
            self.assertRaises((IndexError, RuntimeError), lambda: x[key])
        many = [[0]]
        for _ in range(70):
            many = [many]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.assertRaises((IndexError, RuntimeError, ValueError), lambda: x[many,])
        knot = []
        knot.append(knot)
        self.assertRaises(Exception, lambda: x[knot,])


class Writing(unittest.TestCase):
    def written(self, key, value):
        w = torch.arange(24.).reshape(2, 3, 4).requires_grad_().clone()
        w[key] = value
        return chain(w).split()[0]

    def test_grad_fn(self):
        mask = torch.tensor([True, False])
        one, full = torch.tensor(1.), torch.ones(2, 3, 4)
        facts = [
            ([0], 1., "IndexFillBackward0"), ((slice(None), [0]), 1., "IndexFillBackward0"),
            (mask, 1., "MaskedFillBackward0"), (mask, one, "IndexPutBackward0"),
            ([0], one, "IndexPutBackward0"), (([0], [1]), 1., "IndexPutBackward0"),
            (..., 1., "FillBackward2"), (slice(None), 1., "FillBackward2"), (..., one, "FillBackward3"),
            (..., full, "CopyBackwards"), (0, 1., "CopySlices"), (None, 1., "CopySlices"), (True, one, "CopySlices"),
            (False, 1., "CloneBackward0")]
        for key, value, name in facts:
            self.assertEqual(self.written(key, value), name, (key, value))

    def test_values(self):
        x = torch.zeros(2, 3)
        x[0] = torch.ones(1, 1, 3, dtype=torch.int64)
        x[:, 1] = torch.tensor(2.5, dtype=torch.float64)
        x[torch.tensor([[True, False, False], [False, False, True]])] = torch.tensor([7., 8.])
        self.assertEqual(x.tolist(), [[7., 2.5, 1.], [0., 2.5, 8.]])
        self.assertEqual(x._version, 3)

    def test_errors(self):
        x, leaf = torch.zeros(2, 3), torch.zeros(2, 3, requires_grad=True)

        def put(t, key, value):
            return said(lambda: t.__setitem__(key, value))

        in_use = "is being used in an in-place operation"
        facts = [
            (put(x, 0, [1]), "TypeError: can't assign a list to a torch.FloatTensor"),
            (put(x, 0, None), "TypeError: can't assign a NoneType to a torch.FloatTensor"),
            (put(x, 0, torch.ones(2)), "RuntimeError: The expanded size of the tensor (3) must match the existing size "
                                       "(2) at non-singleton dimension 0"),
            (put(x, [0], torch.ones(2)), "RuntimeError: shape mismatch: value tensor of shape [2] cannot be broadcast "
                                         "to indexing result of shape [1, 3]"),
            (put(x, [0], torch.tensor(1)), "RuntimeError: Index put requires the source and destination dtypes match, "
                                           "got Float for the destination and Long for the source"),
            (put(x, 0, 1e300), "RuntimeError: value cannot be converted to type float without overflow"),
            (put(x, 0, 2**70), "ValueError: Overflow when unpacking long long"),
            (put(leaf, 0, 1.), f"RuntimeError: a view of a leaf Variable that requires grad {in_use}"),
            (put(leaf, ..., 1.), f"RuntimeError: a leaf Variable that requires grad {in_use}"),
            (put(leaf, [0], 1.), f"RuntimeError: a leaf Variable that requires grad {in_use}"),
            (said(lambda: x.__delitem__(0)), "TypeError: Tensor does not support deleting items"),
        ]
        for got, want in facts:
            self.assertEqual(got, want)
        self.assertEqual(x.tolist(), [[0.] * 3] * 2)
        self.assertEqual(x._version, 0)

    def test_gradients(self):
        a = torch.tensor([1., 2., 3.], requires_grad=True)
        v = torch.tensor([5., 6.], requires_grad=True)
        w = a * 2
        w[[0, 2]] = v * 3
        w[1:2] = w[0].clone() * a[1]
        w.sum().backward()
        self.assertEqual(a.grad.tolist(), [0., 15., 0.])
        self.assertEqual(v.grad.tolist(), [9., 3.])

    def test_index_put_takes_lists_with_holes(self):
        x, at = torch.zeros(2, 3), torch.tensor([0, 2])
        self.assertEqual(x.index_put([None, at], torch.tensor(1.)).tolist(), [[1., 0., 1.]] * 2)
        x.index_put_((torch.tensor([0, 0]), torch.tensor([1, 1])), torch.tensor(1.), accumulate=True)
        self.assertEqual(x.tolist(), [[0., 2., 0.], [0., 0., 0.]])


class Sequence(unittest.TestCase):
    def test_len_and_iteration(self):
        y, zero = torch.ones(2, 3, requires_grad=True), torch.tensor(1.)
        self.assertEqual([len(y), len(torch.ones(0, 3)), list(torch.ones(0, 3))], [2, 0, []])
        self.assertEqual(said(lambda: len(zero)), "TypeError: len() of a 0-d tensor")
        self.assertEqual(said(lambda: iter(zero)), "TypeError: iteration over a 0-d tensor")
        self.assertEqual([chain(row) for row in y], ["UnbindBackward0 AccumulateGrad"] * 2)
        self.assertEqual(len(list(torch.ones(300))), 300)
        a, (b, c) = torch.tensor([[1, 2], [3, 4]])
        self.assertEqual((a.tolist(), b.item(), c.item()), ([1, 2], 3, 4))

    def test_contains(self):
        x = torch.tensor([1., 2.])
        for value in (1, 2.0, torch.tensor(2.), torch.tensor([1., 5.]), True):
            self.assertTrue(value in x)
        self.assertFalse(3 in x or 1j in x or 1 in torch.ones(0))
        self.assertEqual(said(lambda: "a" in x), "RuntimeError: Tensor.__contains__ only supports Tensor or scalar, "
                                                 "but you passed in a <class 'str'>")
        self.assertRaises(RuntimeError, lambda: None in x)
        self.assertRaises(RuntimeError, lambda: torch.ones(3) in x)

    def test_reversed(self):
        self.assertEqual(reversed(torch.tensor([[1, 2], [3, 4]])).tolist(), [[3, 4], [1, 2]])
        zero = torch.tensor(1.)
        self.assertIs(reversed(zero), zero)


class Memory(unittest.TestCase):
    def test_references_do_not_pile_up(self):
        x, mask, key, v = torch.zeros(3, 4), torch.zeros(3, 4) > 0, (1, slice(0, 2)), torch.ones(2)
        bad = object()

        def once():
            x[0], x[key], x[[0, 1]], x[mask], x[...], x[None, True]
            x[key] = v
            x[[0, 2]] = 1
            x[mask] = 0.5
            for wrong in (9, bad, (0, bad), (["a"],)):
                self.assertRaises(Exception, x.__getitem__, wrong)
            self.assertRaises(TypeError, x.__setitem__, 0, bad)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(20):
                once()
            gc.collect()
            before = [sys.getrefcount(o) for o in (x, mask, key, v, bad)], len(gc.get_objects())
            for _ in range(50):
                once()
            gc.collect()
            after = [sys.getrefcount(o) for o in (x, mask, key, v, bad)], len(gc.get_objects())
        self.assertEqual(before[0], after[0])
        self.assertLess(after[1] - before[1], 50)


if __name__ == "__main__":
    unittest.main()
