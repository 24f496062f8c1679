"""Docstrings and type stubs: every function and method says its signature and shows an example that gives what it says."""
import doctest
import os
import unittest

import wengert as torch
from wengert import _C

KINDS = {"f": ("torch", torch._C), "m": ("torch.Tensor", torch.Tensor), "n": ("torch.nn.functional", None)}
NAMES = sorted({(kind, name) for kind, name, *_ in _C._schemas() if kind in KINDS})


def function(kind, name):
    return _C._nn[name] if kind == "n" else getattr(KINDS[kind][1], name)


def public(owner):
    return [(name, getattr(owner, name)) for name in dir(owner) if not name.startswith("_")]


class Docstrings(unittest.TestCase):
    def test_every_function_has_a_signature_and_an_example(self):
        self.assertGreater(len(NAMES), 500)
        for kind, name in NAMES:
            with self.subTest(f"{KINDS[kind][0]}.{name}"):
                doc = function(kind, name).__doc__ or ""
                self.assertRegex(doc.split("\n")[0], rf"^{name}\(.*\)( -> .+)?$")
                self.assertIn(">>> ", doc)

    def test_what_has_no_schema_has_words(self):
        for owner in (torch._C, torch.Tensor):
            for name, value in public(owner):
                with self.subTest(name):
                    self.assertTrue(getattr(value, "__doc__", None) or not callable(value))

    def test_examples_give_what_they_say(self):
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
        parser = doctest.DocTestParser()
        said = []
        for kind, name in NAMES:
            test = parser.get_doctest(function(kind, name).__doc__, {"torch": torch}, f"{kind}.{name}", None, 0)
            self.assertTrue(test.examples, msg=name)
            torch.manual_seed(0)
            runner.run(test, out=said.append)
        self.assertEqual(runner.failures, 0, msg="".join(said))
        self.assertGreater(runner.tries, 500)

    def test_help_of_the_module(self):
        self.assertIn("import wengert as torch", torch.__doc__)


class Stubs(unittest.TestCase):
    def test_stubs_lie_beside_the_package(self):
        folder = os.path.dirname(torch.__file__)
        for name in ("py.typed", "__init__.pyi", "nn/__init__.pyi", "nn/functional.pyi", "autograd/__init__.pyi"):
            self.assertTrue(os.path.exists(os.path.join(folder, name)), msg=name)

    def test_stubs_know_every_function_and_method(self):
        import ast

        with open(os.path.join(os.path.dirname(torch.__file__), "__init__.pyi"), encoding="utf-8") as f:
            tree = ast.parse(f.read())
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

        def names(body):
            return {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))} | {n.target.id for n in body if isinstance(n, ast.AnnAssign)}

        self.assertEqual({n for n, _ in public(torch._C)} - names(tree.body), set())
        unnamed = {n for n, _ in public(torch.Tensor) if not n.startswith("is_")} - names(classes["Tensor"].body)
        self.assertEqual(unnamed, set())

    def test_the_typing_sample_runs(self):
        import contextlib
        import io

        import typing_sample

        with contextlib.redirect_stdout(io.StringIO()):
            typing_sample.main()


if __name__ == "__main__":
    unittest.main()
