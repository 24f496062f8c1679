"""python -m wengert and wengert.as_torch(): programs run as plain python runs them, and import torch means Wengert."""
import os
import pickle
import subprocess
import sys
import unittest
import zipfile

import wengert
from running import Folder

IMITATED = "2.15.0+wengert." + wengert.__version__


class AsPlainPython(Folder):
    """Whatever a script does that has nothing to do with torch comes out as under plain python, to the byte."""

    def same(self, text, *args, **how):
        self.write("script.py", text)
        return self.assertSame("script.py", *args, **how)

    def test_arguments_and_name(self):
        done = self.same("import sys\nprint(sys.argv, __name__, __file__, sys.path[0])\n", "a", "-b", "--c=d", "-m", "-c")
        self.assertIn("__main__", done.out)

    def test_names_of_the_main_module(self):
        self.same("print({k: v if isinstance(v, (str, dict, type(None))) else type(v).__name__ for k, v in sorted(globals().items())})\n"
                  "import sys; print(sys.modules['__main__'].__dict__ is globals())\n")

    def test_script_in_a_folder(self):
        self.write("sub/helper.py", "value = 3\n")
        self.write("sub/script.py", "import sys, helper\nprint(helper.value, sys.path[0], __file__, sys.argv)\n")
        self.assertSame("sub/script.py", "x")
        self.assertSame("./sub/script.py")

    def test_traceback(self):
        done = self.same("def f(x):\n    return g(x)\n\n\ndef g(x):\n    raise ValueError('this ' + x)\n\n\nf('one')\n")
        self.assertEqual(done.code, 1)
        self.assertNotIn("wengert", done.err)

    def test_traceback_of_chained_exceptions(self):
        self.same("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n")
        self.same("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('k')\n")
        self.same("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('k') from None\n")

    def test_traceback_of_a_script_that_is_named_like_a_part_of_python(self):
        self.write("my_runpy_script.py", "def f():\n    raise ValueError(1)\nf()\n")
        self.assertSame("my_runpy_script.py")

    def test_traceback_of_a_group(self):
        self.same("raise ExceptionGroup('both', [ValueError(1), TypeError(2)])\n")

    def test_traceback_through_exec_and_compile(self):
        self.same("exec('def f():\\n    raise ValueError(3)')\nf()\n")

    def test_syntax_error(self):
        done = self.same("x = 1\ny = = 2\n")
        self.assertEqual(done.code, 1)

    def test_indentation_error_and_bytes_that_are_no_text(self):
        self.same("if 1:\nx = 2\n")

    def test_own_excepthook(self):
        self.same("import sys\nsys.excepthook = lambda t, v, tb: print('hook', t.__name__, v, tb.tb_lineno, tb.tb_next)\nraise ValueError('x')\n")

    def test_exit_codes(self):
        for what in ("sys.exit()", "sys.exit(0)", "sys.exit(3)", "sys.exit('words')", "sys.exit(None)", "raise SystemExit(7)", "exit(4)",
                     "sys.exit([1, 2])", "sys.exit(-1)", "sys.exit(256)", "import os; os._exit(9)", "raise KeyboardInterrupt", "1 / 0",
                     "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "raise SystemExit", "raise GeneratorExit"):
            with self.subTest(what):
                self.same(f"import sys\n{what}\n")

    def test_atexit_and_finally_run(self):
        self.same("import atexit, sys\natexit.register(print, 'last')\ntry:\n    sys.exit(5)\nfinally:\n    print('finally')\n")

    def test_atexit_after_an_exception(self):
        self.same("import atexit, sys\natexit.register(lambda: print('last', sys.last_value))\nraise ValueError(3)\n")

    def test_warnings_name_the_line(self):
        self.same("import warnings\nwarnings.warn('old', DeprecationWarning)\ndef f():\n    warnings.warn('deep', stacklevel=2)\nf()\n")

    def test_future_and_coding(self):
        self.same("# -*- coding: latin-1 -*-\nfrom __future__ import annotations\ndef f(x: nothing): return x\nprint(f.__annotations__)\n")

    def test_future_statements_of_the_runner_are_not_inherited(self):
        self.same("def f(x: int): return x\nprint(f.__annotations__)\n")

    def test_stdin_is_the_scripts(self):
        self.same("import sys\nprint(sys.stdin.read().upper())\n", stdin="words\n")

    def test_threads_that_fail(self):
        self.same("import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start()\nt.join()\nprint('after')\n".replace("'t')", "'t')"))

    def test_classes_of_the_script_pickle(self):
        self.same("import pickle\nclass A:\n    def __init__(self): self.x = 1\nprint(pickle.loads(pickle.dumps(A())).x, A.__module__)\n")

    def test_dataclasses_and_typing_see_the_module(self):
        self.same("from __future__ import annotations\nimport dataclasses, typing\n@dataclasses.dataclass\nclass P:\n    x: int = 3\n"
                  "print(P(), typing.get_type_hints(P))\n")

    def test_main_guard_and_import_of_the_main_module(self):
        self.same("import __main__\nif __name__ == '__main__':\n    value = 5\n    print(__main__.value)\n")

    def test_inspect_finds_the_source(self):
        self.same("import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))\n")

    def test_multiprocessing_by_fork(self):
        self.same("import multiprocessing as m\ndef f(x): return x * x\nif __name__ == '__main__':\n"
                  "    with m.get_context('fork').Pool(2) as p: print(p.map(f, range(4)))\n")

    def test_asyncio_and_generators(self):
        self.same("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    raise RuntimeError('in a task')\nasyncio.run(f())\n".replace(
            "asyncio.run(f())", "try:\n    asyncio.run(f())\nexcept RuntimeError as e:\n    print(e)"))

    def test_missing_script(self):
        done = self.wengert("nothing.py")
        self.assertEqual(done.code, 2)
        self.assertIn("can't open file", done.err)
        self.assertIn("No such file or directory", done.err)
        self.assertSame("nothing.py")

    def test_folder_and_archive(self):
        self.write("app/__main__.py", "import sys, other\nprint(__name__, other.v, sys.argv)\n")
        self.write("app/other.py", "v = 4\n")
        self.assertSame("app", "x")
        with zipfile.ZipFile(os.path.join(self.folder, "app.zip"), "w") as z:
            z.write(os.path.join(self.folder, "app/__main__.py"), "__main__.py")
            z.write(os.path.join(self.folder, "app/other.py"), "other.py")
        self.assertSame("app.zip", "y")

    def test_module(self):
        self.write("pack/__init__.py", "")
        self.write("pack/part.py", "import sys\nfrom . import __name__ as n\nprint(__name__, n, sys.argv, __package__, __spec__.name, sys.path[0])\n")
        self.assertSame("-m", "pack.part", "a", "-b")
        self.write("pack/__main__.py", "print(__name__, __spec__.name)\n")
        self.assertSame("-m", "pack")
        self.assertSame("-m", "json.tool", stdin="[1]")

    def test_module_that_fails(self):
        self.write("bad.py", "def f():\n    raise ValueError(1)\nf()\n")
        plain, ours = self.python("-m", "bad"), self.wengert("-m", "bad")
        self.assertEqual((plain.code, plain.out), (ours.code, ours.out))
        own = plain.err[plain.err.index(f'  File "{self.folder}'):]
        self.assertEqual("Traceback (most recent call last):\n" + own, ours.err)
        self.assertSame("-m", "no_such_module")

    def test_code(self):
        self.assertSame("-c", "import sys; print(sys.argv, sys.path[0] == '', __name__, globals().get('__file__'))", "a", "b")
        self.assertSame("-c", "def f():\n    1 / 0\nf()")
        self.assertSame("-c", "x = = 3")
        self.assertSame("-c", "raise KeyboardInterrupt")
        self.assertSame("-c", "import sys; sys.exit(6)")

    def test_script_on_stdin(self):
        self.assertSame("-", "a", stdin="import sys\nprint(sys.argv, __name__)\n")


class CommandLine(Folder):
    def test_help_version_and_mistakes(self):
        self.assertIn("python -m wengert SCRIPT", self.wengert("--help").out)
        self.assertEqual(self.wengert("--help").code, 0)
        self.assertEqual(self.wengert("--version").out, f"wengert {wengert.__version__}\n")
        for args in ((), ("-m",), ("-c",), ("--nothing",)):
            with self.subTest(args):
                done = self.wengert(*args)
                self.assertEqual(done.code, 2)
                self.assertIn("python -m wengert SCRIPT", done.err)

    def test_check_lists_names_without_running(self):
        self.write("a.py", "import torch, sys\nimport torch.nn as nn\nfrom torch import ones as o, compile\n"
                           "import torch.nn.functional as F\nfrom torch.autograd import grad\n"
                           "print('ran')\nx = torch.ones(2).exp()\nnn.Linear(2, 3)\nF.relu(x)\ntorch.fft.rfft(x)\ntorch.Tensor.add(x, x)\n")
        done = self.wengert("--check", "a.py")
        self.assertEqual(done.code, 1, msg=repr(done))
        self.assertNotIn("ran", done.out)
        lines = [line.split() for line in done.out.splitlines()[1:]]
        missing = {line[1] for line in lines if line[0] == "missing"}
        self.assertEqual(missing, {"torch.compile", "torch.fft.rfft", "torch.nn.Linear"})
        self.assertIn("torch.ones", {line[1] for line in lines})
        self.assertIn("torch.Tensor.add", {line[1] for line in lines})
        self.assertIn("(line 8)", next(line for line in done.out.splitlines() if "nn.Linear" in line))

    def test_check_of_a_script_that_has_all(self):
        self.write("a.py", "import torch as t\nprint(t.ones(2) + t.zeros(2))\n")
        done = self.wengert("--check", "a.py")
        self.assertEqual((done.code, done.err), (0, ""))

    def test_check_of_what_cannot_be_read(self):
        self.write("a.py", "x = = 2\n")
        self.write("b.py", "import torch\ntorch.ones(2)\n")
        done = self.wengert("--check", "nothing.py", "a.py", "b.py")
        self.assertEqual(done.code, 2)
        self.assertIn("b.py: ", done.out)
        self.assertEqual(self.wengert("--check").code, 2)


class TheName(Folder):
    def test_version_is_the_imitated_one(self):
        self.assertPrints("import torch\nprint(torch.__version__)\nimport wengert\nprint(wengert.__version__)\n",
                          f"{IMITATED}\n{wengert.__version__}\n")

    def test_version_compares(self):
        self.assertPrints(
            "import torch\nv = torch.__version__\n"
            "print(v >= '2.0', v > '2.9', v < '2.15.1', v >= '1.13.1', v < '10', v > (2, 0), v >= (2, 15), v == '2.15.0', '2.0' < v, '2.16' > v)\n"
            "print(isinstance(v, str), v.split('+')[0], v.split('.')[:2], tuple(int(p) for p in v.split('+')[0].split('.')[:2]) >= (2, 0))\n"
            "print(torch.version.__version__ == v, torch.version.cuda, torch.version.hip)\n",
            "True True True True True True True True True True\nTrue 2.15.0 ['2', '15'] True\nTrue None None\n")

    def test_missing_names(self):
        done = self.script("import torch\ntorch.compile\n")
        self.assertEqual(done.code, 1)
        self.assertEqual(done.err.splitlines()[-1], "AttributeError: module 'torch' has no attribute 'compile'. Wengert does not have it yet")
        self.assertPrints("import torch\nprint(hasattr(torch, 'compile'), getattr(torch, 'compile', None), hasattr(torch, 'ones'))\n", "False None True\n")

    def test_missing_names_of_modules(self):
        for name in ("torch.nn.Linear", "torch.nn.functional.conv2d", "torch.autograd.nothing", "torch.linalg.svd", "torch.cuda.Event"):
            with self.subTest(name):
                module, _, last = name.rpartition(".")
                done = self.script(f"import {module}\n{name}\n")
                self.assertEqual(done.err.splitlines()[-1],
                                 f"AttributeError: module '{module}' has no attribute '{last}'. Wengert does not have it yet")

    def test_missing_import(self):
        done = self.script("from torch import compile\n")
        self.assertRegex(done.err.splitlines()[-1], "^ImportError: cannot import name 'compile' from 'torch'")
        for name in ("torch.fft", "torch.optim.lr_scheduler", "torch.nothing", "torch.nn.nothing"):
            with self.subTest(name):
                done = self.script(f"import {name}\n")
                last = done.err.splitlines()[-1]
                self.assertRegex(last, f"^ModuleNotFoundError: No module named '{name.rsplit('.', 1)[0] if 'optim' in name else name}.*'. "
                                       "Wengert does not have it yet")

    def test_missing_methods(self):
        done = self.script("import torch\ntorch.ones(2).svd()\n")
        self.assertRegex(done.err.splitlines()[-1], "^AttributeError: 'Tensor' object has no attribute 'svd'")

    def test_imports_of_submodules(self):
        self.assertPrints(
            "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\nfrom torch import nn as nn2, Tensor\nfrom torch.nn import functional\n"
            "from torch.nn.functional import relu\nimport torch.autograd\nfrom torch.autograd import backward, grad\nimport torch.linalg\n"
            "from torch.nn.parameter import Parameter\nimport torch.cuda, torch.backends, torch.random, torch.types, torch.overrides\n"
            "print(nn is nn2, nn is torch.nn, F is functional, F is nn.functional, relu is F.relu, Parameter is nn.Parameter)\n"
            "import wengert, sys\nprint(wengert.nn is nn, torch.nn.functional is wengert.nn.functional, Tensor is wengert.Tensor, "
            "sys.modules['torch.nn'] is nn)\n"
            "print(torch.cuda.is_available(), torch.autograd.grad is grad, nn.__name__)\n",
            "True True True True True True\nTrue True True True\nFalse True wengert.nn\n")

    def test_import_twice_and_importlib(self):
        self.assertPrints("import importlib, torch\nprint(importlib.import_module('torch') is torch, importlib.import_module('torch.nn') is torch.nn)\n"
                          "print(importlib.util.find_spec('torch') is not None)\nimport importlib.util\n",
                          "True True\nTrue\n")

    def test_star_import(self):
        self.assertPrints("from torch import *\nprint(ones(2), Tensor.__name__, float32, manual_seed.__name__, __name__)\n",
                          "tensor([1., 1.]) Tensor torch.float32 manual_seed __main__\n")

    def test_names_of_types(self):
        self.assertPrints("import torch\nprint(torch.Tensor, torch.Size, torch.dtype, torch.device, torch.Generator, torch.nn.Parameter)\n"
                          "print(torch.ones(2).max(0).__class__)\n",
                          "<class 'torch.Tensor'> <class 'torch.Size'> <class 'torch.dtype'> <class 'torch.device'> <class 'torch._C.Generator'> "
                          "<class 'torch.nn.parameter.Parameter'>\n<class 'torch.return_types.max'>\n")

    def test_what_is_set_on_the_module_stays(self):
        self.assertPrints("import torch, wengert\ntorch.mine = 5\nprint(torch.mine, wengert.mine)\nold = torch.ones\ntorch.ones = lambda n: 'patched'\n"
                          "print(torch.ones(2))\nfrom torch import ones\nprint(ones(1))\ntorch.ones = old\nprint(torch.ones(1))\ndel torch.mine\n"
                          "print(hasattr(torch, 'mine'), hasattr(wengert, 'mine'))\n",
                          "5 5\npatched\npatched\ntensor([1.])\nFalse False\n")

    def test_tab_completion(self):
        self.assertPrints("import torch\nnames = dir(torch)\nprint({'ones', 'nn', 'Tensor', 'autograd', '__version__'} <= set(names), len(names) > 200)\n"
                          "import rlcompleter\nc = rlcompleter.Completer({'torch': torch})\nprint(c.complete('torch.zeros_l', 0))\n",
                          "True True\ntorch.zeros_like(\n")

    def test_as_torch_inside_a_program(self):
        self.write("a.py", "import wengert\nt = wengert.as_torch()\nimport torch\nprint(t is torch, wengert.as_torch() is torch, torch.__version__)\n"
                           "import torch.nn.functional as F\nprint(F.relu(torch.tensor([-1., 2.])))\n")
        done = self.python("a.py")
        self.assertEqual(done.out, f"True True {IMITATED}\ntensor([0., 2.])\n", msg=repr(done))

    def test_as_torch_after_another_torch(self):
        self.write("torch.py", "real = True\n")
        self.write("a.py", "import torch, wengert\ntry:\n    wengert.as_torch()\nexcept RuntimeError as e:\n    print(e)\nprint(torch.real)\n")
        done = self.python("a.py")
        self.assertRegex(done.out, "^torch is imported already.*\nTrue\n$")

    def test_another_torch_on_the_path_is_not_taken(self):
        self.write("torch.py", "raise Exception('the wrong one')\n")
        self.assertPrints("import torch\nprint(torch.ones(1))\n", "tensor([1.])\n")

    def test_without_as_torch_there_is_no_torch(self):
        self.write("a.py", "import wengert, sys\nprint('torch' in sys.modules, any(m.startswith('torch.') for m in sys.modules))\n")
        self.assertEqual(self.python("a.py").out, "False False\n")

    def test_traceback_inside_the_library_shows_the_scripts_line(self):
        done = self.script("import torch\n\n\ndef f(x):\n    return x.reshape(7)\n\n\nf(torch.ones(2))\n")
        lines = done.err.splitlines()
        self.assertEqual([line.split(", ")[1] for line in lines if line.startswith("  File")], ["line 8", "line 5"])
        self.assertRegex(lines[-1], "^RuntimeError: shape '\\[7\\]' is invalid for input of size 2")

    def test_the_tutorial_script(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/autograd_tutorial.py")
        if not os.path.exists(script):
            self.skipTest("the examples are not beside the tests")
        done = self.wengert(script)
        self.assertEqual((done.code, done.err), (0, ""))
        lines = done.out.splitlines()
        self.assertEqual(lines[:4], ["tensor([[1., 1.],", "        [1., 1.]], requires_grad=True)", "tensor([[3., 3.],",
                                     "        [3., 3.]], grad_fn=<AddBackward0>)"])
        self.assertRegex(lines[4], "^<AddBackward0 object at 0x[0-9a-f]+>$")
        self.assertEqual(lines[7], "False")
        self.assertEqual(lines[-3:], ["True", "False", "tensor(True)"])


class Pickles(Folder):
    """A pickle made under either name is read under either."""

    MAKE = ("import sys, pickle\n{imports}\nx = torch.arange(3.0).requires_grad_()\n"
            "pickle.dump([x, torch.Size([1, 2]), torch.float64, torch.device('cpu'), torch.nn.Parameter(x.detach())], open('p', 'wb'))\n")
    READ = ("import pickle\n{imports}\nx, s, d, c, p = pickle.load(open('p', 'rb'))\n"
            "print(x, s, d, c, type(p).__name__, type(x) is torch.Tensor, d is torch.float64, type(s) is torch.Size)\n")
    SAYS = "tensor([0., 1., 2.], requires_grad=True) torch.Size([1, 2]) torch.float64 cpu Parameter True True True\n"

    def test_all_ways(self):
        for made_as in ("import wengert as torch", "import torch"):
            for read_as in ("import wengert as torch", "import torch"):
                with self.subTest(made=made_as, read=read_as):
                    self.write("make.py", self.MAKE.format(imports=made_as))
                    self.write("read.py", self.READ.format(imports=read_as))
                    run = self.python if "wengert" in made_as else self.wengert
                    done = run("make.py")
                    self.assertEqual(done.code, 0, msg=repr(done))
                    run = self.python if "wengert" in read_as else self.wengert
                    done = run("read.py")
                    self.assertEqual(done.out, self.SAYS, msg=repr(done))

    def test_pickles_are_read_without_importing_first(self):
        self.write("make.py", "import wengert as torch, pickle\npickle.dump(torch.ones(2), open('p', 'wb'))\n")
        self.write("read.py", "import pickle\nprint(pickle.load(open('p', 'rb')))\n")
        self.assertEqual(self.python("make.py").code, 0)
        self.assertEqual(self.python("read.py").out, "tensor([1., 1.])\n")

    def test_functions_pickle(self):
        import wengert.nn.functional as F

        for value in (wengert.ones, wengert.add, wengert.relu, F.relu, F.linear, F.mse_loss):
            with self.subTest(value):
                self.assertIs(pickle.loads(pickle.dumps(value)), value)

    def test_types_pickle_by_their_names(self):
        self.assertPrints("import torch, pickle\nfor t in (torch.Tensor, torch.Size, torch.dtype, torch.device, torch.nn.Parameter, torch.return_types.max):\n"
                          "    print(pickle.loads(pickle.dumps(t)) is t, end=' ')\n", "True " * 6)

    def test_functions_show_as_functions_of_a_type(self):
        self.assertRegex(repr(wengert.ones), "^<built-in method ones of type object at 0x[0-9a-f]+>$")


class Process(Folder):
    """What a process, an interpreter, a thread build may hold."""

    def test_import_is_light(self):
        """It loads none of Python's own modules besides those that are there at the start and copyreg, and none of ours but two."""
        done = self.python("-c", "import sys; before = set(sys.modules); import wengert; print(sorted(set(sys.modules) - before))")
        loaded = eval(done.out)
        self.assertEqual([m for m in loaded if not m.startswith(("wengert", "encodings.")) and m != "copyreg"], [])
        self.assertNotIn("wengert.nn", loaded)

    def test_second_interpreter_is_refused(self):
        done = self.python("-c", "import wengert\ntry:\n    import _xxsubinterpreters as s\nexcept ImportError:\n    import _interpreters as s\n"
                                 "i = s.create()\ntry:\n    e = s.run_string(i, 'import wengert')\n    print(e)\nexcept BaseException as e:\n    print(e)\n")
        if "No module named" in done.out:
            self.skipTest("this Python has no module for interpreters")
        # from 3.12 on Python itself refuses, before the module has its say
        self.assertRegex(done.out + done.err, "ImportError.*(one interpreter|does not support loading in subinterpreters)|one interpreter")
        self.assertEqual(done.code, 0, msg=repr(done))

    def test_second_interpreter_of_the_old_kind_is_refused(self):
        done = self.python("-c", "import wengert\ntry:\n    import _testcapi\nexcept ImportError:\n    print('none')\n    raise SystemExit\n"
                                 "print(_testcapi.run_in_subinterp('try:\\n    import wengert\\nexcept ImportError as e:\\n    print(e)\\n'))\n")
        if done.out.startswith("none"):
            self.skipTest("this Python has no _testcapi")
        self.assertIn("one interpreter", done.out)
        self.assertEqual(done.code, 0, msg=repr(done))

    def test_second_copy_of_the_library_is_named(self):
        copy = os.path.join(self.folder, "libwengert_copy.so")
        with open(wengert.get_library(), "rb") as f, open(copy, "wb") as g:
            data = f.read()
            g.write(data.replace(b"libwengert.so.0\0", b"libwengert.so.9\0"))
        done = self.python("-c", f"import ctypes\nctypes.CDLL({copy!r}, mode=ctypes.RTLD_GLOBAL)\nimport wengert\n")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err.splitlines()[-1], "^ImportError: a second copy of libwengert is in this process: .*libwengert_copy.so")
        done = self.python("-c", f"import ctypes\nctypes.CDLL({copy!r})\nimport wengert\n")
        self.assertRegex(done.err.splitlines()[-1], "^ImportError: a second copy of libwengert is in this process: .*libwengert_copy.so")

    def test_library_and_headers(self):
        path = wengert.get_library()
        self.assertTrue(os.path.exists(path))
        import ctypes

        library = ctypes.CDLL(path)
        library.wg_version.restype = ctypes.c_char_p
        self.assertEqual(library.wg_version().decode(), wengert.__version__)

    def test_headers_of_the_installed_package(self):
        include = wengert.get_include()
        if os.path.islink(wengert.__file__):
            self.skipTest("the package is not installed, this is a build tree")
        self.assertTrue(os.path.exists(os.path.join(include, "wengert", "wengert.h")))

    def test_show_config_names_version_and_threads(self):
        text = wengert.show_config()
        self.assertIn(wengert.__version__, text)

    def test_import_error_is_explained(self):
        for name in ("__init__.py", "_unusable.py"):
            with open(os.path.join(os.path.dirname(wengert.__file__), name), encoding="utf-8") as f:
                self.write("wengert/" + name, f.read())
        done = self.python("-c", "import wengert")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err.splitlines()[-1], "^ImportError: .*wengert._C cannot be loaded: it has not been built")

    def test_fork_after_import(self):
        self.assertPrints("import torch, os\nx = torch.ones(300000)\nx.sum()\npid = os.fork()\nprint(x.sum().item(), flush=True)\n"
                          "if pid:\n    os.waitpid(pid, 0)\nelse:\n    os._exit(0)\n", "300000.0\n300000.0\n")

    def test_isolated_and_optimized_python(self):
        for flag in ("-O", "-OO", "-B"):
            done = subprocess.run([sys.executable, flag, "-c", "import wengert; print(wengert.ones(1) + 1)"], capture_output=True, text=True)
            self.assertEqual(done.out if hasattr(done, "out") else done.stdout, "tensor([2.])\n", msg=done.stderr)


if __name__ == "__main__":
    unittest.main()
