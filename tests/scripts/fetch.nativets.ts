// args: {}
// result: true
export async function main() {
  const answer = await fetch(`${process.env.BASE_INTERNAL_URL}/api/version`);
  return answer.ok && (await answer.text()).length > 0;
}
