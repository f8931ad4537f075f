# Reads a script on standard input, says on standard output as one JSON object what its `main` takes and what it
# needs from PyPI, or what is wrong with it. The script is parsed, never run. python3_packages.py stands before it.
import ast
import json
import sys

SCALARS = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "dict": {"type": "object"},
    "Dict": {"type": "object"},
    "list": {"type": "array"},
    "List": {"type": "array"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "Any": {},
}


def last_name(node):
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return None


def is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def members(node):
    """The alternatives of `A | B`, `Union[A, B]`, `Optional[A]`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return members(node.left) + members(node.right)
    if isinstance(node, ast.Subscript):
        name, inner = last_name(node.value), node.slice
        if name == "Optional":
            return members(inner) + [ast.Constant(value=None)]
        if name == "Union":
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return [member for part in parts for member in members(part)]
    return [node]


def property_of(node):
    if node is None:
        return {}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return property_of(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return {}
    alternatives = [member for member in members(node) if not is_none(member)]
    if len(alternatives) != 1:
        return {}
    node = alternatives[0]
    if isinstance(node, ast.Subscript):
        name, inner = last_name(node.value), node.slice
        if name in ("list", "List"):
            items = property_of(inner)
            return {"type": "array", "items": items} if items else {"type": "array"}
        if name == "Literal":
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            if values and all(isinstance(value, str) for value in values):
                return {"type": "string", "enum": values}
            return {"enum": values}
        if name == "Annotated" and isinstance(inner, ast.Tuple):
            return property_of(inner.elts[0])
        return dict(SCALARS.get(name, {"type": "object"}))
    name = last_name(node)
    if name in SCALARS:
        return dict(SCALARS[name])
    # A class of the script, or the name of a resource type.
    return {"type": "object"}


def type_of_value(value):
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"),
                       (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return {"type": name}
    return {}


NOTHING = object()


def parameters(function):
    """(name, annotation, default) of what can be given by name; *args and **kwargs are not."""
    arguments = function.args
    named = arguments.posonlyargs + arguments.args
    defaults = [NOTHING] * (len(named) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = list(zip(named, defaults))
    pairs += [(arg, NOTHING if default is None else default)
              for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return [(arg.arg, arg.annotation, default) for arg, default in pairs]


def schema(function):
    properties, required = {}, []
    for name, annotation, default in parameters(function):
        described = property_of(annotation)
        if default is NOTHING:
            required.append(name)
        else:
            try:
                value = ast.literal_eval(default)
                json.dumps(value, allow_nan=False)
                if annotation is None:
                    described = type_of_value(value)
                described["default"] = value
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                pass
        properties[name] = described
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": properties, "required": required, "order": list(properties)}


def functions(tree):
    """The functions that exist at the top level, also those defined under a condition."""
    found, left = {}, list(tree.body)
    while left:
        node = left.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = node
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            left.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler)))
        elif isinstance(node, ast.ExceptHandler):
            left.extend(node.body)
    return found


def bound(tree):
    """Names that the top level binds in other ways: an import, an assignment."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def check(content):
    try:
        tree = ast.parse(content)
    except SyntaxError as error:
        return {"error": {"line": error.lineno, "column": error.offset, "message": error.msg}}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"error": {"line": None, "column": None, "message": str(error) or "the script is too deeply nested"}}
    found = functions(tree)
    if "main" in found:
        described = schema(found["main"])
    elif "main" in bound(tree):
        described = None
    else:
        return {"missing": "main"}
    version = None
    if "preprocessor" in found:
        names = [name for name, _, _ in parameters(found["preprocessor"])]
        version = "v1" if "wm_trigger" in names or (names and "event" not in names) else "v2"
    try:
        wanted = requirements(content.decode("utf-8", "replace"), tree)
    except ValueError as error:
        return {"packages": str(error)}
    return {"schema": described, "preprocessor": version, "requirements": wanted}


sys.setrecursionlimit(10000)
json.dump(check(sys.stdin.buffer.read()), sys.stdout)
