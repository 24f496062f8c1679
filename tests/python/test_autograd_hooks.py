"""Hooks (H1-H7), their errors and their cycles. Expected values and texts are PyTorch 2.15's."""

import gc
import threading
import unittest
import weakref

import wengert as torch
from wengert import autograd
from wengert.autograd import graph


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def nodes_alive():
    return torch._C._memory_stats()["live_nodes"]


class Case(unittest.TestCase):
    def fails(self, kind, text, f, *args, **kwargs):
        with self.assertRaises(kind) as caught:
            f(*args, **kwargs)
        self.assertEqual(str(caught.exception)[: len(text)], text)

    def values(self, t, *want):
        self.assertEqual(t.tolist(), list(want))


class Tensors(Case):
    def test_H1_changes_the_gradient_in_order(self):
        x, seen = leaf(1.0, 2.0), []
        y = x * 2
        y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
        y.register_hook(lambda g: seen.append(g.tolist()))
        y.sum().backward()
        self.assertEqual(seen, [[1, 1], [10, 10]])
        self.values(x.grad, 20, 20)

    def test_H1_stays_with_the_version(self):
        x, seen = leaf(1.0), []
        y = x * 2
        y.register_hook(lambda g: seen.append(("old", g.item())))
        y.mul_(5)
        y.register_hook(lambda g: seen.append(("new", g.item())))
        y.backward()
        self.assertEqual(seen, [("new", 1), ("old", 5)])

    def test_H3_post_accumulate(self):
        x, seen = leaf(1.0), []
        x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.item())))
        (x * 3).backward()
        self.assertEqual(seen, [(True, 3)])
        x.register_post_accumulate_grad_hook(lambda t: t)  # passes
        (x * 3).backward()
        x.register_post_accumulate_grad_hook(lambda t: torch.ones(1))
        self.fails(RuntimeError, "Tensor post accumulate grad hooks should return None.", (x * 3).backward)
        self.fails(RuntimeError, "post accumulate grad hooks cannot be registered on non-leaf tensors",
                   (x * 3).register_post_accumulate_grad_hook, print)

    def test_H4_order_at_a_leaf(self):
        x, seen = leaf(1.0), []
        y = x * 1
        node = y.grad_fn.next_functions[0][0]
        x.register_post_accumulate_grad_hook(lambda t: seen.append("accumulated"))
        node.register_hook(lambda gi, go: seen.append(("post", gi, [g.item() for g in go])))
        node.register_prehook(lambda go: seen.append(("pre", [g.item() for g in go])))
        x.register_hook(lambda g: seen.append("tensor") or g * 2)
        y.backward()
        self.assertEqual(seen, ["tensor", ("pre", [2]), "accumulated", ("post", (), [2])])

    def test_H5_grad_runs_tensor_hooks(self):
        x = leaf(1.0)
        x.register_hook(lambda g: g * 7)
        self.values(autograd.grad(x * 2, x)[0], 14)

    def test_H7_handles(self):
        x, seen = leaf(1.0), []
        h = x.register_hook(lambda g: seen.append(1))
        self.assertIsInstance(h, torch.utils.hooks.RemovableHandle)
        (x * 2).backward()
        h.remove()
        h.remove()
        with x.register_hook(lambda g: seen.append(2)):
            (x * 2).backward()
        (x * 2).backward()
        self.assertEqual(seen, [1, 2])

    def test_H7_removed_by_itself(self):
        x, seen = leaf(1.0), []
        handles = []
        handles.append(x.register_hook(lambda g: (seen.append(1), handles[0].remove())[1]))
        (x * 2).backward()
        (x * 2).backward()
        self.assertEqual(seen, [1])

    def test_H7_results_are_checked(self):
        def with_hook(hook):
            x = leaf(1.0, 2.0)
            x.register_hook(hook)
            return (x * 2).sum().backward

        self.fails(TypeError, "expected Variable, but hook returned 'int'", with_hook(lambda g: 3))
        self.fails(RuntimeError, "hook '<lambda>' has changed the size of value", with_hook(lambda g: torch.ones(3)))
        self.fails(RuntimeError, "hook '<lambda>' has changed the type of value (was torch.FloatTensor got torch.DoubleTensor)",
                   with_hook(lambda g: g.double()))
        self.fails(TypeError, "'int' object is not callable", with_hook(3))

    def test_registering(self):
        self.fails(RuntimeError, "cannot register a hook on a tensor that doesn't require gradient", torch.ones(1).register_hook, print)

    def test_an_exception_travels_out_unharmed(self):
        class Mine(Exception):
            pass

        x, error = leaf(1.0), Mine("hello")

        def hook(g):
            raise error

        y = (x * 2).exp()
        x.register_hook(hook)
        try:
            y.backward()
        except Mine as caught:
            self.assertIs(caught, error)
            self.assertEqual(caught.__traceback__.tb_next.tb_frame.f_code.co_name, "hook")
        else:
            self.fail("no exception")
        self.values((x.detach() * 2), 2)  # and nothing is left behind
        error.__traceback__ = None  # the hook's closure, the exception and this frame are a cycle through the graph

    def test_a_hook_runs_a_backward(self):
        x, w = leaf(1.0), leaf(1.0)

        def hook(g):
            with torch.enable_grad():
                (w * 3).backward()

        x.register_hook(hook)
        (x * 2).backward()
        self.values(w.grad, 3)

    def test_the_mode_inside_hooks(self):
        x, seen = leaf(1.0), []
        x.register_hook(lambda g: seen.append(torch.is_grad_enabled()))
        autograd.grad(x * 2, x)
        autograd.grad(x * 2, x, create_graph=True)
        self.assertEqual(seen, [False, True])

    def test_a_kept_gradient_is_not_stolen(self):
        x, kept = leaf(1.0), []
        x.register_hook(kept.append)
        (x * 2).backward()
        (x * 2).backward()
        self.values(kept[0], 2)

    def test_hooks_from_other_threads(self):
        x = leaf(1.0, 2.0)
        count = [0]
        x.register_hook(lambda g: count.__setitem__(0, count[0] + 1))

        def work():
            for _ in range(50):
                (x * 2).sum().backward()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(count, [200])
        self.values(x.grad, 400, 400)


