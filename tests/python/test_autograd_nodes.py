"""grad_fn objects (I1-I3, S1): names, edges, what they saved, calling them. Expected values are PyTorch 2.15's."""

import unittest
import weakref

import wengert as torch
from wengert import autograd


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


class Nodes(unittest.TestCase):
    def fails(self, kind, text, f, *args, **kwargs):
        with self.assertRaises(kind) as caught:
            f(*args, **kwargs)
        self.assertEqual(str(caught.exception)[: len(text)], text)

    def test_I1_type_and_name(self):
        f = (leaf(1.0) + 2).grad_fn
        t = type(f)
        self.assertEqual((t.__name__, t.__qualname__, t.__module__, repr(t)), ("AddBackward0", "AddBackward0", "builtins", "<class 'AddBackward0'>"))
        self.assertRegex(repr(f), r"^<AddBackward0 object at 0x[0-9a-f]+>$")
        self.assertEqual(str(f), repr(f))
        self.assertEqual(f.name(), "AddBackward0")
        self.assertIsInstance(f, autograd.graph.Node)
        self.assertTrue(issubclass(t, autograd.graph.Node))
        self.assertIs(type((leaf(1.0) + 3).grad_fn), t)
        self.fails(TypeError, "cannot create", t)
        self.assertTrue(f.requires_grad)

    def test_I1_next_functions(self):
        x = leaf(1.0)
        f = (x * 2).grad_fn
        (a, zero), second = f.next_functions
        self.assertEqual((zero, second), (0, (None, 0)))
        self.assertEqual((a.name(), type(a).__name__), ("torch::autograd::AccumulateGrad", "AccumulateGrad"))
        self.assertIs(a.variable, x)
        self.assertEqual(a.next_functions, ())
        self.assertEqual(a._sequence_nr(), 2**64 - 1)
        self.assertIs((x * 3).grad_fn.next_functions[0][0], a)  # L3: one per leaf
        b, c = torch.ones(2, 2, requires_grad=True).unbind()
        self.assertEqual((b + c).grad_fn.next_functions, ((b.grad_fn, 0), (c.grad_fn, 1)))
        self.fails(AttributeError, "'MulBackward0' object has no attribute 'variable'", getattr, f, "variable")

    def test_I1_identity(self):
        y = leaf(1.0) * 2
        f = y.grad_fn
        self.assertIs(y.grad_fn, f)
        self.assertIs((y + 1).grad_fn.next_functions[0][0], f)
        self.assertEqual(hash(f), hash(y.grad_fn))
        self.assertTrue(f == y.grad_fn and f != (y + 1).grad_fn)
        self.assertIs(weakref.ref(f)(), f)
        del y
        self.assertEqual(f.next_functions[0][0].variable.tolist(), [1])

    def test_I1_metadata_stays(self):
        y = leaf(1.0) * 2
        y.grad_fn.metadata["note"] = 1
        self.assertEqual(y.grad_fn.metadata, {"note": 1})
        self.assertEqual((leaf(1.0) * 2).grad_fn.metadata, {})

    def test_I1_attributes(self):
        f = (leaf(1.0) + 2).grad_fn
        self.fails(AttributeError, "'AddBackward0' object has no attribute 'foo'", getattr, f, "foo")
        self.fails(AttributeError, "'AddBackward0' object has no attribute 'foo'", setattr, f, "foo", 1)
        self.assertRaises(AttributeError, setattr, f, "next_functions", ())
        m = (leaf(1.0, 2.0) * 2).grad_fn._input_metadata
        self.assertEqual((len(m), m[0].shape, m[0].dtype, m[0].device), (1, torch.Size([2]), torch.float32, torch.device("cpu")))
        self.assertLess((leaf(1.0) + 1).grad_fn._sequence_nr(), (leaf(1.0) + 1).grad_fn._sequence_nr())

    def test_I1_calling(self):
        x, w = leaf(1.0, 2.0), leaf(5.0)
        f = (x * w).grad_fn
        a, b = f(torch.tensor([1.0, 10.0]))
        self.assertEqual((a.tolist(), b.tolist()), ([5, 50], [21]))
        self.assertEqual(x.exp().grad_fn(None), None)
        self.assertEqual(f(None), (None, None))
        self.fails(TypeError, "expected 1 arguments, got 0 instead", f)
        self.fails(TypeError, "argument 0 is not a Variable", f, 1)
        acc = f.next_functions[0][0]
        self.assertEqual(acc(torch.ones(2)), ())
        self.assertEqual(x.grad.tolist(), [1, 1])

    def test_S1_what_is_saved(self):
        x, c = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2)
        f = (x * c).grad_fn
        self.assertIs(f._saved_other, c)
        self.assertIsNone(f._saved_self)
        f = (x**2).grad_fn
        self.assertIs(f._saved_self, x)
        self.assertEqual((f._saved_exponent, type(f._saved_exponent)), (2, int))
        self.assertEqual((x * 2).grad_fn._saved_other.item(), 2)
        e = x.exp()
        self.assertEqual(e.grad_fn._saved_result.tolist(), e.tolist())
        self.assertIs(e.grad_fn._saved_result.grad_fn, e.grad_fn)
        self.fails(AttributeError, "'AddBackward0' object has no attribute '_saved_self'", getattr, (x + c).grad_fn, "_saved_self")
        self.assertEqual(x.softmax(1).grad_fn._saved_dim, 1)
        self.assertEqual(x.max(0)[0].grad_fn._saved_indices.tolist(), [0, 0])
        self.assertIn("_saved_exponent", dir(f))
        self.assertIn("variable", dir((x * 2).grad_fn.next_functions[0][0]))

    def test_S1_after_the_graph_was_freed(self):
        y = leaf(1.0) ** 2
        y.backward()
        self.fails(RuntimeError, "Trying to backward through the graph a second time (or directly access saved tensors after they "
                   "have already been freed).", getattr, y.grad_fn, "_saved_self")

    def test_S4_a_saved_object_comes_back_as_often_as_asked(self):
        class Mine(torch.Tensor):
            pass

        x, w = torch.ones(2), torch.ones(2, requires_grad=True)
        x.note = 5
        m = torch.ones(2).as_subclass(Mine)
        m.note = 6
        f, g = (w * x).grad_fn, torch.mul(w, m).grad_fn.next_functions[0][0]
        del x, m
        for _ in range(3):
            self.assertEqual((f._saved_other.note, g._saved_other.note, type(g._saved_other)), (5, 6, Mine))

    def test_I3_names(self):
        x, y = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2, requires_grad=True)
        cases = {
            "AddBackward0": x + y, "SubBackward0": x - y, "MulBackward0": x * y, "DivBackward0": x / y, "PowBackward0": x**2,
            "PowBackward1": x**y, "PowBackward2": 2**x, "RsubBackward1": 1 - x, "NegBackward0": -x, "MmBackward0": x @ y,
            "SumBackward0": x.sum(), "SumBackward1": x.sum(0), "MaxBackward0": x.max(0)[0], "MaxBackward1": x.max(),
            "ViewBackward0": x.reshape(4), "PermuteBackward0": x.T, "SelectBackward0": x[0], "SliceBackward0": x[:1],
            "ClampBackward1": x.clamp(0, 1), "ToCopyBackward0": x.double(), "MeanBackward0": x.mean(),
        }
        for name, t in cases.items():
            self.assertEqual(t.grad_fn.name(), name)
            self.assertEqual(type(t.grad_fn).__name__, name)

    def test_V3_copy_slices(self):
        b = leaf(1.0, 2.0).clone()
        v = b[:1]
        v.mul_(2)
        self.assertEqual((b.grad_fn.name(), type(b.grad_fn).__name__), ("torch::autograd::CopySlices", "CopySlices"))
        self.assertEqual(v.grad_fn.name(), "AsStridedBackward0")


if __name__ == "__main__":
    unittest.main()
