# args: {}
# result: ["good day", "hidden", "new"]
import wmill


def main():
    wmill.set_variable("u/admin/from_python", "new")
    return [wmill.get_variable("u/admin/greeting"), wmill.get_variable("u/admin/password"),
            wmill.get_variable("u/admin/from_python")]
