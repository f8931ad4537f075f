// args: {"text": "windsock"}
// result: ["windsock", true]
import { readFile, writeFile } from "node:fs/promises";
import { createHash } from "crypto";

export async function main(text: string) {
  await writeFile("note.txt", text);
  return [await readFile("note.txt", "utf8"), createHash("sha256").update(text).digest("hex").length === 64];
}
