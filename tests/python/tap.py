"""python tap.py FILE: runs one file of tests and prints TAP, a line per test: what tools/run_python counts."""
import gc
import importlib.util
import os
import sys
import traceback
import unittest


def _alive():
    """Tensors and nodes that the library holds, once cycles are collected."""
    from wengert import _C

    gc.collect()
    stats = _C._memory_stats()
    return stats["live_tensors"], stats["live_nodes"]


class Tap(unittest.TestResult):
    """With WENGERT_LEAKS set, a test that leaves a tensor or a node behind fails."""

    def __init__(self):
        super().__init__()
        self.n = self.bad = 0
        self.counts = bool(os.environ.get("WENGERT_LEAKS"))

    def startTest(self, test):
        super().startTest(test)
        if self.counts:
            self.before = _alive()

    def stopTest(self, test):
        super().stopTest(test)
        if not self.counts:
            return
        for name in [k for k in vars(test) if not k.startswith("_")]:
            delattr(test, name)  # what setUp made
        after = _alive()
        if after[0] > self.before[0] or after[1] > self.before[1]:
            print(f"it leaves tensors and nodes behind: {self.before} before, {after} after")
            self._line(False, f"{test.id()} leaves nothing behind")

    def _line(self, ok, test, note=""):
        self.n += 1
        self.bad += not ok
        print(f"{'ok' if ok else 'not ok'} {self.n} - {test.id() if hasattr(test, 'id') else test}{note}", flush=True)

    def _trace(self, test, err):
        print("".join(traceback.format_exception(*err, limit=None)), flush=True)
        self._line(False, test)

    def addSuccess(self, test):
        self._line(True, test)

    def addSkip(self, test, reason):
        self._line(True, test, f" # SKIP {reason}")

    def addFailure(self, test, err):
        self._trace(test, err)

    def addError(self, test, err):
        self._trace(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._trace(subtest, err)

    def addExpectedFailure(self, test, err):
        self._line(True, test)

    def addUnexpectedSuccess(self, test):
        self._line(False, test)


def main(path):
    path = os.path.abspath(path)
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except unittest.SkipTest as skip:
        print(f"1..1\nok 1 - {name} # SKIP {skip}")
        return 0
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    print(f"1..{suite.countTestCases()}", flush=True)
    result = Tap()
    suite.run(result)
    if not result.bad:
        print(f"1..{result.n}")  # a class that is skipped as a whole counts once
    return min(result.bad, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
