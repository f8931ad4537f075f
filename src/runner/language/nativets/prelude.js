// The part of the engine's surroundings that every script gets: it starts jobs, reports results, keeps timers
// and defines console and process. Evaluated once per context as an expression; Rust calls the functions of the
// object it returns, and passes `host`, the functions written in Rust (host.rs), and `limits`.
// Everything larger waits in web.js and values.js until a script first needs it.
(function (host, limits) {
  "use strict";
  const { parse, stringify } = JSON;
  const { hasOwn, defineProperty } = Object;
  const then = Promise.prototype.then;

  // --- jobs -----------------------------------------------------------------------------------------------
  // The value by which Windmill says that a parameter is left out.
  const OMITTED = "<function call>";
  const functions = { main: undefined, preprocessor: undefined };
  let environment = null;

  function load(module) {
    then.call(module, (namespace) => {
      functions.main = namespace.main;
      functions.preprocessor = namespace.preprocessor;
      host.settle(true, "null");
    }, fail);
  }

  function call(name, json) {
    try {
      const given = parse(json);
      const args = [];
      for (const [param, isDate] of limits[name]) {
        let value = hasOwn(given, param) ? given[param] : undefined;
        if (value === OMITTED) value = undefined;
        args.push(isDate && typeof value === "string" ? new Date(value) : value);
      }
      const result = functions[name](...args);
      if (typeof result?.then === "function") then.call(Promise.resolve(result), settle, fail);
      else settle(result);
    } catch (error) {
      fail(error);
    }
  }

  function settle(result) {
    let text;
    try {
      text = stringify(result);
    } catch (error) {
      if (isOutOfMemory(error) || error?.message === undefined) return fail(error);
      return fail(new TypeError(`the result cannot be written as JSON: ${error.message}`));
    }
    if (text === undefined) text = "null";
    if (text.length > limits.result) {
      return fail(new RangeError(`the result is larger than ${limits.result} bytes; return less`));
    }
    host.settle(true, text);
  }

  // With too little memory left for its own error, the engine throws one without a text.
  function isOutOfMemory(error) {
    return error instanceof InternalError && (!error.message || error.message === "out of memory");
  }

  function fail(error) {
    // Or null, which the script may have thrown, too.
    if (error === null) return host.null();
    if (isOutOfMemory(error)) return host.out_of_memory();
    let described;
    try {
      described = describe(error);
    } catch {
      described = { name: "Error", message: "an error that cannot be described was thrown", stack: "" };
    }
    host.settle(false, stringify(described));
  }

  const cut = (text) => (text.length > limits.text ? `${text.slice(0, limits.text)} …` : text).toWellFormed();

  function describe(error) {
    if (!(error instanceof Error)) {
      if (typeof error?.message === "string") {
        return { name: cut(String(error.name ?? "Error")), message: cut(error.message), stack: "" };
      }
      let message = typeof error === "string" ? error : undefined;
      if (typeof error === "object" || typeof error === "function") message = stringify(error);
      return { name: "Error", message: cut(message ?? String(error)), stack: "" };
    }
    let stack = cut(String(error.stack ?? ""));
    for (let cause = error.cause, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
      stack += `caused by ${cut(`${cause.name}: ${cause.message}\n${cause.stack ?? ""}`)}`;
    }
    return { name: cut(String(error.name)), message: cut(String(error.message)), stack };
  }

  // A BigInt in a result is written as a text.
  defineProperty(BigInt.prototype, "toJSON", {
    value() { return this.toString(); }, writable: true, configurable: true,
  });

  // --- timers and other things that take time ---------------------------------------------------------------
  const timers = new Map();
  const waiting = new Map();
  let nextId = 1;

  function arm(callback, delay, repeat, args) {
    if (typeof callback !== "function") throw new TypeError("a timer needs a function");
    if (timers.size >= limits.timers) throw new RangeError(`more than ${limits.timers} timers at once`);
    const id = nextId++;
    const ms = Math.min(Math.max(Number(delay) || 0, repeat ? 1 : 0), 0x7fffffff);
    timers.set(id, { callback, args, ms, repeat });
    host.timer(id, ms);
    return id;
  }

  function disarm(id) {
    if (timers.delete(id)) host.clear_timer(id);
  }

  function fire(id) {
    const timer = timers.get(id);
    if (timer === undefined) return;
    if (timer.repeat) host.timer(id, timer.ms);
    else timers.delete(id);
    try {
      timer.callback(...timer.args);
    } catch (error) {
      fail(error);
    }
  }

  // Starts something in Rust that ends with `done(id, …)`.
  function wait(start) {
    return new Promise((resolve, reject) => {
      if (waiting.size >= limits.fetches) {
        throw new RangeError(`more than ${limits.fetches} requests at once; await some of them first`);
      }
      const id = nextId++;
      waiting.set(id, { resolve, reject });
      start(id, (reason) => {
        if (waiting.delete(id)) {
          host.cancel_fetch(id);
          reject(reason);
        }
      });
    });
  }

  function done(id, head, text, bytes) {
    const promise = waiting.get(id);
    if (promise === undefined) return;
    waiting.delete(id);
    if (head === undefined) promise.reject(new TypeError(`fetch failed: ${text}`));
    else promise.resolve({ head: parse(head), text, bytes });
  }

  // Promises that were rejected while nobody listened; until all that is ready has run, somebody may still come.
  const unheard = new Map();
  function rejected(promise, reason, isHandled) {
    if (isHandled) unheard.delete(promise);
    else if (unheard.size < 100) unheard.set(promise, reason);
  }

  // Nobody came: that ends the job.
  function unhandled() {
    for (const [promise, reason] of unheard) {
      unheard.delete(promise);
      return fail(reason);
    }
  }

  // What a job leaves behind is not carried into the next one.
  function reset() {
    environment = null;
    if (unheard.size > 0) {
      for (const reason of unheard.values()) print(["a rejected promise was not awaited:", reason]);
      unheard.clear();
    }
    if (timers.size > 0) timers.clear();
    if (waiting.size > 0) waiting.clear();
  }

  // --- what scripts see ---------------------------------------------------------------------------------------
  function define(name, value) {
    defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }

  let values, web;
  const loadValues = () => (values ??= compiled(host.values)(limits, { stringify }));
  const loadWeb = () => (web ??= compiled(host.web)(host, limits, { define, wait, parse, stringify }));

  // These sources have no errors: when the engine finds one, its memory ended while it read them.
  function compiled(source) {
    try {
      return source();
    } catch (error) {
      throw error instanceof SyntaxError ? new InternalError("out of memory") : error;
    }
  }

  function print(args) {
    const plain = args.length === 1 && typeof args[0] === "string" ? args[0] : loadValues().format(args);
    const text = plain.length > limits.log ? plain.slice(0, limits.log + 1) : plain;
    host.log(text.isWellFormed() ? text : text.toWellFormed());
  }

  const counters = new Map();
  const started = new Map();
  const note = (...args) => print(args);
  const keep = (map, key, value) => {
    if (map.size < 1000 || map.has(key)) map.set(key, value);
    return value;
  };
  define("console", {
    log: note, info: note, warn: note, error: note, debug: note, trace: note,
    dir: (value) => print([value]),
    table: (value) => print([value]),
    group: (...args) => { if (args.length > 0) print(args); },
    groupEnd() {},
    assert(condition, ...args) { if (!condition) print(["assertion failed:", ...args]); },
    count(label = "default") { print([`${label}: ${keep(counters, label, (counters.get(label) ?? 0) + 1)}`]); },
    time(label = "default") { keep(started, label, performance.now()); },
    timeEnd(label = "default") {
      if (started.has(label)) print([`${label}: ${(performance.now() - started.get(label)).toFixed(3)} ms`]);
      started.delete(label);
    },
  });
  define("setTimeout", (callback, delay, ...args) => arm(callback, delay, false, args));
  define("setInterval", (callback, delay, ...args) => arm(callback, delay, true, args));
  define("setImmediate", (callback, ...args) => arm(callback, 0, false, args));
  define("clearTimeout", disarm);
  define("clearInterval", disarm);
  define("clearImmediate", disarm);

  const env = () => (environment ??= parse(host.env()));
  define("process", {
    get env() { return env(); },
    argv: [], platform: "linux", pid: 0, version: "", versions: {},
    cwd: () => "/",
    nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
    exit(code) { throw new Error(`process.exit(${code ?? ""}) was called`); },
  });
  define("Deno", {
    env: { get: (name) => env()[name], has: (name) => hasOwn(env(), name), toObject: () => ({ ...env() }) },
  });
  define("Bun", { get env() { return env(); } });
  if (globalThis.queueMicrotask === undefined) {
    define("queueMicrotask", (callback) => { then.call(Promise.resolve(), callback).catch(fail); });
  }
  define("structuredClone", (value) => loadValues().structuredClone(value));
  // Resolved on first use; from then on they are ordinary properties.
  for (const name of [
    "fetch", "Headers", "Request", "Response", "URL", "URLSearchParams", "TextEncoder", "TextDecoder",
    "atob", "btoa", "crypto", "AbortController", "AbortSignal",
  ]) {
    defineProperty(globalThis, name, {
      configurable: true, enumerable: false,
      get() { loadWeb(); return globalThis[name]; },
      set(value) { loadWeb(); define(name, value); },
    });
  }

  return { load, call, fire, done, reset, rejected, unhandled };
})
