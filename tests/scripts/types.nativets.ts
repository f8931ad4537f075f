// args: {"name": "Ada", "when": "2026-01-31T00:00:00Z", "tags": ["a"], "point": {"x": 1}}
// result: ["Ada", 2026, "low", ["a"], 1, "none"]
type Point = { x: number; y?: number };

export async function main(
  name: string, when: Date, level: "low" | "high" = "low", tags: string[] = [], point?: Point, note?: string,
) {
  return [name, when.getUTCFullYear(), level, tags, point?.x, note ?? "none"];
}
