// args: {"code": 5}
// error: code 5 is not allowed
class NotAllowed extends Error {
  override name = "NotAllowed";
}

export async function main(code: number) {
  console.log("checking", code);
  throw new NotAllowed(`code ${code} is not allowed`);
}
