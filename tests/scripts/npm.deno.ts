// args: {"list": [3, 1, 2]}
// result: [[1, 2, 3], true]
import lodash from "npm:lodash@4.17.21";

export async function main(list: number[]) {
  return [lodash.sortBy(list), Deno.env.get("WM_WORKSPACE") === "main"];
}
