# args: {}
# result: [null, {"last": 41}]
import wmill


def main():
    before = wmill.get_state()
    wmill.set_state({"last": 41})
    return [before, wmill.get_state()]
