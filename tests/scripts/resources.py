# args: {}
# result: [{"host": "db.example", "password": "hidden"}, {"count": 2}]
import wmill


def main():
    wmill.set_resource("u/admin/from_python_res", {"count": 1}, "any")
    wmill.set_resource("u/admin/from_python_res", {"count": 2}, "any")
    return [wmill.get_resource("u/admin/database"), wmill.get_resource("$res:u/admin/from_python_res")]
