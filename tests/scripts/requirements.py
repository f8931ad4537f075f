# requirements:
# six==1.16.0
# wmill

# args: {}
# result: ["1.16.0", true]
import six
import wmill


def main():
    return [six.__version__, hasattr(wmill, "get_variable")]
