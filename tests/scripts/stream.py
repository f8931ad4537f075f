# args: {}
# stream: first line\nsecond
# result: "done"
import wmill


def main():
    wmill.append_to_result_stream("first line\n")
    wmill.stream_result(["sec", "ond"])
    return "done"
