"""Grad modes (M1) as contexts and decorators; switches that are missing say so."""

import asyncio
import threading
import unittest

import wengert as torch
from wengert import autograd

on = torch.is_grad_enabled


class Modes(unittest.TestCase):
    def tearDown(self):
        self.assertTrue(on())

    def test_M1_contexts(self):
        with torch.no_grad() as nothing:
            self.assertIsNone(nothing)
            self.assertFalse(on())
            with torch.enable_grad():
                self.assertTrue(on())
            with torch.set_grad_enabled(True):
                self.assertTrue(on())
            self.assertFalse(on())
        with self.assertRaises(ValueError):
            with torch.no_grad():
                raise ValueError
        x = torch.ones(1, requires_grad=True)
        with torch.no_grad():
            self.assertFalse((x * 2).requires_grad)
            self.assertTrue(torch.ones(1, requires_grad=True).requires_grad)

    def test_M1_an_instance_is_used_again(self):
        mode = torch.no_grad()
        for _ in range(2):
            with mode:
                self.assertFalse(on())
            self.assertTrue(on())

    def test_M1_set_grad_enabled_acts_at_once(self):
        torch.set_grad_enabled(False)
        self.assertFalse(on())
        mode = torch.set_grad_enabled(True)
        self.assertTrue(on())
        self.assertEqual(repr(mode), "torch.autograd.grad_mode.set_grad_enabled(mode=True)")
        with torch.set_grad_enabled(mode=False):
            self.assertFalse(on())
        self.assertTrue(on())

        @torch.set_grad_enabled(False)
        def f():
            return on()

        self.assertTrue(on())
        self.assertFalse(f())
        with self.assertRaisesRegex(TypeError, r"set_grad_enabled\(\): argument 'enabled' \(position 1\) must be bool, not str"):
            torch.set_grad_enabled("a")
        with self.assertRaisesRegex(TypeError, "missing 1 required positional argument: 'mode'"):
            torch.set_grad_enabled()

    def test_M1_decorators(self):
        @torch.no_grad()
        def f(a, *, b=1):
            "doc"
            return on(), a, b

        @torch.no_grad
        def g():
            return on()

        @torch.inference_mode
        def h():
            return on(), torch.is_inference_mode_enabled()

        self.assertEqual(f(1, b=2), (False, 1, 2))
        self.assertEqual((f.__name__, f.__doc__), ("f", "doc"))
        self.assertFalse(g())
        self.assertEqual(h(), (False, True))
        self.assertEqual(torch.enable_grad(lambda: on())(), True)

        class C:
            @torch.no_grad()
            def method(self):
                return on(), self

        c = C()
        self.assertEqual(c.method(), (False, c))

    def test_M1_recursion(self):
        @torch.no_grad()
        def f(n):
            return on() or (n and f(n - 1))

        self.assertFalse(f(5))

    def test_M1_generators(self):
        @torch.no_grad()
        def numbers():
            seen = []
            try:
                while len(seen) < 2:
                    seen.append((on(), (yield on())))
            except KeyError:
                seen.append(on())
            return seen

        g = numbers()
        self.assertFalse(next(g))
        self.assertTrue(on())
        with torch.no_grad():
            self.assertFalse(g.send("a"))
        with self.assertRaises(StopIteration) as stop:
            g.throw(KeyError())
        self.assertEqual(stop.exception.value, [(False, "a"), False])
        g = numbers()
        next(g)
        g.close()

    def test_M1_coroutines_are_not_followed(self):
        @torch.no_grad()
        async def f():
            return on()

        self.assertTrue(asyncio.run(f()))

    def test_M1_classes_warn(self):
        with self.assertWarnsRegex(FutureWarning, "Decorating classes is deprecated and will be disabled in future versions."):
            @torch.no_grad()
            class C:
                def __init__(self):
                    self.mode = on()

        self.assertFalse(C().mode)

    def test_M1_per_thread(self):
        seen = []
        with torch.no_grad():
            t = threading.Thread(target=lambda: seen.append(on()))
            t.start()
            t.join()
        self.assertEqual(seen, [True])

    def test_M2_inference_mode(self):
        with torch.inference_mode():
            self.assertTrue(torch.is_inference_mode_enabled() and not on())
            with torch.inference_mode(False):
                self.assertTrue(on() and not torch.is_inference_mode_enabled())
            with torch.enable_grad():
                self.assertTrue(torch.is_inference_mode_enabled())
        self.assertFalse(torch.is_inference_mode_enabled())

    def test_names(self):
        self.assertEqual((torch.no_grad.__module__, torch.no_grad.__name__), ("torch.autograd.grad_mode", "no_grad"))
        self.assertIs(autograd.no_grad, torch.no_grad)
        self.assertIs(autograd.grad_mode.no_grad, torch.no_grad)
        self.assertEqual(repr(torch.no_grad())[:43], "<torch.autograd.grad_mode.no_grad object at")

    def test_missing_things_say_so(self):
        with autograd.set_detect_anomaly(False):
            pass
        self.assertRaises(NotImplementedError, autograd.set_detect_anomaly, True)
        self.assertRaises(NotImplementedError, autograd.detect_anomaly().__enter__)
        self.assertRaises(NotImplementedError, autograd.profiler.profile)
        with autograd.set_multithreading_enabled(False):
            pass
        with self.assertRaisesRegex(AttributeError, "Wengert does not have it yet"):
            autograd.no_such_thing


if __name__ == "__main__":
    unittest.main()
