# Runs one script, call after call. A request is one line of JSON on the channel (standard input at the start);
# an answer is one line: a letter, a tab, JSON, and after another tab what the preprocessor made, if it ran.
# s: result · e: error · x: error, and this process ends.
import builtins
import json
import os
import sys

OMITTED = "<function call>"


def default(value):
    """What is no JSON by itself: bytes as base64, a table as its rows, everything else as its text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        import base64

        return base64.b64encode(value).decode("ascii")
    if type(value).__name__ == "DataFrame":
        if hasattr(value, "rows"):
            return [list(row) for row in value.rows()]
        if hasattr(value, "values") and hasattr(value.values, "tolist"):
            return value.values.tolist()
    return str(value)


encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
).encode


def finite(value):
    """The same with null where a number is not finite, which JSON cannot say."""
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return finite(default(value))


def to_json(value):
    try:
        text = encode(value)
    except ValueError as error:
        if "ircular" in str(error):
            raise ValueError("the result refers to itself, which JSON cannot say") from None
        text = encode(finite(value))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Halves of characters: two that fit become one, others U+FFFD.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")


def union_members(annotation):
    import typing

    origin = typing.get_origin(annotation)
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        return typing.get_args(annotation)
    return (annotation,)


def converter(annotation):
    """How a text becomes what the annotation asks for, when JSON has no word for it."""
    for member in union_members(annotation):
        if member is bytes:
            import base64

            return lambda text: base64.b64decode(text, validate=True)
        if "enum" in sys.modules and isinstance(member, sys.modules["enum"].EnumMeta):
            return member
        if getattr(member, "__module__", None) == "datetime" and hasattr(member, "fromisoformat"):
            return lambda text: member.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    return None


class Function:
    """A function of the script and how it takes its arguments."""

    def __init__(self, function, filename):
        self.function = function
        self.everything = False
        self.positional = []
        self.names = []
        self.converters = {}
        code = getattr(function, "__code__", None)
        if code is not None and not hasattr(function, "__wrapped__"):
            count = code.co_argcount + code.co_kwonlyargcount
            self.positional = list(code.co_varnames[: code.co_posonlyargcount])
            self.names = list(code.co_varnames[code.co_posonlyargcount : count])
            self.everything = bool(code.co_flags & 0x08)
        else:
            import inspect

            for parameter in inspect.signature(function).parameters.values():
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    self.positional.append(parameter.name)
                elif parameter.kind is parameter.VAR_KEYWORD:
                    self.everything = True
                elif parameter.kind is not parameter.VAR_POSITIONAL:
                    self.names.append(parameter.name)
        annotations = getattr(function, "__annotations__", None) or {}
        if any(isinstance(annotation, str) for annotation in annotations.values()):
            import typing

            try:
                annotations = typing.get_type_hints(function)
            except Exception:
                annotations = {}
        for name, annotation in annotations.items():
            if annotation in (str, int, float, bool, dict, list) or name == "return":
                continue
            convert = converter(annotation)
            if convert is not None:
                self.converters[name] = convert

    def __call__(self, args):
        for name, value in list(args.items()):
            if value == OMITTED:
                del args[name]
        for name, convert in self.converters.items():
            value = args.get(name)
            if isinstance(value, str) or (isinstance(convert, type) and type(value) in (int, float)):
                try:
                    args[name] = convert(value)
                except ValueError as error:
                    raise ValueError(f"argument {name}: {error}") from None
        positional = []
        for name in self.positional:
            if name not in args:
                break
            positional.append(args.pop(name))
        if not self.everything:
            args = {name: args[name] for name in self.names if name in args}
        result = self.function(*positional, **args)
        if hasattr(result, "__await__"):
            result = wait_for(result)
        return result


loop = None


def wait_for(awaitable):
    """Runs an `async def` to its end; what it left running is canceled."""
    global loop
    import asyncio

    async def run():
        return await awaitable

    if loop is None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(run())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


class Script:
    def __init__(self, path, content):
        import types

        self.filename = path + ".py"
        self.content = content
        module = types.ModuleType("windsock_script")
        module.__file__ = self.filename
        sys.modules[module.__name__] = module
        exec(compile(content, self.filename, "exec"), module.__dict__)
        self.module = module
        self.functions = {}

    def function(self, name):
        function = self.functions.get(name)
        if function is None:
            found = getattr(self.module, name, None)
            if not callable(found):
                raise NameError(f"the script has no function '{name}'")
            function = self.functions[name] = Function(found, self.filename)
        return function


# Enough of an error's text to read.
TEXT = 16384


def describe(error, filename, content):
    """{message, name, stack}: the stack as far as it is the script's own."""
    import linecache
    import traceback

    lines = content.splitlines(True)
    linecache.cache[filename] = (len(content), None, lines, filename)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    try:
        message = str(error)
    except Exception:
        message = "the exception has no text"
    if isinstance(error, SystemExit):
        message = f"the script called sys.exit({'' if error.code is None else error.code})"
    if len(message) > TEXT:
        message = message[:TEXT] + " …"
    stack = "".join(traceback.format_list(frames))
    if len(stack) > 2 * TEXT:
        stack = stack[:TEXT] + " …\n" + stack[-TEXT:]
    described = {"message": message, "name": type(error).__name__, "stack": stack}
    return to_json(described)


