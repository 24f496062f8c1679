"""python -m wengert SCRIPT [ARGS…] | -m MODULE [ARGS…] | -c CODE [ARGS…] | --check SCRIPT

Runs a program in which `import torch` means Wengert, as plain python would run it: sys.argv, sys.path[0], __name__, the
traceback and the exit code are the program's.
"""

import sys

USAGE = __doc__.strip()


def _strip(traceback):
    """The program's own part of a traceback: what this file and runpy added in front is left out."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file != __file__ and "runpy" not in file:
            return traceback
        traceback = traceback.tb_next
    return None


def _report(error):
    error.__traceback__ = _strip(error.__traceback__)
    sys.excepthook(type(error), error, error.__traceback__)


def _main_module():
    from types import ModuleType

    module = ModuleType("__main__")
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    return module


def _run_code(text, file, module):
    module.__file__ = file
    exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)


def _run_script(path):
    import os

    with open(path, "rb") as f:
        text = f.read()
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    _run_code(text, path, _main_module())


def _run_module(name):
    import os
    import runpy

    sys.path[0] = os.getcwd()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_string(code):
    sys.path[0] = ""
    module = _main_module()
    exec(compile(code, "<string>", "exec", dont_inherit=True), module.__dict__)


def _guarded(run, *args):
    """Runs it; the exit code as python gives it."""
    try:
        run(*args)
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        _report(error)
        sys.exit(130)
    except BaseException as error:
        _report(error)
        sys.exit(1)


def main(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] == "--version":
        import wengert

        print("wengert", wengert.__version__)
        return 0
    if argv[0] == "--check":
        from ._check import check_files

        return check_files(argv[1:])
    kind = argv[0] if argv[0] in ("-m", "-c") else None
    if kind and len(argv) < 2:
        print(f"Argument expected for the {kind} option\n{USAGE}", file=sys.stderr)
        return 2
    import wengert

    wengert.as_torch()
    if kind == "-m":
        sys.argv = argv[1:]
        _guarded(_run_module, argv[1])
    elif kind == "-c":
        sys.argv = ["-c"] + argv[2:]
        _guarded(_run_string, argv[1])
    else:
        sys.argv = list(argv)
        import os

        if not os.path.isfile(argv[0]):
            print(f"python -m wengert: can't open file '{os.path.abspath(argv[0])}': [Errno 2] No such file or directory", file=sys.stderr)
            return 2
        _guarded(_run_script, argv[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