class Nodes(Case):
    def test_H2_hooks_see_both_sides(self):
        x, seen = leaf(1.0, 2.0), []
        y = x * 2
        y.grad_fn.register_hook(lambda gi, go: seen.append((gi[0].tolist(), gi[1], go[0].tolist())))
        y.sum().backward()
        self.assertEqual(seen, [([2, 2], None, [1, 1])])

    def test_H2_prehook_replaces(self):
        x = leaf(1.0, 2.0)
        y = x * 2
        y.grad_fn.register_prehook(lambda go: (go[0] * 5,))
        y.sum().backward()
        self.values(x.grad, 10, 10)
        y = x * 2
        y.grad_fn.register_prehook(lambda go: (None,))
        x.grad = None
        y.sum().backward()
        self.assertIsNone(x.grad)

    def test_results_are_checked(self):
        def with_hook(hook, pre=False):
            y = leaf(1.0, 2.0) * 2
            (y.grad_fn.register_prehook if pre else y.grad_fn.register_hook)(hook)
            return y.sum().backward

        one = torch.ones(2)
        self.fails(TypeError, "expected tuple, but hook returned 'int'", with_hook(lambda a, b: 3))
        self.fails(TypeError, "expected tuple, but hook returned 'Tensor'", with_hook(lambda a, b: a[0]))
        self.fails(RuntimeError, "hook '<lambda>' has returned an incorrect number of values (got 1, but expected 2)",
                   with_hook(lambda a, b: (one,)))
        self.fails(RuntimeError, "can't replace a None gradient with a non-None value", with_hook(lambda a, b: (one, one)))
        self.fails(RuntimeError, "hook '<lambda>' has changed the size of value", with_hook(lambda a, b: (torch.ones(3), None)))
        self.fails(TypeError, "expected Variable, but hook returned 'int'", with_hook(lambda a, b: (3, None)))
        self.fails(TypeError, "expected tuple, but hook returned 'list'", with_hook(lambda a: [one], True))
        self.fails(RuntimeError, "hook '<lambda>' has returned an incorrect number of values (got 0, but expected 1)",
                   with_hook(lambda a: (), True))

    def test_O2_order(self):
        x, seen = leaf(1.0), []
        a, b, c = x * 2, x * 3, x * 4
        for name, t in (("a", a), ("b", b), ("c", c)):
            t.register_hook(lambda g, name=name: seen.append(name))
        x.register_hook(lambda g: seen.append(g.item()))
        (a + b + c).backward()
        self.assertEqual(seen, ["c", "b", "a", 9])