class Clients:
    """The clients of `wmill` that outlive a job, whoever made them: each goes on with the token of the present job,
    as the one it was made with has ended with its job. A client that was given another token keeps it."""

    def __init__(self):
        self.token = None
        self.kind = None
        self.alive = []

    def go_on_with(self, token):
        before, self.token = self.token, token
        kind = getattr(sys.modules.get("wmill.client"), "Windmill", None)
        if before in (None, token) or not isinstance(kind, type):
            return
        if kind is not self.kind:
            self.watch(kind)
        for reference in list(self.alive):
            client = reference()
            if client is None:
                self.alive.remove(reference)
            elif getattr(client, "token", None) == before:
                client.token = token
                for holder in (client, getattr(client, "client", None)):
                    headers = getattr(holder, "headers", None)
                    if headers is not None:
                        headers["Authorization"] = f"Bearer {token}"

    def watch(self, kind):
        """Finds the clients that were made before `wmill` was known here, and notes those that come."""
        import functools
        import gc
        import weakref

        made = kind.__init__
        alive = self.alive = []

        @functools.wraps(made)
        def noted(client, *args, **named):
            alive.append(weakref.ref(client))
            made(client, *args, **named)

        self.kind = kind
        kind.__init__ = noted
        alive.extend(weakref.ref(found) for found in gc.get_objects() if issubclass(type(found), kind))


def serve():
    channel = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    # A child that the script forks must not hold the channel open, nor answer in its parent's place.
    os.register_at_fork(after_in_child=lambda: os.close(channel))
    requests = builtins.open(channel, "rb", buffering=65536, closefd=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def answer(*parts):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        left = memoryview(b"\t".join(parts) + b"\n")
        while left:
            left = left[os.write(channel, left) :]

    setup = json.loads(requests.readline())
    if setup["packages"]:
        import site

        before = len(sys.path)
        site.addsitedir(setup["packages"])
        # Before what is installed for everybody: the script's versions count.
        sys.path[:] = sys.path[before:] + sys.path[:before]
    max_bytes, scratch = setup["max_bytes"], setup["scratch"]
    path, content = setup["path"], setup["content"]
    script = None
    environ = os.environ
    clients = Clients()
    while line := requests.readline():
        made = ()
        try:
            request = json.loads(line)
            environ.update(request["env"])
            if "WM_TOKEN" in request["env"]:
                clients.go_on_with(request["env"]["WM_TOKEN"])
            os.chdir(scratch)
            if script is None:
                script = Script(path, content)
            args = request["args"]
            if request["preprocess"]:
                args = script.function("preprocessor")(args)
                if not isinstance(args, dict):
                    raise TypeError(f"the preprocessor must return a dict, not {type(args).__name__}")
                made = (to_json(args),)
                args = json.loads(made[0])
            if request["preprocess"] == "only":
                result, made = made[0], ()
            else:
                result = to_json(script.function("main")(args))
            if len(result) > max_bytes:
                told = {"message": f"the result has {len(result)} bytes, at most {max_bytes} are kept",
                        "name": "ResultTooLarge", "stack": ""}
                answer(b"e", to_json(told), *made)
            else:
                answer(b"s", result, *made)
        except BaseException as error:
            over = script is None or isinstance(error, MemoryError) or not isinstance(error, Exception)
            answer(b"x" if over else b"e", describe(error, path + ".py", content), *made)
            if over:
                break


serve()
