// args: {}
// result: ["good day", "new", {"host": "db.example", "password": "hidden"}, {"last": 41}, 42]
import * as wmill from "windmill-client";

export async function main() {
  await wmill.setVariable("u/admin/from_bun", "new");
  await wmill.setState({ last: 41 });
  return [
    await wmill.getVariable("u/admin/greeting"),
    await wmill.getVariable("u/admin/from_bun"),
    await wmill.getResource("u/admin/database"),
    await wmill.getState(),
    await wmill.runScriptByPath("f/docs/double_nativets", { n: 21 }),
  ];
}
