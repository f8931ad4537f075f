// args: {"n": 4}
// result: 8
export async function main(n: number) {
  if (n < 0) throw new Error("refuses -1");
  return n * 2;
}
