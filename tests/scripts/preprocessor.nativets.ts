// args: {"event": {"kind": "websocket", "msg": "{\"id\": 7}", "url": "wss://feed.example", "trigger_path": "f/docs/t"}}
// skip_preprocessor: false
// result: ["f/docs/t", 7]
export async function preprocessor(event: { kind: "websocket"; msg: string; url: string; trigger_path: string }) {
  return { source: event.trigger_path, orderId: JSON.parse(event.msg).id };
}

export async function main(source: string, orderId: number) {
  return [source, orderId];
}
