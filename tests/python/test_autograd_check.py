"""gradcheck, gradgradcheck and autograd.functional. Expected values and texts are PyTorch 2.15's."""

import itertools
import unittest

import wengert as torch
from wengert import autograd
from wengert.autograd import functional
from wengert.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck


def double(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def cube(x):
    return x**3


class Case(unittest.TestCase):
    def setUp(self):
        self.x, self.w = double(1.0, 2.0, 3.0), double(0.5, 0.2, 0.1)

    def fails(self, kind, text, f, *args, **kwargs):
        with self.assertRaises(kind) as caught:
            f(*args, **kwargs)
        self.assertEqual(str(caught.exception)[: len(text)], text)


def hooked(change):
    def f(x):
        y = x * x
        y.register_hook(change)
        return y

    return f


class Gradcheck(Case):
    def test_G1_agreement(self):
        self.assertIs(gradcheck(cube, self.x), True)
        self.assertIs(autograd.gradcheck(cube, self.x), True)  # module and function in one
        self.assertIs(gradcheck(lambda x, w: (x * w, x.exp().sum()), (self.x, self.w)), True)
        self.assertIs(gradcheck(cube, self.x, fast_mode=True), True)
        self.assertIs(gradcheck(cube, self.x, check_batched_grad=True), True)
        self.assertIs(gradcheck(lambda x: (x * x).argmax(), self.x), True)

    def test_G1_mismatch(self):
        bad = hooked(lambda g: g * 2)
        self.fails(GradcheckError, "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:tensor([[2.0000,", gradcheck, bad, self.x)
        self.assertIs(gradcheck(bad, self.x, raise_exception=False), False)
        self.fails(GradcheckError, "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:", gradcheck, bad, self.x, fast_mode=True)
        self.assertTrue(issubclass(GradcheckError, RuntimeError))

    def test_G1_other_failures(self):
        count = itertools.count()
        self.fails(GradcheckError, "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                   "gives different values, although analytical gradient matches numerical gradient.The tolerance for "
                   "nondeterminism was 0.0.", gradcheck, hooked(lambda g: g * (1 + next(count) * 1e-9)), self.x)
        self.fails(GradcheckError, "Numerical gradient for function expected to be zero", gradcheck, lambda x: x.detach() * 2, self.x)

    def test_G4_inputs(self):
        self.fails(ValueError, "gradcheck expects at least one input tensor to require gradient, but none of them have "
                   "requires_grad=True.", gradcheck, cube, torch.ones(3))
        with self.assertWarnsRegex(UserWarning, "Input #0 requires gradient and is not a double precision floating point or complex."):
            gradcheck(cube, torch.ones(2, requires_grad=True), raise_exception=False)
        self.fails(RuntimeError, "The 0th input has a dimension with stride 0.", gradcheck, cube,
                   (double(1.0).detach().expand(3).requires_grad_(),))

    def test_the_values_come_back(self):
        gradcheck(cube, self.x)
        self.assertEqual((self.x.tolist(), self.x._version, self.x.grad), ([1, 2, 3], 0, None))

    def test_gradgradcheck(self):
        self.assertIs(gradgradcheck(cube, self.x), True)
        self.assertIs(gradgradcheck(lambda x, w: (x * w).exp().sum(), (self.x, self.w)), True)
        self.assertIs(gradgradcheck(cube, self.x, double(1.0, 1.0, 1.0)), True)
        self.assertIs(autograd.gradgradcheck(cube, self.x, gen_non_contig_grad_outputs=True, fast_mode=True), True)


class Functional(Case):
    def test_N1_jacobian(self):
        j = functional.jacobian(lambda x: x**2, self.x)
        self.assertEqual(j.tolist(), [[2, 0, 0], [0, 4, 0], [0, 0, 6]])
        self.assertFalse(j.requires_grad)
        self.assertEqual(functional.jacobian(lambda x: x**2, self.x, vectorize=True).tolist(), j.tolist())
        self.assertTrue(functional.jacobian(lambda x: x**2, self.x, create_graph=True).requires_grad)
        (a, b), (c, d) = functional.jacobian(lambda x, w: (x * w, x.sum()), (self.x, self.w))
        self.assertEqual((a.tolist()[0], b.tolist()[2], c.tolist(), d.tolist()), ([0.5, 0, 0], [0, 0, 3], [1, 1, 1], [0, 0, 0]))

    def test_N1_jacobian_refusals(self):
        self.fails(TypeError, "The outputs of the user-provided function given to jacobian must be either a Tensor or a tuple of Tensors "
                   "but the given outputs of the user-provided function has type <class 'float'>.", functional.jacobian, lambda x: 3.0, self.x)
        self.fails(RuntimeError, "Output 0 of the user-provided function does not require gradients.", functional.jacobian,
                   lambda x: torch.ones(1), self.x, strict=True)
        self.fails(RuntimeError, "Output 0 of the user-provided function is independent of input 1. This is not allowed in strict mode.",
                   functional.jacobian, lambda x, w: x.exp(), (self.x, self.w), strict=True)
        self.fails(NotImplementedError, "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
                   "`vectorize=True`.", functional.jacobian, cube, self.x, strategy="forward-mode")

    def test_N1_hessian(self):
        f = lambda x: cube(x).sum()  # noqa: E731
        want = [[6, 0, 0], [0, 12, 0], [0, 0, 18]]
        self.assertEqual(functional.hessian(f, self.x).tolist(), want)
        self.assertEqual(functional.hessian(f, self.x, vectorize=True).tolist(), want)
        self.fails(RuntimeError, "The Tensor returned by the function given to hessian should contain a single element",
                   functional.hessian, cube, self.x)

    def test_N1_products(self):
        ones = torch.ones(3, dtype=torch.float64)
        f = lambda x: cube(x).sum()  # noqa: E731
        for product in (functional.hvp, functional.vhp):
            value, r = product(f, self.x, ones)
            self.assertEqual((value.item(), r.tolist()), (36, [6, 12, 18]))
        value, r = functional.vjp(cube, self.x, ones)
        self.assertEqual((value.tolist(), r.tolist()), ([1, 8, 27], [3, 12, 27]))
        value, r = functional.jvp(cube, self.x, ones)
        self.assertEqual((value.tolist(), r.tolist()), ([1, 8, 27], [3, 12, 27]))
        self.assertEqual(functional.vjp(lambda x: x.sum(), self.x)[1].tolist(), [1, 1, 1])
        self.fails(RuntimeError, "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                   "element.", functional.vjp, cube, self.x)
        self.fails(RuntimeError, "v has invalid size: should be torch.Size([3]) but got torch.Size([2]).", functional.vjp, cube, self.x,
                   torch.ones(2))
        self.fails(RuntimeError, "While computing the hessian, found that the jacobian of the user-provided function with respect to "
                   "input 0 is independent of the input.", functional.hvp, lambda x: x.sum(), self.x, ones, strict=True)

    def test_N1_only_tensors_and_tuples(self):
        self.fails(TypeError, "The inputs given to jacobian must be either a Tensor or a tuple of Tensors but the given inputs has type "
                   "<class 'list'>.", functional.jacobian, cube, [self.x])
        self.fails(TypeError, "The outputs of the user-provided function given to jacobian must be either a Tensor or a tuple of Tensors but "
                   "the value at index 1 has type <class 'float'>.", functional.jacobian, lambda x: (x, 1.0), self.x)
        self.fails(RuntimeError, "The given v should contain a single Tensor.", functional.vjp, cube, self.x, (self.x, self.x))
        self.fails(RuntimeError, "Entry 1 in v has invalid size: should be torch.Size([3]) but got torch.Size([2]).", functional.vjp,
                   lambda x: (x, x), self.x, (self.x, torch.ones(2)))

    def test_N1_strict(self):
        constant = "The jacobian of the user-provided function is independent of input 0. This is not allowed in strict mode when create_graph=True."
        ones = torch.ones(3, dtype=torch.float64)
        self.fails(RuntimeError, constant, functional.jacobian, lambda x: x * 2, self.x, create_graph=True, strict=True)
        self.fails(RuntimeError, constant, functional.jvp, lambda x: x * 2, self.x, ones, create_graph=True, strict=True)
        self.fails(RuntimeError, "The output of the user-provided function is independent of input 1. This is not allowed in strict mode.",
                   functional.jvp, lambda x, w: x * x, (self.x, self.w), (ones, ones), strict=True)
        linear = "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is independent"
        self.fails(RuntimeError, linear.format(0), functional.hessian, lambda x: x.sum(), self.x, strict=True)
        self.fails(RuntimeError, linear.format(1), functional.hessian, lambda x, w: (x**3).sum(), (self.x, self.w), strict=True)
        self.fails(NotImplementedError, "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
                   "`vectorize=True`.", functional.hessian, lambda x: (x**3).sum(), self.x, outer_jacobian_strategy="forward-mode")


if __name__ == "__main__":
    unittest.main()
