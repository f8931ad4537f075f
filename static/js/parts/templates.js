// Script templates: what a new script starts with, per language. Data only.

export const LANGUAGES = [
  ['python3', 'Python'],
  ['nativets', 'TypeScript (embedded)'],
  ['bash', 'Bash'],
  ['bun', 'TypeScript (Bun)'],
  ['deno', 'TypeScript (Deno)'],
];

/** Programs that have to be on the server's machine; the other languages always run. */
const NEEDS = { bun: 'bun', deno: 'deno' };

/** `[language, text]` for a choice, with what a language needs. */
export const languageChoices = LANGUAGES.map(([language, text]) => [language, NEEDS[language] ? `${text}: needs ${NEEDS[language]} on the server` : text]);

export const languageName = (language) => LANGUAGES.find(([one]) => one === language)?.[1] ?? language;

const TYPESCRIPT_HANDLER = `// Runs for each message that matches. \`msg\` is the text of the message.
export async function main(msg: string) {
  const data = JSON.parse(msg);
  console.log("received", data);
  return data;
}
`;

const TYPESCRIPT_PREPROCESSOR = `// Turns the event into the arguments of \`main\`.
export async function preprocessor(event: { kind: string; msg: string; url: string; trigger_path: string }) {
  return { data: JSON.parse(event.msg), source: event.trigger_path };
}

export async function main(data: object, source: string) {
  console.log("from", source);
  return data;
}
`;

const TYPESCRIPT_URL = `// Runs at each connect. Return the address, for example with a fresh token.
export async function main() {
  return "wss://example.com/feed";
}
`;

const TYPESCRIPT_ERROR = `// Runs when a job has failed for good. \`path\` is the script or flow that failed.
export async function main(path: string, error: { name: string; message: string }, job_id: string, trigger_path: string, is_flow: boolean) {
  console.log(\`\${path} failed in job \${job_id}: \${error.message}\`);
  return { path, error };
}
`;

const typescript = { message: TYPESCRIPT_HANDLER, preprocessor: TYPESCRIPT_PREPROCESSOR, url: TYPESCRIPT_URL, error: TYPESCRIPT_ERROR };

const TEMPLATES = {
  nativets: typescript,
  bun: typescript,
  deno: typescript,
  python3: {
    message: `import json


# Runs for each message that matches. \`msg\` is the text of the message.
def main(msg: str):
    data = json.loads(msg)
    print("received", data)
    return data
`,
    preprocessor: `import json


# Turns the event into the arguments of \`main\`.
def preprocessor(event: dict):
    return {"data": json.loads(event["msg"]), "source": event["trigger_path"]}


def main(data: dict, source: str):
    print("from", source)
    return data
`,
    url: `# Runs at each connect. Return the address, for example with a fresh token.
def main():
    return "wss://example.com/feed"
`,
    error: `# Runs when a job has failed for good. \`path\` is the script or flow that failed.
def main(path: str, error: dict, job_id: str, trigger_path: str, is_flow: bool):
    print(path, "failed in job", job_id, "with", error.get("message"))
    return {"path": path, "error": error}
`,
  },
  bash: {
    message: `# Runs for each message that matches. The last line printed is the result.
msg="$1"

echo "received $msg"
`,
    url: `# Runs at each connect. Print the address, for example with a fresh token.
echo "wss://example.com/feed"
`,
    error: `# Runs when a job has failed for good. The arguments come by their names.
path="$1"
error="$2"
job_id="$3"

echo "$path failed in job $job_id: $error"
`,
  },
};

const NAMES = { message: 'Handle a message', preprocessor: 'Handle a message, with a preprocessor', url: 'Return a URL', error: 'Handle a failed job' };

/** `[kind, text]` of each template a language has. */
export const templatesOf = (language) => Object.keys(TEMPLATES[language] ?? {}).map((kind) => [kind, NAMES[kind]]);

/** The source of a template; the plain handler where there is no such kind. */
export const templateSource = (language, kind = 'message') => TEMPLATES[language]?.[kind] ?? TEMPLATES[language]?.message ?? '';
