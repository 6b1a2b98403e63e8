"""What no room may do, read from its syntax: run what a file or a text says, load objects out of bytes, make SQL of text.

A name is followed through every import and alias: `from torch import load as l` and `getattr(torch, "load")` are `torch.load`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle", "skops", "code", "codeop"}
"""Each can run what stands in the bytes that it loads, or a text."""
CALLS = {
    "torch.load",  # weights_only has been got round before
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "pandas.read_pickle",
    "numpy.lib.format.read_array",
    "mlflow.pyfunc.load_model",
    "os.system",
    "os.popen",
    "asyncio.create_subprocess_shell",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "xml.etree.ElementTree.parse",
    "langchain_core.load.load",
    "langchain_core.load.loads",
    "tempfile.mktemp",
}
YAML = {"safe_load", "safe_load_all", "safe_dump", "YAMLError", "SafeLoader", "CSafeLoader"}
BUILTINS = {"eval", "exec", "compile", "__builtins__"}
FALSE_ONLY = {"trust_remote_code", "allow_pickle", "allow_dangerous_deserialization", "unsafe"}
PROCESSES = {"run", "Popen", "call", "check_call", "check_output"}
TRUE_ONLY = {"weights_only", "use_safetensors"}
CONNECTIONS = {"asyncio.open_connection", "asyncio.open_unix_connection", "socket.create_connection"}
CLIENTS = {"httpx", "httpcore", "httplib2", "requests", "aiohttp", "urllib3", "http.client", "urllib.request", "websockets", "websocket", "pycurl"}
CLIENTS |= {"ftplib", "smtplib", "telnetlib", "imaplib", "poplib", "xmlrpc.client"}
HTTP_HOMES = {"llmops/outbound.py"}
CONNECTION_HOMES = {"llmops/faulty_provider.py"}
STATEMENTS = {"text", "execute", "executemany", "executescript", "exec_driver_sql", "literal_column", "DDL"}
CONSTANT_ONLY = {"exec_driver_sql", "literal_column", "executescript", "DDL", "sqlalchemy.text", "sqlalchemy.DDL", "sqlalchemy.literal_column"}


def violations(code: str, path: str = "llmops/a.py") -> list[str]:
    """Each thing in the code that its path may not have, with its line."""
    tree = ast.parse(code)
    names = _names(tree)
    found = [*_imports(tree, path), *_references(tree, names, path), *_arguments(tree), *_statements(tree, names)]
    return [f"{path}:{line} {what}" for line, what in sorted(set(found))]


def _names(tree: ast.Module) -> dict[str, str]:
    """What each imported or renamed name stands for, in full."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):  # `load = torch.load`
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute) and (full := _full(node.value, names)):
            for target in node.targets:
                if isinstance(target, ast.Name) and full.split(".")[0] != target.id:
                    names.setdefault(target.id, full)
    return names


def _full(node: ast.AST, names: dict[str, str]) -> str:
    """The dotted name of an expression, "" where it has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _full(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
        base, name = _full(node.args[0], names), _constant(node.args[1])
        return f"{base}.{name}" if base and name else ""
    return ""


def _imports(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            if module.split(".")[0] in MODULES:
                yield node.lineno, f"imports {module}"
            if _is_in(module, CLIENTS) and path not in HTTP_HOMES:
                yield node.lineno, f"imports {module}: clients come from llmops/outbound.py"


def _references(tree: ast.Module, names: dict[str, str], path: str) -> Iterator[tuple[int, str]]:
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        full = _full(node, names)
        if not full:
            continue
        if isinstance(node, ast.Name) and node.id in BUILTINS - own - names.keys():
            yield node.lineno, f"names {node.id}"
        first, _, last = full.rpartition(".")
        if first == "builtins" and last in BUILTINS:
            yield node.lineno, f"names {full}"
        if full in CALLS or any(full.endswith(f".{name}") and fnmatch(full, f"{name.split('.')[0]}.*") for name in CALLS):
            yield node.lineno, f"names {full}"
        if first == "yaml" and last not in YAML:
            yield node.lineno, f"names {full}: only the safe loader"
        if full in CONNECTIONS and path not in CONNECTION_HOMES:
            yield node.lineno, f"names {full}: clients come from llmops/outbound.py"


def _arguments(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Arguments that open a door, by keyword or in a dictionary of keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and {getattr(node.func, "id", ""), getattr(node.func, "attr", "")} & PROCESSES:
            for given in node.keywords:
                if given.arg == "shell" and not (isinstance(given.value, ast.Constant) and given.value.value is False):
                    yield node.lineno, "runs a shell"
        if isinstance(node, ast.keyword) and node.arg:
            pairs: list[tuple[str, ast.expr]] = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(_constant(key), value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        else:
            continue
        for name, value in pairs:
            said = value.value if isinstance(value, ast.Constant) else "?"
            if (name in FALSE_ONLY and said is not False) or (name in TRUE_ONLY and said is not True):
                yield value.lineno, f"gives {name}={ast.unparse(value)}"


def _statements(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """SQL that is put together out of text."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)]
    made = {
        target.id
        for node in assigned
        if node.value is not None and (isinstance(node, ast.AugAssign) or _is_made(node.value))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        full = _full(node.func, names)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else full.rpartition(".")[2]
        sql = node.args[0]
        if name == "text" and not full.startswith("sqlalchemy."):
            continue  # some other function of this name
        if name in STATEMENTS and (_is_made(sql) or (isinstance(sql, ast.Name) and sql.id in made)):
            yield sql.lineno, f"gives {name}() a statement made of text"
        elif {name, full} & CONSTANT_ONLY and not (_constant(sql) or _chooses(sql)):
            yield sql.lineno, f"gives {name}() a statement that is not written out"


def _is_made(node: ast.expr) -> bool:
    """Whether an expression puts text together: an f-string, `%`, `+`, `.format`, `.join`, `.replace`."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod) and any(_is_text(side) for side in (node.left, node.right))
    if isinstance(node, ast.IfExp):
        return _is_made(node.body) or _is_made(node.orelse)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return node.func.attr in {"format", "format_map", "replace"} or (node.func.attr == "join" and isinstance(node.func.value, ast.Constant))


def _is_text(node: ast.expr) -> bool:
    return bool(_constant(node)) or isinstance(node, ast.JoinedStr) or _is_made(node)


def _chooses(node: ast.expr) -> bool:
    """One of two statements that both are written out."""
    return isinstance(node, ast.IfExp) and all(_constant(side) or _chooses(side) for side in (node.body, node.orelse))


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_in(module: str, modules: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in modules)
