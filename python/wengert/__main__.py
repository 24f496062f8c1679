"""python -m wengert SCRIPT [ARGS…] | -m MODULE [ARGS…] | -c CODE [ARGS…] | - [ARGS…] | --check SCRIPT… | --version

Runs a program in which `import torch` means Wengert, as plain python would run it: sys.argv, sys.path[0], __name__, the
traceback and the exit code are the program's. --check only lists the torch names that scripts use, and those missing.
"""

import sys

USAGE = __doc__.strip()


def _own_part(traceback):
    """The program's part of a traceback: what this file and runpy put in front is left out."""
    inner = traceback
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        traceback = traceback.tb_next
        if file == __file__:
            inner = traceback
    while inner is not None and inner.tb_frame.f_globals.get("__name__") == "runpy":
        inner = inner.tb_next
    return inner


def _show_own_part(hook):
    """The hook of an exception that leaves the program: the one in force, for the program's part."""

    def show(kind, error, traceback):
        own = _own_part(traceback)
        error.__traceback__ = own
        hook(kind, error, own)

    return show


def _main_module(file=None):
    from types import ModuleType

    module = ModuleType("__main__")
    module.__builtins__ = sys.modules["builtins"]
    module.__annotations__ = {}
    if file is not None:
        from importlib.machinery import SourceFileLoader

        module.__file__ = file
        module.__loader__ = SourceFileLoader("__main__", file)
        if sys.version_info < (3, 15):
            module.__cached__ = None
    sys.modules["__main__"] = module
    return module


def _run_script(path):
    import os

    file = path if os.path.isabs(path) else os.getcwd() + "/" + path
    with open(file, "rb") as f:
        text = f.read()
    sys.path[0] = os.path.dirname(os.path.realpath(file))
    module = _main_module(file)
    exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)


def _run_folder(path):
    """A folder or an archive with a __main__.py."""
    import runpy

    sys.path[0] = path
    _main_module()
    runpy._run_module_as_main("__main__", alter_argv=False)


def _run_module(name):
    import os
    import runpy

    sys.path[0] = os.getcwd()
    _main_module()
    runpy._run_module_as_main(name)


def _run_string(code, file="<string>"):
    if sys.version_info >= (3, 13) and file == "<string>":
        import linecache

        linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    sys.path[0] = ""
    exec(compile(code, file, "exec", dont_inherit=True), _main_module().__dict__)


def _run(what, *args):
    """Exceptions go on to Python itself, so that they end the process as they always do."""
    try:
        what(*args)
    except SystemExit:
        raise
    except BaseException as error:
        sys.excepthook = _show_own_part(sys.excepthook)
        if isinstance(error, KeyboardInterrupt):
            try:  # the last code run from text decides whether the process ends by SIGINT
                exec("raise KeyboardInterrupt")
            except KeyboardInterrupt:
                pass
        raise
    return 0


def _cannot_open(path):
    import errno
    import os

    code = errno.ENOENT if not os.path.exists(path) else errno.EACCES
    print(f"{sys.executable}: can't open file '{os.path.abspath(path)}': [Errno {code}] {os.strerror(code)}", file=sys.stderr)
    return 2


def _run_path(path):
    import os

    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "__main__.py")):
            print(f"{sys.executable}: can't find '__main__' module in '{os.path.abspath(path)}'", file=sys.stderr)
            return 1
        return _run(_run_folder, path)
    try:
        with open(path, "rb") as f:
            archive = f.read(4) == b"PK\3\4"
    except OSError:
        return _cannot_open(path)
    return _run(_run_folder if archive else _run_script, path)


def _program(argv):
    """Runs what the arguments say."""
    import wengert

    wengert.as_torch()
    first = argv[0]
    if first == "-m":
        sys.argv = argv[1:]
        return _run(_run_module, argv[1])
    if first == "-c":
        sys.argv = ["-c"] + argv[2:]
        return _run(_run_string, argv[1] + "\n")
    sys.argv = list(argv)
    return _run(_run_string, sys.stdin.read(), "<stdin>") if first == "-" else _run_path(first)


def main(argv):
    first = argv[0] if argv else None
    if first in ("-h", "--help"):
        print(USAGE)
        return 0
    if first == "--version":
        import wengert

        print("wengert", wengert.__version__)
        return 0
    if first == "--check":
        from ._check import check_files

        return check_files(argv[1:])
    if first in ("-m", "-c") and len(argv) < 2:
        print(f"Argument expected for the {first} option\n{USAGE}", file=sys.stderr)
        return 2
    if first is None or (first.startswith("-") and first not in ("-m", "-c", "-")):
        print(f"unknown option {first}\n{USAGE}" if first else USAGE, file=sys.stderr)
        return 2
    return _program(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
