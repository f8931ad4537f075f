# args: {"color": "green", "level": 2}
# result: ["Color.GREEN", "Level.HIGH"]
from enum import Enum, IntEnum


class Color(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


def main(color: Color, level: Level):
    return [f"{type(color).__name__}.{color.name}", f"{type(level).__name__}.{level.name}"]
