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
    "set": {"type": "array"},
    "Set": {"type": "array"},
    "frozenset": {"type": "array"},
    "FrozenSet": {"type": "array"},
    "tuple": {"type": "array"},
    "Tuple": {"type": "array"},
    "Sequence": {"type": "array"},
    "Iterable": {"type": "array"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "Any": {},
}


# Kinds of enum whose members without a value of their own, `auto()`, are numbers; StrEnum's are their names.
ENUMS = {"Enum", "IntEnum", "StrEnum"}


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


def enum_members(definition):
    """Names and values of an enum of the script; none where one must be computed. None if it is no enum."""
    bases = {last_name(base) for base in definition.bases}
    if not bases & ENUMS:
        return None
    found, number = {}, 0
    for statement in definition.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name, value = statement.targets[0].id, statement.value
        if name.startswith("_"):
            continue
        if isinstance(value, ast.Call) and last_name(value.func) == "auto":
            found[name] = name.lower() if "StrEnum" in bases else number + 1
        elif isinstance(value, ast.Constant) and type(value.value) in (str, int, float):
            found[name] = value.value
        else:
            return {}
        if type(found[name]) is int:
            number = max(number, found[name])
    return found


def choice(values):
    """The schema of one of these values."""
    values = list(dict.fromkeys(values))
    for kind, name in ((str, "string"), (int, "integer")):
        if values and all(type(value) is kind for value in values):
            return {"type": name, "enum": values}
    return {"enum": values}


def property_of(node, enums):
    if node is None:
        return {}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return property_of(ast.parse(node.value, mode="eval").body, enums)
        except SyntaxError:
            return {}
    alternatives = [member for member in members(node) if not is_none(member)]
    if len(alternatives) != 1:
        return {}
    node = alternatives[0]
    if isinstance(node, ast.Subscript):
        name, inner = last_name(node.value), node.slice
        if SCALARS.get(name) == {"type": "array"}:
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name in ("tuple", "Tuple"):
                # Of one type only as `tuple[int, ...]`.
                same = len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is Ellipsis
                parts = parts[:1] if same else []
            items = property_of(parts[0], enums) if len(parts) == 1 else {}
            return {"type": "array", "items": items} if items else {"type": "array"}
        if name == "Literal":
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            return choice(values)
        if name == "Annotated" and isinstance(inner, ast.Tuple):
            return property_of(inner.elts[0], enums)
        return dict(SCALARS.get(name, {"type": "object"}))
    name = last_name(node)
    if name in enums:
        return choice(enums[name].values()) if enums[name] else {}
    if name in SCALARS:
        return dict(SCALARS[name])
    # A class of the script, or the name of a resource type.
    return {"type": "object"}


def type_of_value(value):
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"),
                       ((list, tuple), "array"), (dict, "object")):
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


def value_of(node, enums):
    """What a default is as an argument."""
    if isinstance(node, ast.Attribute):
        member = node.value if node.attr == "value" and isinstance(node.value, ast.Attribute) else node
        if isinstance(member.value, ast.Name) and member.attr in enums.get(member.value.id, {}):
            return enums[member.value.id][member.attr]
    value = ast.literal_eval(node)
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def schema(function, enums):
    properties, required = {}, []
    for name, annotation, default in parameters(function):
        described = property_of(annotation, enums)
        if default is NOTHING:
            required.append(name)
        else:
            try:
                # Without an annotation an argument does not become a member.
                value = value_of(default, enums if annotation else {})
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
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        enums = {node.name: values for node in classes if (values := enum_members(node)) is not None}
        described = schema(found["main"], enums)
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
