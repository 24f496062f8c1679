"""python -m wengert --check SCRIPT: which torch names a script uses, and which of them Wengert lacks. Nothing is run."""

import ast
import importlib


class _Names(ast.NodeVisitor):
    """Collects dotted torch names with their first line: imports, and attribute chains that start at an imported name."""

    def __init__(self):
        self.local = {}  # name in the script -> dotted torch name
        self.used = {}  # dotted torch name -> line

    def _use(self, name, line):
        self.used.setdefault(name, line)

    def visit_Import(self, node):
        for item in node.names:
            if item.name.split(".")[0] == "torch":
                self._use(item.name, node.lineno)
                if item.asname:
                    self.local[item.asname] = item.name
                else:
                    self.local["torch"] = "torch"

    def visit_ImportFrom(self, node):
        if node.level == 0 and node.module and node.module.split(".")[0] == "torch":
            for item in node.names:
                name = node.module if item.name == "*" else node.module + "." + item.name
                self._use(name, node.lineno)
                if item.name != "*":
                    self.local[item.asname or item.name] = name

    def visit_Attribute(self, node):
        parts, at = [node.attr], node.value
        while isinstance(at, ast.Attribute):
            parts.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name) and at.id in self.local:
            self._use(".".join([self.local[at.id]] + parts[::-1]), node.lineno)
        else:
            self.generic_visit(node)


def _has(name):
    """Does a dotted torch name exist here? What hangs on a class or function is looked at, on an object not."""
    at = importlib.import_module("wengert")
    path = "wengert"
    for part in name.split(".")[1:]:
        path += "." + part
        try:
            at = getattr(at, part)
        except (AttributeError, ImportError):
            try:
                at = importlib.import_module(path)
            except ImportError:
                return False
        if not hasattr(at, "__path__") and not isinstance(at, type) and not hasattr(at, "__file__"):
            return True
    return True


def check_source(text, file="<script>"):
    """(used, missing): dotted torch names -> first line."""
    names = _Names()
    names.visit(ast.parse(text, file))
    missing = {name: line for name, line in names.used.items() if not _has(name)}
    return names.used, missing


def check_files(files):
    """Prints a list per script; 1 when a name is missing somewhere, 2 when a script cannot be read."""
    if not files:
        print("python -m wengert --check SCRIPT [SCRIPT…]")
        return 2
    status = 0
    for file in files:
        try:
            with open(file, encoding="utf-8") as f:
                used, missing = check_source(f.read(), file)
        except (OSError, SyntaxError, ValueError) as error:
            print(f"{file}: {error}")
            status = 2
            continue
        print(f"{file}: {len(used)} torch names, {len(missing)} missing")
        for name, line in sorted(used.items()):
            print(f"  {'missing' if name in missing else 'there  '}  {name}  (line {line})")
        if missing and not status:
            status = 1
    return status
