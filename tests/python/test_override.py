"""__torch_function__: recorded answers of PyTorch 2.15.0, the arguments that hooks see, leaks."""
import gc
import unittest
import weakref

from replay import Calls

import wengert as torch
from wengert.overrides import TorchFunctionMode


class Overrides(Calls, unittest.TestCase):
    group, least = "override", 40


class Seen(torch.Tensor):
    calls = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = func.__name__ if func.__name__ not in ("__get__", "__set__", "__delete__") else f"{func.__self__.__name__}.{func.__name__}"
        cls.calls.append((name, [type(a).__name__ for a in args], sorted(kwargs or {})))
        return super().__torch_function__(func, types, args, kwargs or {})


# What PyTorch's hook is called with: name, types of args, names of kwargs.
SEEN = {
    "x + 1": [("add", ["Seen", "int"], [])], "1 + x": [("add", ["Seen", "int"], [])], "y + x": [("add", ["Tensor", "Seen"], [])],
    "1 - x": [("__rsub__", ["Seen", "int"], [])], "y - x": [("sub", ["Tensor", "Seen"], [])], "x // 2": [("__floordiv__", ["Seen", "int"], [])],
    "2 // x": [("__rfloordiv__", ["Seen", "int"], [])], "2 % x": [("__rmod__", ["Seen", "int"], [])], "x ** 2": [("pow", ["Seen", "int"], [])],
    "2 ** x": [("__rpow__", ["Seen", "int"], [])], "x != 1": [("ne", ["Seen", "int"], [])], "x == 1": [("__eq__", ["Seen", "int"], [])],
    "x < 1": [("lt", ["Seen", "int"], [])], "1 < x": [("gt", ["Seen", "int"], [])], "+x": [("positive", ["Seen"], [])], "-x": [("neg", ["Seen"], [])],
    "x @ y": [("matmul", ["Seen", "Tensor"], [])], "x.__ipow__(2)": [("pow_", ["Seen", "int"], [])],
    "x.__ifloordiv__(2)": [("floor_divide_", ["Seen", "int"], [])], "x.__iadd__(2)": [("add_", ["Seen", "int"], [])],
    "x.T": [("T.__get__", ["Seen"], [])], "x.grad": [("grad.__get__", ["Seen"], [])], "x.shape": [("shape.__get__", ["Seen"], [])],
    "setattr(x, 'requires_grad', True)": [("requires_grad.__set__", ["Seen", "bool"], [])],
    "setattr(x, 'grad', None)": [("grad.__set__", ["Seen", "NoneType"], [])], "setattr(x, 'data', y)": [("data.__set__", ["Seen", "Tensor"], [])],
    "delattr(x, 'grad')": [("grad.__delete__", ["Seen"], [])], "x[0]": [("__getitem__", ["Seen", "int"], [])],
    "x.__setitem__(0, 1)": [("__setitem__", ["Seen", "int", "int"], [])], "len(x)": [("__len__", ["Seen"], [])],
    "3 in x": [("__contains__", ["Seen", "int"], [])], "bool(x.sum())": [("sum", ["Seen"], []), ("__bool__", ["Seen"], [])],
    "float(x.sum())": [("sum", ["Seen"], []), ("__float__", ["Seen"], [])], "int(x.sum())": [("sum", ["Seen"], []), ("__int__", ["Seen"], [])],
    "format(x)": [("__format__", ["Seen", "str"], [])], "torch.sum(x, dim=0)": [("sum", ["Seen"], ["dim"])],
    "torch.cat([x, y])": [("cat", ["list"], [])], "torch.add(y, y, out=x)": [("add", ["Tensor", "Tensor"], ["out"])],
    "F.relu(x)": [("relu", ["Seen"], ["inplace"])], "F.softmax(x, dim=0)": [("softmax", ["Seen"], ["_stacklevel", "dim", "dtype"])],
    "F.mse_loss(x, x)": [("mse_loss", ["Seen", "Seen"], ["reduce", "reduction", "size_average", "weight"])],
    "x.as_subclass(torch.Tensor)": [], "x.foo": [], "hash(x)": [], "isinstance(x, torch.Tensor)": [],
}


class Arguments(unittest.TestCase):
    def test_what_hooks_are_called_with(self):
        import wengert.nn.functional as F

        for source, want in SEEN.items():
            x, y = torch.ones(2).as_subclass(Seen), torch.ones(2)
            x.__dict__["foo"] = 1
            Seen.calls.clear()
            eval(source, {"x": x, "y": y, "torch": torch, "F": F})
            with self.subTest(source=source):
                self.assertEqual(Seen.calls, want)

    def test_func_is_the_public_function(self):
        import wengert.nn.functional as F

        seen = []

        class Duck:
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                seen.append(func)

        d = Duck()
        torch.add(d, 1), torch.ones(1).add(d), torch.ones(1) + d, F.mse_loss(d, d), F.linear(d, d), torch.autograd.grad(d, d)
        want = [torch.add, torch.Tensor.add, torch.Tensor.add, F.mse_loss, F.linear, torch.autograd.grad]
        self.assertTrue(all(a is b for a, b in zip(seen, want)), seen)
        self.assertEqual(len(seen), len(want))


class Sub(torch.Tensor):
    pass


