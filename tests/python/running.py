"""Helpers of the tests that start processes: a script run by plain python and by python -m wengert."""
import os
import subprocess
import sys
import tempfile
import unittest


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Folder(unittest.TestCase):
    """A test with a folder of its own, in which processes run."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def python(self, *args, stdin="", timeout=120, env=None):
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        variables.update(env or {}, PYTHONIOENCODING="utf-8")
        return Result(subprocess.run([sys.executable, *args], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=timeout,
                                     env=variables, encoding="utf-8"))

    def wengert(self, *args, **how):
        return self.python("-m", "wengert", *args, **how)

    def script(self, text, *args, **how):
        self.write("script.py", text)
        return self.wengert("script.py", *args, **how)

    def assertSame(self, *args, **how):
        """What plain python does with these arguments, python -m wengert does."""
        plain, ours = self.python(*args, **how), self.wengert(*args, **how)
        self.assertEqual((plain.code, plain.out), (ours.code, ours.out), msg=f"{plain}\n====\n{ours}")
        self.assertEqual(plain.err, ours.err)
        return ours

    def assertPrints(self, text, expected, *args):
        done = self.script(text, *args)
        self.assertEqual(done.out, expected, msg=repr(done))
        self.assertEqual(done.code, 0)
