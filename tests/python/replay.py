"""Replays of PyTorch's recorded answers: a tool of tools/ evaluates cases that a file of data/ holds with their answers."""
import hashlib
import importlib.util
import json
import pathlib

import wengert as torch

try:
    import numpy
except ImportError:
    numpy = None

HERE = pathlib.Path(__file__).resolve().parent


def tool(name):
    spec = importlib.util.spec_from_file_location(name, HERE.parent.parent / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(name):
    return json.loads((HERE / "data" / f"{name}.json").read_text())


class Recorded:
    """Mixed into a TestCase that says which file, which tool."""

    data = script = None

    def test_recording_names_its_script(self):
        head = recorded(self.data)
        self.assertTrue(head["torch"].startswith("2."))
        path = HERE.parent.parent / head["script"]
        self.assertEqual(head["sha256"], hashlib.sha256(path.read_bytes()).hexdigest())


class Calls(Recorded):
    """The calls of one group in data/calls.json."""

    data, group, least = "calls", None, 1

    def test_every_call_as_pytorch(self):
        script = tool("conformance_calls")
        cases = [c for c in recorded("calls")["calls"] if c[0] == self.group]
        self.assertGreaterEqual(len(cases), self.least)
        for _, source, want, *with_numpy_1 in cases:
            if numpy is None and "np." in source:
                continue
            if numpy and with_numpy_1 and numpy.__version__.startswith("1."):
                want = with_numpy_1[0]
            with self.subTest(source=source):
                ours = script.evaluate(torch, numpy, source)
                self.assertEqual(ours.replace(" and no __dict__ for setting new attributes", ""), want)  # CPython 3.13 adds it