class Results(unittest.TestCase):
    def test_BUG_parts_of_a_subclass_are_of_it(self):
        x = torch.ones(2, 2).as_subclass(Sub)
        self.assertEqual({type(v) for v in x} | {type(v) for v in x.unbind()} | {type(v) for v in x.split(1)}, {Sub})

    def test_BUG_back_to_a_tensor(self):
        self.assertIs(type(torch.ones(2).as_subclass(Sub).as_subclass(torch.Tensor)), torch.Tensor)
        with self.assertRaisesRegex(TypeError, r"cls must be a type \(got int\)"):
            torch.ones(2).as_subclass(3)
        with self.assertRaisesRegex(TypeError, "Creating a Tensor subclass from a class that does not inherit from Tensor"):
            torch.ones(2).as_subclass(int)

    def test_through_autograd(self):
        x = torch.ones(2).as_subclass(Sub).requires_grad_()
        seen = []
        x.register_hook(lambda g: seen.append(type(g)))
        y = (x * 2).sum()
        y.backward()
        self.assertEqual((type(x), x.is_leaf, type(y), type(x.grad), seen), (Sub, True, Sub, torch.Tensor, [torch.Tensor]))
        self.assertIs(type(torch.autograd.grad((x * x).sum(), x)[0]), Sub)
        alias = (x * 1).grad_fn
        self.assertIs(alias.next_functions[0][0].next_functions[0][0].variable, x)

    def test_BUG_subclasses_enter_a_context_of_C(self):
        x = torch.ones(2).as_subclass(Sub)
        with torch._C.DisableTorchFunctionSubclass():
            self.assertIs(type(x + 1), torch.Tensor)
        self.assertIs(type(x + 1), Sub)


class Failures(unittest.TestCase):
    def test_BUG_nobody_implements_it(self):
        class A:
            @classmethod
            def __torch_function__(cls, *args, **kwargs):
                return NotImplemented

        with self.assertRaisesRegex(TypeError, r"Multiple dispatch failed for 'torch.Tensor.add'; all __torch_function__ handlers returned NotImplemented:"):
            torch.ones(1).add(A())
        with self.assertRaisesRegex(TypeError, r"unsupported operand type\(s\) for \+: 'Tensor' and 'A'"):
            torch.ones(1) + A()
        import wengert.nn.functional as F

        with self.assertRaisesRegex(TypeError, r"no implementation found for 'torch.nn.functional.relu' on types that implement __torch_function__: \["):
            F.relu(A())

    def test_exceptions_travel_unharmed_and_leak_nothing(self):
        class Bad(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                raise KeyError(func.__name__)

        x = torch.ones(2, 2).as_subclass(Bad)
        gc.collect()
        before = torch._C._memory_stats()["live_tensors"]
        for f in (lambda: x + 1, lambda: x.T, lambda: setattr(x, "grad", None), lambda: bool(x), lambda: x[0], lambda: list(x), lambda: torch.cat([x]),
                  lambda: x.__iadd__(1), lambda: repr(x), lambda: len(x), lambda: float(x), lambda: torch.autograd.grad(x, x)):
            with self.assertRaises(KeyError):
                f()
        gc.collect()
        self.assertEqual(torch._C._memory_stats()["live_tensors"], before)

    def test_a_mode_that_raises_is_left(self):
        class Mode(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                raise KeyError

        with self.assertRaises(KeyError), Mode():
            torch.ones(1)
        self.assertEqual((torch.ones(1) + 1).item(), 2)


class Flag:
    pass


class Cycles(unittest.TestCase):
    """PyTorch's collector finds these; so does ours."""

    def gone(self, make):
        flag = Flag()
        there = weakref.ref(flag)
        make(flag)
        del flag
        gc.collect()
        self.assertIsNone(there())

    def test_itself_as_an_attribute(self):
        def make(flag):
            a = torch.ones(2)
            a.me, a.flag = a, flag
        self.gone(make)

    def test_a_result_that_holds_itself(self):
        def make(flag):
            b = torch.ones(2, requires_grad=True) * 2
            b.me, b.flag = b, flag
        self.gone(make)

    def test_a_subclass_and_its_result(self):
        def make(flag):
            a = torch.ones(2, requires_grad=True).as_subclass(Sub)
            c = a * 2
            c.me, c.a, a.c, c.flag = c, a, c, flag
        self.gone(make)

    def test_a_hook_of_a_leaf_that_knows_it(self):
        def make(flag):
            a = torch.ones(2, requires_grad=True)
            a.flag = flag
            a.register_hook(lambda g: a)
        self.gone(make)

    def test_metadata_of_a_grad_fn(self):
        def make(flag):
            b = torch.ones(2, requires_grad=True) * 2
            b.flag = flag
            b.grad_fn.metadata["b"] = b
        self.gone(make)

    def test_a_million_operations_leave_nothing(self):
        x, s = torch.ones(2, 2), torch.ones(2, 2).as_subclass(Sub)
        gc.collect()
        before = torch._C._memory_stats()
        for _ in range(1000000):
            x + 1
        for _ in range(20000):
            s + 1
        gc.collect()
        after = torch._C._memory_stats()
        self.assertEqual((after["live_tensors"], after["live_bytes"]), (before["live_tensors"], before["live_bytes"]))


if __name__ == "__main__":
    unittest.main()
