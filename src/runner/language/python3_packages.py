# What a script needs from PyPI: what it declares, and what its imports mean. Runs before python3_check.py, in
# the same program; the script is read, never run.
import ast
import re
import sys

# Where the name to install is not the name to import.
PACKAGES = {
    "attr": "attrs", "Bio": "biopython", "bs4": "beautifulsoup4", "Crypto": "pycryptodome",
    "cv2": "opencv-python", "dateutil": "python-dateutil", "discord": "discord.py", "docx": "python-docx",
    "dotenv": "python-dotenv", "fitz": "PyMuPDF", "flask_cors": "Flask-Cors", "git": "GitPython",
    "github": "PyGithub", "gitlab": "python-gitlab", "googleapiclient": "google-api-python-client",
    "gql": "gql[all]", "grpc": "grpcio", "jose": "python-jose", "jwt": "PyJWT", "kafka": "kafka-python",
    "ldap": "python-ldap", "lxml_html_clean": "lxml-html-clean", "magic": "python-magic", "mpl_toolkits": "matplotlib",
    "multipart": "python-multipart", "mysql": "mysql-connector-python", "MySQLdb": "mysqlclient", "nacl": "PyNaCl",
    "OpenSSL": "pyOpenSSL", "opentelemetry": "opentelemetry-api", "paho": "paho-mqtt", "PIL": "pillow",
    "pkg_resources": "setuptools", "pptx": "python-pptx", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary",
    "pydantic_settings": "pydantic-settings", "pythonjsonlogger": "python-json-logger", "requests_oauthlib":
    "requests-oauthlib", "ruamel": "ruamel.yaml", "serial": "pyserial", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "slack_sdk": "slack-sdk", "slugify": "python-slugify", "socketio": "python-socketio",
    "socks": "PySocks", "telegram": "python-telegram-bot", "tlz": "toolz", "usb": "pyusb", "websocket":
    "websocket-client", "win32com": "pywin32", "wx": "wxPython", "yaml": "PyYAML", "zmq": "pyzmq", "zoneinfo_data":
    "tzdata", "snowflake": "snowflake-connector-python", "pymysql": "PyMySQL", "markdown": "Markdown",
    "jinja2": "Jinja2", "sentry_sdk": "sentry-sdk", "sqlalchemy": "SQLAlchemy",
}
# A name below one that many packages share: google.cloud.storage is google-cloud-storage.
SHARED = {
    "google": {"protobuf": "protobuf", "auth": "google-auth", "oauth2": "google-auth", "genai": "google-genai",
               "generativeai": "google-generativeai", "api_core": "google-api-core"},
    "azure": {"storage": "azure-storage-blob", "identity": "azure-identity", "functions": "azure-functions"},
}
NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
REQUIREMENT = re.compile(
    r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*"
    r"(?:@\s*https://[^\s;]+|[<>=!~(][^;@]*)?(?:;.*)?$"
)
BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
CLAUSE = re.compile(r"^(>=|<=|===|==|!=|~=|>|<)\s*(\d+(?:\.\d+){0,2})(\.\*|(?:a|b|rc|\.dev)\d+)?$")
LIST = re.compile(r"^#\s*(extra_)?requirements:\s*$")


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(lines, extra):
    """The lines below `# requirements:` (or `# extra_requirements:`), as long as they are comments; or None."""
    for number, line in enumerate(lines):
        found = LIST.match(line.strip())
        if found and bool(found.group(1)) == extra:
            wanted = []
            for following in lines[number + 1:]:
                following = following.strip()
                if not following.startswith("#"):
                    break
                text = following.lstrip("#").split(" #")[0].strip()
                if text:
                    wanted.append(text)
            return wanted
    return None


def fits(wanted, have):
    """Whether the version `have` (a tuple) is one of `requires-python`, as PEP 440 says."""
    for clause in wanted.split(","):
        found = CLAUSE.match(clause.strip())
        if not found:
            raise ValueError(f"'requires-python' in the block '# /// script' is not like '>=3.11': '{wanted}'")
        operator, numbers, anything = found.group(1), found.group(2), found.group(3) == ".*"
        version = tuple(int(part) for part in numbers.split("."))
        start = have[: len(version)]
        # 3.11 means 3.11.0 where it is compared.
        whole = version + (0,) * (3 - len(version))
        holds = {
            ">=": have >= whole, "<=": have <= whole, ">": have > whole, "<": have < whole,
            "==": start == version if anything else have == whole,
            "===": have == whole,
            "!=": start != version if anything else have != whole,
            "~=": have >= whole and start[:-1] == version[:-1],
        }
        if not holds[operator]:
            return False
    return True


def block(content):
    """The dependencies of a PEP 723 block, or None."""
    blocks = [found for found in BLOCK.finditer(content) if found.group("type") == "script"]
    if not blocks:
        return None
    if len(blocks) > 1:
        raise ValueError("there is more than one block '# /// script'")
    text = "".join(
        line[2:] if line.startswith("# ") else line[1:]
        for line in blocks[0].group("content").splitlines(keepends=True)
    )
    try:
        import tomllib
    except ImportError:
        raise ValueError("a block '# /// script' needs Python 3.11 or later: write '# requirements:'") from None
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the block '# /// script' is not TOML: {error}") from None
    found, wanted = said.get("dependencies", []), said.get("requires-python", "")
    if not isinstance(wanted, str):
        raise ValueError("'requires-python' in the block '# /// script' must be a text like '>=3.11'")
    have = sys.version_info[:3]
    if wanted.strip() and not fits(wanted, have):
        raise ValueError(f"the script says requires-python = '{wanted}', and python3 here is {'.'.join(map(str, have))}: "
                         "put another python3 first on the PATH of windsock, or change what the script requires")
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError("'dependencies' in the block '# /// script' must be a list of texts")
    return found


def imported(tree):
    """Full names of the modules, in order."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno}: there are no files beside a script that it could import")
            # from google.cloud import storage
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def package_of(name):
    parts = name.split(".")
    top = parts[0]
    if top in SHARED and len(parts) > 1:
        if parts[1] == "cloud" and len(parts) > 2:
            return f"google-cloud-{parts[2].removesuffix('_v1')}".replace("_", "-")
        return SHARED[top].get(parts[1], f"{top}-{parts[1]}".replace("_", "-"))
    return PACKAGES.get(top, top)


def requirements(content, tree):
    """What to install, sorted, each once."""
    lines = content.splitlines()
    declared, extra = listed(lines, False), listed(lines, True) or []
    if declared is None:
        declared = block(content)
    wanted = (declared or []) + extra
    for requirement in wanted:
        if not REQUIREMENT.match(requirement):
            raise ValueError(f"'{requirement}' is not a requirement like 'requests>=2.31'")
    known = {plain(NAME.match(requirement).group(0)) for requirement in wanted}
    for name in imported(tree):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top == "__future__":
            continue
        if top in ("f", "u") and name.count(".") > 1:
            raise ValueError(f"windsock does not import other scripts ('{name}'): copy what is needed of it")
        package = package_of(name)
        base = plain(NAME.match(package).group(0))
        # A declared package whose name contains the module's is taken for its source.
        if any(base == one or one.startswith(base) or plain(top) in one for one in known):
            continue
        known.add(base)
        wanted.append(package)
    return sorted(set(wanted))
