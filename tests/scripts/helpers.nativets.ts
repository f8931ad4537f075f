// args: {}
// result: [40, "SGV5IQ==", "Hey!", true, null]
import * as wmill from "windmill-client";

export async function main() {
  const before = await wmill.getProgress();
  await wmill.setProgress(40);
  const bytes = new Uint8Array([72, 101, 121, 33]);
  const text = wmill.uint8ArrayToBase64(bytes);
  const back = String.fromCharCode(...wmill.base64ToUint8Array(text));
  const id = wmill.getEnv("WM_JOB_ID") === process.env.WM_JOB_ID;
  return [await wmill.getProgress(), text, back, id, before];
}
