"""autograd.Function (F1-F9, D3). Expected values and texts are PyTorch 2.15's."""

import sys
import os
import gc
import threading
import time
import unittest
import warnings
import weakref

import wengert as torch
from wengert import _C
from wengert.autograd import Function
from wengert.autograd import forward_ad as fwAD
from wengert.autograd.function import BackwardCFunction, FunctionCtx, InplaceFunction, once_differentiable

SECOND_TIME = "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed)."
VIEW_TAIL = (
    "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle "
    "view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients."
)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def function(forward, backward=None, **more):
    """A Function named F of plain functions and flags."""
    members = {"forward": forward, "backward": backward, **more}
    return type("F", (Function,), {k: staticmethod(v) if callable(v) else v for k, v in members.items() if v is not None})


def passes(ctx, *grads):
    return grads if len(grads) > 1 else grads[0]


class Case(unittest.TestCase):
    def fails(self, kind, text, f, *args, **kwargs):
        with self.assertRaises(kind) as caught:
            f(*args, **kwargs)
        self.assertEqual(str(caught.exception)[: len(text)], text)

    def values(self, t, *want):
        self.assertEqual(t.tolist(), list(want))


class Mul(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        ctx.save_for_forward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y

    @staticmethod
    def jvp(ctx, t):
        (y,) = ctx.saved_tensors
        return t * y


class Calls(Case):
    def test_F1_node(self):
        x, y = leaf(1.0, 2.0), torch.tensor([3.0, 4.0])
        z = Mul.apply(x, y)
        node = z.grad_fn
        self.assertEqual(repr(z), "tensor([3., 8.], grad_fn=<MulBackward>)")
        self.assertEqual((type(node).__name__, type(node).__module__, node.name()), ("MulBackward", "torch.autograd.function", "MulBackward"))
        self.assertEqual(repr(node)[:48], "<torch.autograd.function.MulBackward object at 0x"[:48])
        self.assertIs(z.grad_fn, node)
        self.assertIs(type(node), Mul._backward_cls)
        self.assertIsInstance(node, BackwardCFunction)
        self.assertIsInstance(node, FunctionCtx)
        self.assertIsInstance(node, torch.autograd.graph.Node)
        (a, nr), (b, none) = node.next_functions
        self.assertIs(a.variable, x)
        self.assertEqual((nr, b, none), (0, None, 0))
        self.assertEqual(node._input_metadata[0].shape, (2,))
        z.sum().backward()
        self.values(x.grad, 3, 4)

    def test_F1_grad_mode_and_inputs(self):
        seen = []

        def forward(ctx, x, k):
            seen.append((x, torch.is_grad_enabled(), x.requires_grad, ctx.needs_input_grad, ctx.saved_tensors, ctx.next_functions[0][0].variable))
            return x * k

        x = leaf(1.0)
        F = function(forward, lambda ctx, g: (g, None))
        F.apply(x, 3)
        self.assertIs(seen[0][0], x)
        self.assertEqual(seen[0][1:5], (False, True, (True, False), ()))
        self.assertIs(seen[0][5], x)
        self.assertTrue(torch.is_grad_enabled())

    def test_F1_no_node_without_gradient(self):
        x = leaf(1.0)
        F = function(lambda ctx, x: (setattr(ctx, "n", ctx.needs_input_grad), x * 2)[1], passes)
        with torch.no_grad():
            self.assertIsNone(F.apply(x).grad_fn)
        self.assertIsNone(F.apply(x.detach()).grad_fn)
        self.assertIsNone(function(lambda ctx: torch.ones(2)).apply().grad_fn)

    def test_F1_keywords(self):
        seen = []
        F = function(lambda ctx, x, y=2, z=3: x * y, lambda ctx, g: (seen.append(ctx.needs_input_grad), (g, None, None))[1])
        x = leaf(1.0)
        for args, kwargs in (((x,), {"y": 5}), ((x,), {}), ((), {"y": torch.tensor(3.0), "x": x}), ((x, 2), {"z": 1})):
            F.apply(*args, **kwargs).backward(torch.ones(1))
        self.assertEqual(seen, [(True, False), (True,), (True, False), (True, False, False)])
        self.fails(TypeError, "forward() got an unexpected keyword argument 'k'", F.apply, x, k=3)
        self.fails(TypeError, "forward() got multiple values for argument 'x'", F.apply, x, x=3)
        self.fails(TypeError, "forward() missing required argument: 'y' (position 1)", F.apply, x, z=5)
        self.fails(TypeError, "forward() missing required argument: 'x' (position 0)", F.apply, y=5)
        only = function(lambda ctx, x, *, k=2: x * k)
        self.fails(TypeError, "forward() got an unexpected keyword argument 'k'", only.apply, x, k=3)
        self.values(only.apply(x), 2)

    def test_F1_wrong_arguments_are_pythons_error(self):
        with self.assertRaises(TypeError):
            Mul.apply(leaf(1.0))

    def test_F2_setup_context(self):
        seen = []

        def setup(ctx, inputs, output):
            seen.append((inputs[1:], output.requires_grad, torch.is_grad_enabled()))
            ctx.k = inputs[1]

        F = function(lambda x, k=2, *rest: x * k, lambda ctx, g: (g * ctx.k, *[None] * (len(ctx.needs_input_grad) - 1)), setup_context=setup)
        x = leaf(1.0)
        for args, kwargs in (((x,), {}), ((x, 3, 4), {}), ((x,), {"k": 7})):
            F.apply(*args, **kwargs).backward()
        self.assertEqual(seen, [((2,), False, False), ((3, 4), False, False), ((7,), False, False)])
        self.values(x.grad, 12)

    def test_F2_an_input_as_is_cannot_be_saved_in_setup_context(self):
        F = function(lambda x: x, passes, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(output))
        self.fails(RuntimeError, "An input that has been returned as-is as output is being saved for backward. This is not supported if "
                   "you override setup_context.", F.apply, leaf(1.0))

    def test_F2_classmethods(self):
        class C(Function):
            @classmethod
            def forward(cls, ctx, x, k=1):
                return x * cls.scale * k

            @classmethod
            def backward(cls, ctx, g):
                return g * cls.scale, None

            scale = 3

        class D(Function):
            @staticmethod
            def forward(x, k=1):
                return x * k

            @classmethod
            def setup_context(cls, ctx, inputs, output):
                ctx.seen = cls, inputs[1]

            @classmethod
            def backward(cls, ctx, g):
                return g, None

        x = leaf(2.0)
        y = C.apply(x, 2)
        self.values(y, 12)
        y.backward()
        self.values(x.grad, 3)
        self.values(C.apply(x, k=2), 12)
        self.assertEqual(D.apply(x).grad_fn.seen, (D, 1))

    def test_F2_inheritance(self):
        class Negative(Mul):
            @staticmethod
            def backward(ctx, g):
                return tuple(-t for t in Mul.backward(ctx, g))

        x = leaf(1.0)
        y = Negative.apply(x, x * 1)
        self.assertEqual(y.grad_fn.name(), "NegativeBackward")
        y.backward()
        self.values(x.grad, -2)


class Outputs(Case):
    def test_F3_what_is_no_tensor_passes_through(self):
        seen = []
        inner = [1, 2]

        def forward(ctx, x):
            return x * 2, 5, None, inner, "a", x * 3

        F = function(forward, lambda ctx, *g: (seen.append(g), g[0])[1])
        x = leaf(1.0)
        out = F.apply(x)
        self.assertEqual(out[1:5], (5, None, inner, "a"))
        self.assertIs(out[3], inner)
        self.assertEqual((out[0].output_nr, out[5].output_nr), (0, 5))
        out[0].backward()
        self.assertEqual([None if g is None else g.tolist() for g in seen[0]], [[1], None, None, None, None, [0]])

    def test_F3_a_list_is_no_tuple(self):
        r = function(lambda ctx, x: [x * 2, 5]).apply(leaf(1.0))
        self.assertIs(type(r), list)
        self.assertFalse(r[0].requires_grad)

    def test_F3_one_value_stays_one(self):
        x = leaf(1.0)
        self.assertEqual(function(lambda ctx, x: 5).apply(x), 5)
        self.assertIsNone(function(lambda ctx, x: None).apply(x))
        self.assertEqual(function(lambda ctx, x: ()).apply(x), ())
        r = function(lambda ctx, x: (x * 2,)).apply(x)
        self.assertEqual((type(r), len(r), r[0].grad_fn.name()), (tuple, 1, "FBackward"))
        r = function(lambda ctx, x: x.sort()).apply(x)
        self.assertEqual((type(r), r[0].requires_grad, r[1].requires_grad), (tuple, True, False))

    def test_F3_an_input_as_it_is(self):
        x = leaf(1.0)
        F = function(lambda ctx, x: x, lambda ctx, g: g * 5)
        y = F.apply(x)
        self.assertIsNot(y, x)
        self.assertTrue(y._is_view())
        y.backward()
        self.values(x.grad, 5)
        self.fails(RuntimeError, "Output 0 of F is a view and is being modified inplace. " + VIEW_TAIL, F.apply(x * 1).mul_, 2)
        plain = torch.ones(2)
        self.assertTrue(F.apply(plain)._is_view())
        with torch.no_grad():
            y = F.apply(x)
        self.assertFalse(y._is_view() or y.requires_grad or y is x)

    def test_F3_one_tensor_twice(self):
        seen = []

        def forward(ctx, x):
            y = x * 2
            return y, y

        F = function(forward, lambda ctx, *g: (seen.append([t.item() for t in g]), g[1] * 2)[1])
        x = leaf(1.0)
        a, b = F.apply(x)
        self.assertIs(a, b)
        self.assertEqual(a.output_nr, 1)
        (a * 3 + b).backward()
        self.assertEqual(seen, [[0, 4]])

    def test_F8_views_made_inside(self):
        x = leaf(1.0, 2.0)
        F = function(lambda ctx, x: x[:1], lambda ctx, g: torch.cat([g, g * 0]))
        self.fails(RuntimeError, "Output 0 of F is a view and is being modified inplace. " + VIEW_TAIL, F.apply(x * 1).mul_, 2)
        self.values(F.apply(torch.ones(3)).mul_(2), 2)
        F.apply(x).backward()
        self.values(x.grad, 1, 0)


class Context(Case):
    def test_F4_saved_tensors(self):
        seen = []

        def forward(ctx, x, y):
            ctx.save_for_backward(y)
            z = x * y
            ctx.save_for_backward(x, None, z)  # the second call replaces the first
            return z

        def backward(ctx, g):
            seen.append(ctx.saved_tensors)
            return g, None

        x = leaf(2.0)
        z = function(forward, backward).apply(x, torch.tensor(3.0))
        first = z.grad_fn.saved_tensors
        self.assertIs(first[0], x)
        z.backward()
        self.assertIs(seen[0][0], x)
        self.assertIsNone(seen[0][1])
        self.values(seen[0][2], 6)
        self.fails(RuntimeError, SECOND_TIME, getattr, z.grad_fn, "saved_tensors")
        self.fails(RuntimeError, SECOND_TIME, z.backward)

    def test_F4_versions(self):
        x = leaf(1.0) * 1
        z = Mul.apply(x, x)
        x.add_(1)
        with self.assertRaises(RuntimeError) as caught:
            z.backward()
        text = str(caught.exception)
        self.assertTrue(text.startswith(
            "one of the variables needed for gradient computation has been modified by an inplace operation: [torch.FloatTensor [1]], "
            "which is output 0 of Add, is at version 1; expected version 0 instead."), text)
        self.assertIn("test_F4_versions (test_function.py:", text)

    def test_F4_save_once(self):
        F = function(lambda ctx, x: (ctx.save_for_backward(x), x * 2)[1], lambda ctx, g: (ctx.saved_tensors, ctx.saved_tensors, g)[2],
                     clear_saved_tensors_on_access=True)
        text = "saved_tensors can only be accessed once when clear_saved_tensors_on_access=True is set on the autograd.Function."
        self.fails(RuntimeError, text, F.apply(leaf(1.0)).backward)
        once = function(lambda ctx, x: (ctx.save_for_backward(x), x * 2)[1], lambda ctx, g: g * ctx.saved_tensors[0],
                        clear_saved_tensors_on_access=True)
        x = leaf(3.0)
        y = once.apply(x)
        y.backward(retain_graph=True)
        self.values(x.grad, 3)
        self.fails(RuntimeError, text, y.backward)

    def test_F4_saving_what_is_no_tensor(self):
        x = leaf(1.0)
        save = function(lambda ctx, x: (ctx.save_for_backward(x, 3), x * 2)[1])
        self.fails(TypeError, "save_for_backward can only save variables, but argument 1 is of type int", save.apply, x)
        with torch.no_grad():
            save.apply(x)
        for method, kind, text in (
            ("save_for_forward", AssertionError, "save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes on ctx."),
            ("mark_dirty", RuntimeError, "mark_dirty can only accept variables, but argument 0 is of type int"),
            ("mark_non_differentiable", RuntimeError, "mark_non_differentiable only accepts variable arguments, but got int"),
        ):
            F = function(lambda ctx, x: (getattr(ctx, method)(3), x * 2)[1])
            self.fails(kind, text, F.apply, x)

    def test_F4_not_differentiable(self):
        seen = []

        def forward(ctx, x):
            a, b = x * 2, x * 3
            ctx.mark_non_differentiable(b)
            return a, b

        x = leaf(1.0)
        a, b = function(forward, lambda ctx, *g: (seen.append(g), g[0])[1]).apply(x)
        self.assertFalse(b.requires_grad)
        (a * b).backward()
        self.values(seen[0][1], 0)

    def test_F4_materialize(self):
        seen = []

        def forward(ctx, x, on):
            ctx.set_materialize_grads(on)
            return x * 2, x * 3

        F = function(forward, lambda ctx, *g: (seen.append(g), g[1], None)[1:])
        for on in (True, False):
            F.apply(leaf(1.0), on)[1].backward()
        self.values(seen[0][0], 0)
        self.assertIsNone(seen[1][0])

    def test_F4_attributes(self):
        def forward(ctx, x):
            ctx.k, ctx.f = 3, lambda t: t * ctx.k  # a cycle: ctx lives as long as its node all the same
            return x * 3

        x = leaf(1.0)
        y = function(forward, lambda ctx, g: ctx.f(g)).apply(x)
        gc.collect()
        self.assertEqual(y.grad_fn.k, 3)
        y.backward()
        self.values(x.grad, 3)

    def test_F4_needs_input_grad_says_what_the_tensors_say(self):
        seen = []
        F = function(lambda ctx, x, y: x * y, lambda ctx, g: (seen.append(ctx.needs_input_grad), (g, g))[1])
        x, y = leaf(1.0), leaf(2.0)
        torch.autograd.grad(F.apply(x, y), x)
        self.assertEqual(seen, [(True, True)])

    def test_F4_dtypes_of_gradients(self):
        seen = []

        def make(*dtypes):
            def forward(ctx, x):
                ctx.set_output_grad_dtype(*dtypes)
                return x * 2, x * 3

            return function(forward, lambda ctx, g, h: (seen.append((g.dtype, h.dtype)), g)[1])

        x = leaf(1.0, 2.0)
        y, z = make(torch.float64, None).apply(x)
        (y.sum() + z.double().sum()).backward()
        z.backward(torch.ones(2, dtype=torch.float64))
        self.assertEqual(seen, [(torch.float64, torch.float32), (torch.float64, torch.float64)])
        self.assertEqual(x.grad.dtype, torch.float32)
        self.fails(RuntimeError, "set_output_grad_dtype expected the number of declarations to match the number of outputs: the Function "
                   "returned 2 values but 1 declarations were provided", make(torch.float64).apply, x)
        self.fails(RuntimeError, "set_output_grad_dtype expects each declaration to be a torch.dtype or None, but got int",
                   make(torch.float64, 3).apply, x)

    def test_boxed_gradients(self):
        seen = []
        F = function(lambda ctx, x: x * 2, lambda ctx, g: (seen.append(list(g)), g.pop())[1], boxed_grads_call=True)
        x = leaf(1.0)
        F.apply(x).backward()
        self.values(seen[0][0], 1)
        self.values(x.grad, 1)

    def test_hooks_on_the_node(self):
        seen = []
        x = leaf(1.0)
        y = Exp.apply(x)
        y.grad_fn.register_hook(lambda gi, go: seen.append(("after", len(gi), len(go))))
        y.grad_fn.register_prehook(lambda go: seen.append(("before", len(go))))
        y.backward()
        self.assertEqual(seen, [("before", 1), ("after", 1, 1)])


class Gradients(Case):
    def test_F5_one_gradient_per_argument(self):
        x, y = leaf(1.0, 1.0), leaf(1.0)

        def run(result, n=1):
            F = function(lambda ctx, *a: a[0] * 2, lambda ctx, g: result(g))
            return F.apply(*[x, y, 3][:n]).sum().backward

        run(lambda g: (g, None, None))()
        run(lambda g: (g, None), 2)()
        count = "function FBackward returned an incorrect number of gradients "
        self.fails(RuntimeError, count + "(expected 1, got 3)", run(lambda g: (g, None, g)))
        self.fails(RuntimeError, count + "(expected 2, got 1)", run(lambda g: g, 2))
        self.fails(RuntimeError, "expected Variable or None (got list)", run(lambda g: [g]))
        self.fails(RuntimeError, "expected Variable or None (got float)", run(lambda g: 1.0))
        self.fails(RuntimeError, "function FBackward returned a gradient different than None at position 3, but the corresponding "
                   "forward input was not a Variable", run(lambda g: (g, g[:1], g), 3))
        self.fails(RuntimeError, "Function FBackward returned an invalid gradient at index 0 - got [3] but expected shape compatible "
                   "with [2]", run(lambda g: torch.ones(3)))

    def test_F5_gradients_of_constants_are_ignored(self):
        x = leaf(1.0)
        function(lambda ctx, x, c: x * c, lambda ctx, g: (g, g * 7)).apply(x, torch.ones(1)).backward()
        self.values(x.grad, 1)

    def test_O4_None_is_no_gradient(self):
        x = leaf(1.0)
        function(lambda ctx, x: x * 2, lambda ctx, g: None).apply(x).backward()
        self.assertIsNone(x.grad)

    def test_missing_methods(self):
        x = leaf(1.0)
        self.fails(NotImplementedError, "You must implement the forward function for custom autograd.Function.", function(None).apply, x)
        self.fails(NotImplementedError, "You must implement either the backward or vjp method for your custom autograd.Function to use it "
                   "with backward mode AD.", function(lambda ctx, x: x * 2).apply(x).backward)
        both = function(lambda ctx, x: x * 2, passes, vjp=lambda ctx, g: g)
        self.fails(RuntimeError, "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement "
                   "one of them.", both.apply(x).backward)
        function(lambda ctx, x: x * 2, vjp=lambda ctx, g: g * 4).apply(x).backward()
        self.values(x.grad, 4)

    def test_differentiated_again(self):
        x = leaf(2.0)
        y = x
        for f in (Exp.apply, lambda t: Mul.apply(t, t)):
            y = f(x)
            for _ in range(2):
                (y,) = torch.autograd.grad(y, x, torch.ones(1), create_graph=True)
        self.values(y, 2)
        z = Exp.apply(x)
        for _ in range(3):
            (z,) = torch.autograd.grad(z, x, create_graph=True)
        self.assertAlmostEqual(z.item(), 7.389056, 5)

    def test_F7_once_differentiable(self):
        F = function(lambda ctx, x: x * 2, once_differentiable(lambda ctx, g: (self.assertFalse(torch.is_grad_enabled()), g * 2)[1]))
        x = leaf(1.0, 1.0)
        (g,) = torch.autograd.grad(F.apply(x), x, torch.ones(2, requires_grad=True), create_graph=True)
        self.assertEqual(repr(g), "tensor([2., 2.], grad_fn=<Error>)")
        self.fails(RuntimeError, "trying to differentiate twice a function that was marked with @once_differentiable", g.sum().backward)
        (g,) = torch.autograd.grad(F.apply(x), x, torch.ones(2), create_graph=True)
        self.assertFalse(g.requires_grad)

    def test_nested(self):
        class Outer(Function):
            @staticmethod
            def forward(ctx, x):
                with torch.enable_grad():
                    ctx.x = x.detach().requires_grad_()
                    ctx.y = Exp.apply(ctx.x) * 2
                return ctx.y.detach()

            @staticmethod
            def backward(ctx, g):
                return torch.autograd.grad(ctx.y, ctx.x, g)

        x = leaf(0.0)
        Outer.apply(x).backward()
        self.values(x.grad, 2)


class Dirty(Case):
    class Add(Function):
        @staticmethod
        def forward(ctx, x, k=1):
            x.add_(k)
            ctx.mark_dirty(x)
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            ctx.saved_tensors
            return g * 3, None

    def test_F6_the_input_is_the_result(self):
        x = leaf(1.0, 1.0)
        y = x * 1
        z = self.Add.apply(y, 2)
        self.assertIs(z, y)
        self.assertEqual((y._version, y.grad_fn.name(), y.grad_fn.next_functions[0][0].name()), (2, "AddBackward", "MulBackward0"))
        z.sum().backward()
        self.values(x.grad, 3, 3)
        plain = torch.ones(2)
        self.assertIs(self.Add.apply(plain, 2), plain)
        self.assertEqual((plain._version, plain.requires_grad), (2, False))

    def test_F6_views(self):
        x = leaf(1.0, 1.0, 1.0, 1.0)
        y = x * 1
        v = y[:2]
        self.assertIs(self.Add.apply(v, 2), v)
        self.assertEqual((v.grad_fn.name(), y.grad_fn.name()), ("AsStridedBackward0", "torch::autograd::CopySlices"))
        (y * torch.arange(4.0)).sum().backward()
        self.values(x.grad, 0, 3, 2, 3)

    def test_F6_refusals(self):
        x = leaf(1.0, 1.0)
        self.fails(RuntimeError, "a leaf Variable that requires grad has been used in an in-place operation.", self.Add.apply, x)
        self.fails(RuntimeError, "a view of a leaf Variable that requires grad is being used in an in-place operation.", self.Add.apply, x[:1])
        forgets = function(lambda ctx, x: (ctx.mark_dirty(x.add_(1)), x * 2)[1], passes)
        text = ("Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified "
                "inplace must all be outputs of the Function.")
        self.fails(RuntimeError, text, forgets.apply, x * 1)
        self.fails(RuntimeError, text, forgets.apply, torch.ones(1))
        two = function(lambda ctx, x: (ctx.mark_dirty(x.add_(1)), (x, x * 2))[1], passes)
        self.fails(RuntimeError, "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return "
                   "more than one Tensor.", two.apply, (x * 1)[:1])

    def test_F6_no_input(self):
        def forward(ctx, x):
            y = x * 2
            ctx.mark_dirty(y)
            return y

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            y = function(forward, passes).apply(leaf(1.0))
        self.assertEqual(str(seen[0].message)[:52], "ctx.mark_dirty() received a tensor that was not an input."[:52])
        self.assertEqual(y._version, 1)

    def test_F6_not_differentiable_too(self):
        def forward(ctx, x):
            ctx.mark_dirty(x.add_(1))
            ctx.mark_non_differentiable(x)
            return x

        x = leaf(1.0) * 1
        y = function(forward, passes).apply(x)
        self.assertFalse(y is x or y.requires_grad)


class Forward(Case):
    x, t = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])

    def push(self, forward, jvp, *more):
        with fwAD.dual_level():
            d = fwAD.make_dual(self.x.clone(), self.t.clone())
            out = function(forward, jvp=jvp).apply(d, *more)
            single = not isinstance(out, tuple)
            return [fwAD.unpack_dual(o).tangent if isinstance(o, torch.Tensor) else o for o in ((out,) if single else out)]

    def test_D3_tangents(self):
        seen = []

        def jvp(ctx, *tangents):
            seen.append(tangents)
            return tangents[0] * 2

        (t,) = self.push(lambda ctx, x, y, k, i: x * 2, jvp, torch.ones(3), 4, torch.tensor([1]))
        self.values(t, 6, 8)
        self.values(seen[0][0], 3, 4)
        self.values(seen[0][1], 0, 0, 0)
        self.assertEqual(seen[0][2:], (None, None))

    def test_D3_forward_sees_plain_values(self):
        texts = []
        self.push(lambda ctx, x: (texts.append(repr(x * 2)), x * 2)[1], lambda ctx, t: t)
        self.assertEqual(texts, ["tensor([2., 4.])"])

    def test_D3_both_modes(self):
        p = self.x.clone().requires_grad_()
        with fwAD.dual_level():
            y = Exp.apply(fwAD.make_dual(p, self.t))
            (g,) = torch.autograd.grad(y.sum(), p, create_graph=True)  # forward over reverse
            tangent = fwAD.unpack_dual(y).tangent
            back = torch.autograd.grad(tangent.sum(), p)[0].tolist()  # reverse over forward
            over = fwAD.unpack_dual(g).tangent.tolist()
        for got in (tangent.tolist(), over):
            self.assertAlmostEqual(got[0], 8.1548455, 5)
            self.assertAlmostEqual(got[1], 29.556224, 5)
        self.assertAlmostEqual(back[1], 29.556224, 5)

    def test_D3_counts_and_types(self):
        self.fails(NotImplementedError, "You must implement the jvp function for custom autograd.Function to use it with forward mode AD.",
                   self.push, lambda ctx, x: x * 2, None)
        self.fails(RuntimeError, "Function's jvp returned an invalid number of forward gradients (expected 2 but got 1)",
                   self.push, lambda ctx, x: (x * 2, x * 3), lambda ctx, t: t)
        self.fails(RuntimeError, "Function's jvp returned a gradient at position 1, but  the corresponding forward output is not a "
                   "differentiable Tensor.You should return None at that position instead.",
                   self.push, lambda ctx, x: (x * 2, x.long()), lambda ctx, t: (t, t))
        self.fails(RuntimeError, "expected Variable or None (got int) for grad output 0.", self.push, lambda ctx, x: x * 2, lambda ctx, t: 5)
        self.fails(RuntimeError, "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
                   "supported. Tensor is of size [2] while the given forward gradient is of size [3].",
                   self.push, lambda ctx, x: x * 2, lambda ctx, t: torch.ones(3))
        self.assertEqual(self.push(lambda ctx, x: (x * 2, 5), lambda ctx, t: (None, None)), [None, 5])

    def test_D3_views(self):
        not_a_view = "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
        self.fails(RuntimeError, not_a_view, self.push, lambda ctx, x: x, lambda ctx, t: t)
        self.fails(RuntimeError, not_a_view, self.push, lambda ctx, x: x.view(2, 1), lambda ctx, t: t * 2)
        self.fails(RuntimeError, "A custom Function is returning a view but the jvp is not returning a view of the given grad input.",
                   self.push, lambda ctx, x: x.view(2, 1), lambda ctx, t: (t * 2).view(2, 1))
        self.values(self.push(lambda ctx, x: x, lambda ctx, t: t.view_as(t))[0], 3, 4)
        self.values(self.push(lambda ctx, x: x.view(2, 1), lambda ctx, t: t.view(2, 1))[0], [3], [4])

    def test_D3_in_place(self):
        def forward(ctx, x, *more):
            ctx.mark_dirty(x.mul_(2))
            return x

        self.values(self.push(forward, lambda ctx, t: t.mul_(2))[0], 6, 8)
        self.fails(RuntimeError, "An inplace custom Function is not modifying the forward mode gradients inplace.",
                   self.push, forward, lambda ctx, t: t * 2)
        self.fails(RuntimeError, "An inplace custom Function is not returning the forward mode gradients as-is.",
                   self.push, forward, lambda ctx, t: t.mul_(2).clone().add_(1).add_(1))
        with fwAD.dual_level():
            c, d = self.x.clone(), fwAD.make_dual(self.x, self.t)
            y = function(lambda ctx, a, b: (ctx.mark_dirty(a.mul_(b)), a)[1], jvp=lambda ctx, s, t: t * 2).apply(c, d)
            self.assertIs(y, c)
            self.values(fwAD.unpack_dual(c).tangent, 6, 8)


