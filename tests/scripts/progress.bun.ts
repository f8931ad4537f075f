// args: {}
// stream: piece
// result: [null, [1]]
import * as wmill from "windmill-client";

export async function main() {
  const before = await wmill.getFlowUserState("seen");
  await wmill.setFlowUserState("seen", [1]);
  await wmill.setProgress(50);
  wmill.appendToResultStream("piece");
  return [before ?? null, await wmill.getFlowUserState("seen")];
}