class Several(Case):
    def test_H6_all(self):
        x, w, unused, seen = leaf(1.0), leaf(2.0), leaf(1.0), []
        y = x * w

        def hook(grads):
            seen.append([None if g is None else g.item() for g in grads])

        handle = graph.register_multi_grad_hook([x, unused, y], hook)
        y.backward(retain_graph=True)
        autograd.grad(y, w, retain_graph=True)  # only y's comes
        self.assertEqual(seen, [[2, None, 1], [None, None, 1]])
        handle.remove()
        y.backward()
        self.assertEqual(len(seen), 2)

    def test_H6_any(self):
        x, seen = leaf(1.0), []
        y = x * 2
        graph.register_multi_grad_hook([x, torch.ones(1), y], lambda g: seen.append(g.item()), mode="any")
        y.backward(retain_graph=True)
        y.backward()
        self.assertEqual(seen, [1, 1])

    def test_H6_refusals(self):
        x = leaf(1.0)
        self.fails(ValueError, "Expects mode to be one of ('all', 'any') but got foo", graph.register_multi_grad_hook, [x], print, mode="foo")
        self.fails(AssertionError, "Expected gradient function to be set", graph.register_multi_grad_hook, [torch.ones(1)], print)

    def test_O7_callbacks(self):
        x, seen = leaf(1.0), []

        def hook(g):
            graph.queue_callback(lambda: (seen.append("first"), graph.queue_callback(lambda: seen.append("second"))))

        x.register_hook(hook)
        x.register_post_accumulate_grad_hook(lambda t: seen.append("leaf"))
        (x * 2).backward()
        self.assertEqual(seen, ["leaf", "first", "second"])
        self.fails(RuntimeError, "Final callbacks can only be installed during backward pass.", graph.queue_callback, print)

    def test_missing_things_say_so(self):
        for f in (graph.node_creation_hook, graph.disable_saved_tensors_hooks, lambda _: graph.saved_tensors_hooks(1, 2),
                  lambda _: graph.allow_mutation_on_saved_tensors(), lambda _: graph.save_on_cpu()):
            self.assertRaises(NotImplementedError, f, None)


class Token:
    pass


class Cycles(Case):
    """What PyTorch's collector finds, and a few that it does not."""

    def collected(self, make):
        gc.collect()
        before = nodes_alive()
        ref = make()
        gc.collect()
        self.assertIsNone(ref())
        self.assertEqual(nodes_alive(), before)

    def test_leaf_in_its_hook(self):
        def make():
            x, token = leaf(1.0), Token()
            x.register_hook(lambda g: (x, token))
            return weakref.ref(token)

        self.collected(make)

    def test_leaf_in_its_post_accumulate_hook(self):
        def make():
            x, token = leaf(1.0), Token()
            x.register_post_accumulate_grad_hook(lambda t: [x, token][0])
            (x * 2).backward()
            return weakref.ref(token)

        self.collected(make)

    def test_result_in_its_hook(self):
        def make():
            x, token = leaf(1.0), Token()
            y = x * 2
            y.register_hook(lambda g: (y, x, token))
            return weakref.ref(token)

        self.collected(make)

    def test_node_in_its_hook(self):
        def make():
            token = Token()
            fn = (leaf(1.0) * 2).grad_fn
            fn.register_hook(lambda gi, go: (fn, token))
            return weakref.ref(token)

        self.collected(make)

    def test_result_in_its_node_hook(self):
        def make():
            y, token = leaf(1.0) * 2, Token()
            y.grad_fn.register_prehook(lambda go: (y, token))
            return weakref.ref(token)

        self.collected(make)

    def test_loss_in_a_hook_deep_below(self):
        def make():
            x, token = leaf(1.0), Token()
            y = x * 2
            z = (y * 3).exp().sum()
            y.register_hook(lambda g: (z, token))
            return weakref.ref(token)

        self.collected(make)

    def test_metadata_of_a_node(self):
        def make():
            y, token = leaf(1.0) * 2, Token()
            y.grad_fn.metadata["me"] = (y, token)
            return weakref.ref(token)

        self.collected(make)

    def test_what_lives_is_not_collected(self):
        x, seen = leaf(1.0), []
        y = x * 2
        z = y.exp()
        y.register_hook(lambda g: seen.append("y"))
        y.grad_fn.register_hook(lambda a, b: seen.append("node"))
        x.register_hook(lambda g: seen.append("x"))
        y.grad_fn.metadata["note"] = "kept"
        node = z.grad_fn.next_functions[0][0]
        del y
        gc.collect()
        self.assertEqual(node.metadata, {"note": "kept"})
        del node, x
        gc.collect()
        z.backward()
        self.assertEqual(seen, ["y", "node", "x"])
        self.assertEqual(z.grad_fn.next_functions[0][0].metadata, {"note": "kept"})

    def test_memory_is_flat(self):
        def boom(g):
            raise ValueError

        def round_(n):
            for i in range(n):
                x = leaf(1.0, 2.0)
                y = (x * 2).exp()
                y.register_hook(lambda g: y)
                x.register_hook(boom if i % 2 else (lambda g: g * 2))
                y.grad_fn.register_hook(lambda a, b: None)
                try:
                    y.sum().backward()
                except ValueError:
                    pass
            gc.collect()

        round_(100)
        before = torch._C._memory_stats()
        held = len(gc.get_objects())
        round_(10000)
        after = torch._C._memory_stats()
        for key in ("live_bytes", "live_tensors", "live_nodes"):
            self.assertEqual(before[key], after[key], key)
        self.assertLess(len(gc.get_objects()) - held, 100)


if __name__ == "__main__":
    unittest.main()
