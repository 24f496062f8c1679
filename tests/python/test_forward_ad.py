"""autograd.forward_ad (D1, D2). Expected values and texts are PyTorch 2.15's."""

import copy
import gc
import threading
import unittest
import weakref

import wengert as torch
from wengert.autograd import forward_ad as fwAD


class Case(unittest.TestCase):
    def setUp(self):
        self.x, self.t = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])

    def fails(self, kind, text, f, *args, **kwargs):
        with self.assertRaises(kind) as caught:
            f(*args, **kwargs)
        self.assertEqual(str(caught.exception)[: len(text)], text)

    def values(self, t, *want):
        self.assertEqual(t.tolist(), list(want))

    def tangent(self, t, *want):
        self.values(fwAD.unpack_dual(t).tangent, *want)


class Levels(Case):
    def test_D1_make_and_unpack(self):
        x, t = self.x, self.t
        with fwAD.dual_level() as level:
            d = fwAD.make_dual(x, t)
            self.assertEqual(repr(d), "tensor([1., 2.], tangent=tensor([3., 4.]))")
            self.assertEqual((level, d._is_view(), d._base is x, d._version, d.requires_grad), (0, True, True, 0, False))
            u = fwAD.unpack_dual(d)
            self.assertEqual(repr(u), "UnpackedDualTensor(primal=tensor([1., 2.]), tangent=tensor([3., 4.]))")
            self.assertIs(u.tangent, t)
            self.assertEqual(u.primal.data_ptr(), x.data_ptr())
            self.assertIsNone(fwAD.unpack_dual(x).tangent)
            self.assertIsNot(fwAD.unpack_dual(x).primal, x)
        self.assertIsNone(fwAD.unpack_dual(d).tangent)
        self.assertIs(fwAD.unpack_dual(d).primal, d)
        self.assertEqual(repr(d), "tensor([1., 2.])")
        self.assertEqual(fwAD.unpack_dual(1), (1, None))

    def test_D1_writes_are_shared(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            self.x.mul_(2)
            self.assertEqual((d.tolist(), d._version), ([2, 4], 1))
            self.tangent(d, 3, 4)
            d.mul_(2)
            self.values(self.x, 4, 8)
            self.values(self.t, 6, 8)

    def test_D1_layouts_and_dtypes(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(torch.ones(2, 3).t(), torch.ones(3, 2))
            self.assertEqual(fwAD.unpack_dual(d).tangent.stride(), (1, 3))
            d = fwAD.make_dual(torch.ones(3), torch.ones(1).expand(3))
            self.assertEqual(fwAD.unpack_dual(d).tangent.stride(), (1,))
            d = fwAD.make_dual(self.x, self.t.double())
            self.assertEqual(fwAD.unpack_dual(d).tangent.dtype, torch.float64)

    def test_one_level(self):
        with fwAD.dual_level():
            self.fails(RuntimeError, "Nested forward mode AD is not supported at the moment", fwAD.enter_dual_level)
            self.assertEqual(fwAD._current_level, 0)
            self.fails(RuntimeError, "Trying to exit a forward AD level that was not the last one that was created. This is not "
                       "supported.", fwAD.exit_dual_level, level=3)
        self.assertEqual(fwAD._current_level, -1)
        self.fails(RuntimeError, "Dual level must be a positive number.", fwAD.exit_dual_level)
        self.assertEqual(fwAD.enter_dual_level(), 0)
        fwAD.exit_dual_level(level=0)

    def test_as_a_decorator(self):
        @fwAD.dual_level()
        def level():
            return fwAD._current_level

        self.assertEqual((level(), level(), fwAD._current_level), (0, 0, -1))

    def test_refusals(self):
        x, t = self.x, self.t
        self.fails(RuntimeError, "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.",
                   fwAD.make_dual, x, t)
        with fwAD.dual_level():
            self.fails(RuntimeError, "Trying to set a forward gradient that has a different size than that of the original Tensor, this is "
                       "not supported. Tensor is of size [2] while the given forward gradient is of size [3].", fwAD.make_dual, x, torch.ones(3))
            self.fails(ValueError, "Expected primal to be floating point or complex, but got: torch.int64", fwAD.make_dual, x.long(), t)
            self.fails(ValueError, "Expected tangent to be floating point or complex, but got: torch.int64", fwAD.make_dual, x, t.long())
            d = fwAD.make_dual(x, t)
            self.fails(RuntimeError, "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not "
                       "supported.", fwAD.make_dual, d, t)
            self.fails(RuntimeError, "Setting a forward grad that itself has a forward gradient at the same level0 is not supported.",
                       fwAD.make_dual, x, d)
            self.fails(TypeError, "_unpack_dual(): argument 'dual' (position 1) must be Tensor, not int", fwAD.unpack_dual, 1)
            self.fails(NotImplementedError, "Trying to use forward AD with mul_out that does not support it because it is an out= function",
                       torch.mul, d, 2, out=torch.ones(2))
            with self.assertRaises(AttributeError):
                fwAD.make_dual(1, t)


class Pushing(Case):
    def test_D2_ops(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            self.tangent(d * d + 1, 6, 16)
            self.tangent(torch.stack([d, d * 2]), [3, 4], [6, 8])
            self.tangent(d[1:], 4)
            self.assertEqual(fwAD.unpack_dual((d * self.x).sum()).tangent.item(), 11)
            for t in (d.detach(), d > 1, d.long(), d.data, torch.zeros_like(d)):
                self.assertIsNone(fwAD.unpack_dual(t).tangent)

    def test_D2_grad_mode_does_not_matter(self):
        with fwAD.dual_level(), torch.no_grad():
            self.tangent(fwAD.make_dual(self.x, self.t) * 2, 6, 8)

    def test_D2_in_place(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            a = torch.zeros(4)
            a[:2] = d
            self.tangent(a, 3, 4, 0, 0)
            a[1:3].mul_(2)
            self.tangent(a, 3, 8, 0, 0)
            b = torch.zeros(2)
            b.copy_(d)
            self.tangent(b, 3, 4)
            b.zero_()
            self.tangent(b, 0, 0)
            w = torch.zeros(3)
            v = w[:2]
            v.add_(d)
            self.tangent(w, 3, 4, 0)
            self.tangent(v, 3, 4)

    def test_D2_copies(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            self.tangent(d.clone(), 3, 4)
            self.values(copy.deepcopy(d), 1, 2)

    def test_D2_both_modes(self):
        p = self.x.clone().requires_grad_()
        with fwAD.dual_level():
            d = fwAD.make_dual(p, self.t)
            self.assertEqual(d.grad_fn.name(), "ViewBackward0")
            y = d * d * d
            self.values(torch.autograd.grad(fwAD.unpack_dual(y).tangent.sum(), p, retain_graph=True)[0], 18, 48)  # 6 x t
            (g,) = torch.autograd.grad(y.sum(), p, create_graph=True)
            self.values(g, 3, 12)
            self.tangent(g, 18, 48)
            t = self.t.clone().requires_grad_()
            e = fwAD.make_dual(self.x, t) * 5
            fwAD.unpack_dual(e).tangent.sum().backward()
            self.values(t.grad, 5, 5)

    def test_switched_off(self):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            with fwAD._set_fwd_grad_enabled(False):
                self.assertFalse(fwAD._is_fwd_grad_enabled())
                e = d * 2
                self.assertIsNone(fwAD.unpack_dual(d).tangent)
                self.assertEqual(repr(d), "tensor([1., 2.])")
            self.assertTrue(fwAD._is_fwd_grad_enabled())
            self.assertIsNone(fwAD.unpack_dual(e).tangent)
            self.tangent(d * 2, 6, 8)


class Life(Case):
    def test_an_exception_ends_the_level(self):
        with self.assertRaises(KeyError), fwAD.dual_level():
            d = fwAD.make_dual(self.x, self.t)
            raise KeyError
        self.assertEqual(fwAD._current_level, -1)
        self.assertEqual(repr(d), "tensor([1., 2.])")

    def test_tangents_go_with_the_level(self):
        t = torch.tensor([3.0, 4.0], requires_grad=True)
        ref = weakref.ref(t)
        with fwAD.dual_level():
            y = fwAD.make_dual(self.x, t) * t
            del t
            self.assertIsNotNone(ref())
        self.assertIsNotNone(y.grad_fn)
        del y
        gc.collect()
        self.assertIsNone(ref())

    def test_a_level_is_a_threads(self):
        seen = []

        def other():
            seen.append(fwAD._current_level)
            with fwAD.dual_level():
                seen.append(fwAD.unpack_dual(fwAD.make_dual(self.x, self.t) * 2).tangent.tolist())

        with fwAD.dual_level():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            self.assertEqual(fwAD._current_level, 0)
        self.assertEqual(seen, [-1, [6, 8]])


if __name__ == "__main__":
    unittest.main()
