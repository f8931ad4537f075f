# args: {}
# result: [true, true]
import wmill


def main():
    client = wmill.Windmill()
    return [bool(client.user["email"]), bool(client.version)]
