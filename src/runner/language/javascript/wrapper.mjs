// Runs one script, call after call, under bun or deno. A request is one line of JSON on the channel; an answer is
// one line: a letter, a tab, JSON, and after another tab what the preprocessor made, if it ran.
// s: result · e: error · x: error, and this process ends.
// The channel is read with blocking calls: between two jobs nothing that a job left behind can run.
import process from "node:process";

const { parse, stringify } = JSON;
const hasOwn = Object.hasOwn;
const OMITTED = "<function call>";
const NEWLINE = 10;
const here = import.meta.url.slice(0, import.meta.url.lastIndexOf("/") + 1);
const script = `${here}main.ts`;

/** read(bytes) → count, write(bytes) → count, setenv(name, value) */
const host = "Deno" in globalThis ? ofDeno() : await ofBun();

async function ofBun() {
  // The shell that started bun has moved the channel to descriptor 3.
  const { readSync, writeSync } = await import("node:fs");
  const CHANNEL = 3;
  return {
    read: (bytes) => readSync(CHANNEL, bytes, 0, bytes.length, null),
    write: (bytes) => writeSync(CHANNEL, bytes, 0, bytes.length, null),
    setenv: (name, value) => { process.env[name] = value; },
  };
}

function ofDeno() {
  // Deno knows no descriptor that it has not opened itself, so the calls of the system do it.
  const call = (...parameters) => ({ parameters, result: "isize" });
  const system = Deno.dlopen("libc.so.6", {
    fcntl: call("i32", "i32", "i32"), dup2: call("i32", "i32"), close: call("i32"),
    open: call("buffer", "i32"), read: call("i32", "buffer", "usize"), write: call("i32", "buffer", "usize"),
  }).symbols;
  const F_DUPFD_CLOEXEC = 1030;
  const channel = Number(system.fcntl(0, F_DUPFD_CLOEXEC, 10));
  const nothing = Number(system.open(new TextEncoder().encode("/dev/null\0"), 0));
  system.dup2(nothing, 0);
  system.close(nothing);
  const count = (result, what) => {
    if (Number(result) < 0) throw new Error(`the channel cannot be ${what}`);
    return Number(result);
  };
  return {
    read: (bytes) => count(system.read(channel, bytes, BigInt(bytes.length)), "read"),
    write: (bytes) => count(system.write(channel, bytes, BigInt(bytes.length)), "written"),
    setenv: (name, value) => Deno.env.set(name, value),
  };
}

// --- lines -------------------------------------------------------------------------------------------------
const decoder = new TextDecoder();
const encoder = new TextEncoder();
let buffer = new Uint8Array(64 * 1024);
let start = 0;
let end = 0;

/** The next line, or null when windsock has closed the channel. */
function readLine() {
  let looked = start;
  for (;;) {
    const newline = buffer.subarray(looked, end).indexOf(NEWLINE);
    if (newline >= 0) {
      const line = decoder.decode(buffer.subarray(start, looked + newline));
      start = looked + newline + 1;
      return line;
    }
    looked = end;
    if (start > 0) {
      buffer.copyWithin(0, start, end);
      [looked, end, start] = [looked - start, end - start, 0];
    }
    if (end === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2);
      larger.set(buffer);
      buffer = larger;
    }
    const count = host.read(buffer.subarray(end));
    if (count === 0) return null;
    end += count;
  }
}

let running = false;

/** Answers the job that runs; what comes after its answer is nobody's. */
function answer(...parts) {
  if (!running) return;
  running = false;
  let left = encoder.encode(`${parts.join("\t")}\n`);
  while (left.length > 0) left = left.subarray(host.write(left));
}

// --- errors ------------------------------------------------------------------------------------------------
let shownPath = "script";

/** Enough of an error's text to read. */
const TEXT = 16384;
const cut = (text, most = TEXT) => (text.length > most ? `${text.slice(0, most)} …` : text);

/** The stack without this file, with the script's own name. A long message that it begins with is cut there, too. */
function readable({ stack, message }) {
  const whole = String(stack ?? "");
  const short = typeof message === "string" && message.length > TEXT ? whole.replace(message, () => cut(message)) : whole;
  const lines = cut(short, 2 * TEXT).split("\n").filter((line) => !line.includes("/wrapper.mjs") && line !== "");
  return lines.join("\n").replaceAll(script, shownPath).replaceAll(script.replace("file://", ""), shownPath);
}