class Life(Case):
    def alive(self):
        gc.collect()
        stats = _C._memory_stats()
        return stats["live_tensors"], stats["live_nodes"]

    def test_F9_instances(self):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            f = Exp()
            InplaceFunction(True)
        self.assertEqual([w.category for w in seen], [DeprecationWarning] * 2)
        self.assertEqual(str(seen[0].message), f"{Exp} should not be instantiated. Methods on autograd functions are all static, so you "
                         "should invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
                         "version of PyTorch.")
        self.fails(RuntimeError, "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
                   "function with static forward method.", f, leaf(1.0))

    def test_vmap_is_to_be_written(self):
        self.fails(NotImplementedError, "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
                   "generate_vmap_rule=True.", Exp.vmap, None, None)

    def test_exceptions_travel_out_unharmed(self):
        class Mine(Exception):
            pass

        def raises(ctx, *args):
            raise Mine(len(args))

        before = self.alive()
        x = leaf(1.0)
        for _ in range(20):
            with self.assertRaises(Mine) as caught:
                function(raises).apply(x, 2)
            self.assertEqual(caught.exception.args, (2,))
            with self.assertRaises(Mine):
                function(lambda ctx, x: (ctx.save_for_backward(x), x * 2)[1], raises).apply(x).backward()
            with self.assertRaises(Mine), fwAD.dual_level():
                function(lambda ctx, x: x * 2, jvp=raises).apply(fwAD.make_dual(x, torch.ones(1)))
            with self.assertRaises(Mine):
                function(lambda x: x * 2, setup_context=raises).apply(x)
        self.assertTrue(torch.is_grad_enabled())
        self.assertIsNone(x.grad)
        del x, caught
        self.assertEqual(self.alive(), before)

    def test_the_collector_finds_cycles(self):
        class Thing:
            pass

        def forward(ctx, x):
            ctx.y, ctx.x, ctx.thing = x * 2, x, Thing()
            return ctx.y

        before = self.alive()
        F = function(forward, passes)
        y = F.apply(leaf(1.0))
        thing = weakref.ref(y.grad_fn.thing)
        gc.collect()
        self.assertIsNotNone(thing())  # y keeps it
        del y
        self.assertEqual(self.alive(), before)
        self.assertIsNone(thing())

    def test_the_context_goes_with_its_graph(self):
        class Thing:
            pass

        y = function(lambda ctx, x: (setattr(ctx, "thing", Thing()), x * 2)[1], passes).apply(leaf(1.0))
        thing = weakref.ref(y.grad_fn.thing)
        z = y * 2
        del y
        self.assertIsNotNone(thing())
        del z
        self.assertIsNone(thing())

    def test_T3_deep_chains(self):
        before = self.alive()
        x = y = leaf(1.0)
        for _ in range(150_000):
            y = Plain.apply(y)
        y.backward()
        self.values(x.grad, 1)
        del x, y
        self.assertEqual(self.alive(), before)

    def test_backward_in_threads(self):
        x = torch.ones(300, 300, requires_grad=True)  # long enough to give the GIL up
        threads = [threading.Thread(target=lambda: Mul.apply(Exp.apply(x * 0), x).sum().backward()) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(x.grad.sum().item(), 4 * 300 * 300)

    def test_many_arguments_and_outputs(self):
        xs = [leaf(float(i)) for i in range(40)]
        F = function(lambda ctx, *a: (ctx.save_for_backward(*a), tuple(t * 2 for t in a))[1], lambda ctx, *g: tuple(t * 2 for t in g))
        out = F.apply(*xs)
        sum(out[1:], out[0]).backward()
        self.assertEqual([x.grad.item() for x in xs], [2] * 40)

    @unittest.skipIf("WENGERT_LEAKS" in os.environ or hasattr(sys, "gettotalrefcount"), "sanitizers and debug builds are slow")
    def test_a_call_is_quick(self):
        x = leaf(1.0)

        def once(n):
            start = time.perf_counter()
            for _ in range(n):
                Plain.apply(x).backward()
            return (time.perf_counter() - start) / n

        self.assertLess(min(once(1000) for _ in range(10)), 40e-6)  # about 2 us; PyTorch needs 20


class Plain(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g


if __name__ == "__main__":
    unittest.main()
