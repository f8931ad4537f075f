// args: {"rows": [{"team": "a", "n": 1}, {"team": "b", "n": 2}, {"team": "a", "n": 3}]}
// result: {"a": 4, "b": 2}
import _ from "lodash@4.17.21";

export async function main(rows: { team: string; n: number }[]) {
  return _.mapValues(_.groupBy(rows, "team"), (group) => _.sumBy(group, "n"));
}