function describe(error) {
  if (error === null || typeof error !== "object" || typeof error.message !== "string") {
    const message = typeof error === "string" ? error : stringify(error) ?? String(error);
    return { message: cut(message), name: "Error", stack: "" };
  }
  let stack = readable(error);
  for (let cause = error.cause, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    stack += `\ncaused by ${cut(`${cause.name}: ${cause.message}`)}\n${readable(cause)}`;
  }
  const message = cut(error.message).replaceAll(script, shownPath).replaceAll(here, "");
  return { message, name: cut(String(error.name ?? "Error")), stack };
}

function failed(error) {
  try {
    return toJson(describe(error));
  } catch {
    return toJson({ message: "an error that cannot be described was thrown", name: "Error", stack: "" });
  }
}

const toJson = (value) =>
  stringify(value, (_, inner) => (typeof inner === "bigint" ? inner.toString() : inner)) ?? "null";

const says = (message) => failed(Object.assign(new Error(message), { stack: "" }));

// What ends the process ends its job with a reason.
let waits = false;
process.on("unhandledRejection", (error) => { answer("x", failed(error)); process.exit(1); });
process.on("uncaughtException", (error) => { answer("x", failed(error)); process.exit(1); });
process.on("beforeExit", () => { waits = running; process.exit(1); });
process.on("exit", (code) => {
  answer("x", says(waits
    ? "the script waits for a promise that nothing can resolve any more"
    : `the script called process.exit(${code ?? ""})`));
});

// --- jobs --------------------------------------------------------------------------------------------------
function call(module, name, parameters, given) {
  const run = module[name];
  if (typeof run !== "function") throw new TypeError(`the script has no exported function '${name}'`);
  return run(...parameters.map(([parameter, isDate]) => {
    const value = hasOwn(given, parameter) ? given[parameter] : undefined;
    if (value === OMITTED) return undefined;
    return isDate && typeof value === "string" ? new Date(value) : value;
  }));
}

/** Waits until what was written to standard output and error has left this process. */
async function flushed() {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) await new Promise((resolve) => stream.write("", resolve));
  }
}

// What a module took from the environment outlives its job, the token's rights do not: a request with the token of an
// earlier job of this process goes out with that of the present one.
const earlier = new Set();
let token;

function goOnWith(present) {
  if (token !== undefined && token !== present) earlier.add(token);
  earlier.delete(present);
  token = present;
}

/** The headers of a request, if they have to be others. */
function renewed(headers) {
  const given = new Headers(headers);
  const [scheme, held] = (given.get("authorization") ?? "").split(" ");
  if (!earlier.has(held)) return null;
  given.set("authorization", `${scheme} ${token}`);
  return given;
}

globalThis.fetch = new Proxy(globalThis.fetch, {
  apply(fetch, self, [input, init, ...more]) {
    const headers = earlier.size === 0 ? null : renewed(init?.headers ?? input?.headers);
    return Reflect.apply(fetch, self, [input, headers === null ? init : { ...init, headers }, ...more]);
  },
});

async function serve() {
  const setup = parse(readLine());
  shownPath = `${setup.path}.ts`;
  let module = null;
  for (let line = readLine(); line !== null; line = readLine()) {
    const made = [];
    running = true;
    try {
      const request = parse(line);
      for (const name in request.env) host.setenv(name, request.env[name]);
      goOnWith(request.env.WM_TOKEN ?? token);
      process.chdir(setup.scratch);
      module ??= await import(script);
      let args = request.args;
      if (request.preprocess) {
        args = await call(module, "preprocessor", setup.preprocessor, args);
        if (args === null || typeof args !== "object" || Array.isArray(args)) {
          throw new TypeError("the preprocessor must return an object");
        }
        made.push(toJson(args));
        args = parse(made[0]);
      }
      const result = request.preprocess === "only"
        ? made.pop()
        : toJson(await call(module, "main", setup.main, args));
      await flushed();
      const bytes = encoder.encode(result).length;
      if (bytes > setup.max_bytes) {
        const message = `the result has ${bytes} bytes, at most ${setup.max_bytes} are kept`;
        answer("e", toJson({ message, name: "ResultTooLarge", stack: "" }), ...made);
      } else {
        answer("s", result, ...made);
      }
    } catch (error) {
      await flushed();
      answer(module === null ? "x" : "e", failed(error), ...made);
      if (module === null) break;
    }
  }
  process.exit(0);
}

serve();
