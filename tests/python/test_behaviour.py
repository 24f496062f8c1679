"""Behaviour: PyTorch's recorded transcripts of small programs, replayed without PyTorch (tools/conformance_behaviour.py)."""
import importlib.util
import json
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("conformance_behaviour", ROOT / "tools" / "conformance_behaviour.py")
conformance = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conformance)
RECORD = json.loads((ROOT / "tests" / "python" / "data" / "behaviour.json").read_text(encoding="utf-8"))


def numpy_is_here():
    return importlib.util.find_spec("numpy") is not None


SERVE = """import json, sys
sys.path.insert(0, sys.argv[1])
import conformance_behaviour as c, wengert
json.dump({c.key(rule, source): c.transcript(wengert, source) for rule, title, source in c.programs()}, sys.stdout)
"""


PYTHON_313 = " and no __dict__ for setting new attributes"  # what CPython 3.13 adds to its own text


class Behaviour(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):  # a process that has warned of nothing yet; each program runs in a fork of it
        done = subprocess.run([sys.executable, "-c", SERVE, str(ROOT / "tools")], stdout=subprocess.PIPE, check=True)
        cls.transcripts = json.loads(done.stdout)

    def test_the_record_is_of_these_programs(self):
        self.assertTrue(RECORD["torch"].startswith("2.15"))
        self.assertEqual(RECORD["programs"], conformance.hash_of_programs(), "record again: tools/conformance_behaviour.py --record FILE")


def add(rule, title, source):
    def test(self):
        if "numpy" in source and not numpy_is_here():
            self.skipTest("needs numpy")
        key = conformance.key(rule, source)
        ours = [line.replace(PYTHON_313, "") for line in self.transcripts[key]]
        self.assertEqual(ours, RECORD["transcripts"][key], source)

    name = "test_" + "_".join([rule] + [w for w in "".join(c if c.isalnum() else " " for c in title).split()])
    setattr(Behaviour, name if not hasattr(Behaviour, name) else name + "_" + conformance.key(rule, source)[-4:], test)


for program in conformance.programs():
    if not program[1].startswith("known: "):
        add(*program)

if __name__ == "__main__":
    unittest.main()
