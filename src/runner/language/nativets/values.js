// Copying values (structuredClone) and printing them (console). Evaluated at the first use.
(function (limits, { stringify }) {
  // --- structuredClone ----------------------------------------------------------------------------------------
  function structuredClone(value) {
    const seen = new Map();
    const refuse = (what) => {
      const error = new Error(`${what} cannot be cloned`);
      error.name = "DataCloneError";
      throw error;
    };
    function copy(from) {
      if (typeof from === "function" || typeof from === "symbol") refuse(`a ${typeof from}`);
      if (typeof from !== "object" || from === null) return from;
      if (seen.has(from)) return seen.get(from);
      const keep = (to) => { seen.set(from, to); return to; };
      if (from instanceof Date) return keep(new Date(from.getTime()));
      if (from instanceof RegExp) return keep(new RegExp(from.source, from.flags));
      if (from instanceof ArrayBuffer) return keep(from.slice(0));
      if (ArrayBuffer.isView(from)) {
        const buffer = copy(from.buffer);
        return keep(new from.constructor(buffer, from.byteOffset, from.length ?? from.byteLength));
      }
      if (from instanceof Boolean || from instanceof Number || from instanceof String) {
        return keep(Object(from.valueOf()));
      }
      if (from instanceof Map) {
        const to = keep(new Map());
        for (const [key, item] of [...from]) to.set(copy(key), copy(item));
        return to;
      }
      if (from instanceof Set) {
        const to = keep(new Set());
        for (const item of [...from]) to.add(copy(item));
        return to;
      }
      if (from instanceof Error) {
        const to = keep(new (globalThis[from.name] ?? Error)(from.message));
        if (from.name !== to.name) to.name = from.name;
        if ("cause" in from) to.cause = copy(from.cause);
        to.stack = from.stack;
        return to;
      }
      if (from instanceof Promise || from instanceof WeakMap || from instanceof WeakSet) {
        refuse(`a ${from.constructor.name}`);
      }
      const to = keep(Array.isArray(from) ? new Array(from.length) : {});
      for (const key of Object.keys(from)) to[key] = copy(from[key]);
      return to;
    }
    return copy(value);
  }

  // --- printing -----------------------------------------------------------------------------------------------
  const MAX_DEPTH = 5, MAX_ITEMS = 100, MAX_TEXT = 10000;
  // By name, so that printing a value does not load web.js.
  const isA = (value, name) => value.constructor?.name === name && typeof value.toJSON === "function";
  const isName = (key) => typeof key === "string" && /^[A-Za-z_$][\w$]*$/.test(key);
  const showKey = (key) => (typeof key === "symbol" ? `[${String(key)}]` : isName(key) ? key : stringify(key));
  // Every printed part costs; past the budget the rest is left out, so no value can print forever.
  function inspect(value, budget, depth = 0, above = []) {
    if (typeof value === "string") {
      const text = value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
      budget.left -= text.length;
      return depth === 0 ? text : stringify(text);
    }
    budget.left -= 8;
    if (budget.left < 0) return "…";
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return `[function ${value.name || "(anonymous)"}]`;
    if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
    if (above.includes(value)) return "[circular]";
    if (value instanceof Error) {
      const stack = typeof value.stack === "string" ? value.stack.trimEnd() : "";
      const cause = value.cause === undefined ? "" : `\n  cause: ${inspect(value.cause, budget, depth + 1, [...above, value])}`;
      return `${value.name}: ${value.message}${stack === "" ? "" : `\n${stack}`}${cause}`;
    }
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Promise) return "[Promise]";
    if (isA(value, "URL")) return `URL(${value.href})`;
    if (depth >= MAX_DEPTH) return Array.isArray(value) ? "[Array]" : "[Object]";
    return inspectParts(value, budget, depth, [...above, value]);
  }
  function inspectParts(value, budget, depth, above) {
    const show = (item) => inspect(item, budget, depth + 1, above);
    const name = Object.getPrototypeOf(value)?.constructor?.name;
    const prefix = name === undefined || name === "Object" || name === "Array" ? "" : `${name} `;
    let parts, total, brackets = ["{", "}"];
    if (Array.isArray(value) || ArrayBuffer.isView(value) && value.length !== undefined) {
      total = value.length;
      parts = Array.from({ length: Math.min(total, MAX_ITEMS) }, (_, at) => show(value[at]));
      brackets = ["[", "]"];
    } else if (value instanceof Map) {
      total = value.size;
      parts = [...value].slice(0, MAX_ITEMS).map(([key, item]) => `${show(key)} => ${show(item)}`);
    } else if (value instanceof Set) {
      total = value.size;
      parts = [...value].slice(0, MAX_ITEMS).map(show);
    } else if (isA(value, "Headers") || isA(value, "URLSearchParams")) {
      parts = [...value].slice(0, MAX_ITEMS).map(([key, item]) => `${showKey(key)}: ${show(item)}`);
    } else {
      const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
      total = keys.length;
      parts = keys.slice(0, MAX_ITEMS).map((key) => {
        const { get } = Object.getOwnPropertyDescriptor(value, key);
        return `${showKey(key)}: ${get === undefined ? show(value[key]) : "[getter]"}`;
      });
    }
    if (total > parts.length) parts.push(`… ${total - parts.length} more`);
    const [open, close] = brackets;
    if (parts.length === 0) return `${prefix}${open}${close}`;
    const line = parts.join(", ");
    if (line.length <= 100 && !line.includes("\n")) {
      return open === "[" ? `${prefix}[${line}]` : `${prefix}{ ${line} }`;
    }
    const indent = "  ".repeat(depth + 1);
    return `${prefix}${open}\n${parts.map((part) => `${indent}${part}`).join(",\n")}\n${"  ".repeat(depth)}${close}`;
  }
  function format(args) {
    const budget = { left: limits.log };
    let rest = args, text = "";
    if (typeof args[0] === "string" && args.length > 1 && args[0].includes("%")) {
      rest = args.slice(1);
      text = args[0].replace(/%[sdifjoOc%]/g, (mark) => {
        if (mark === "%%") return "%";
        if (rest.length === 0) return mark;
        const value = rest.shift();
        if (mark === "%c") return "";
        if (mark === "%j") return stringify(value) ?? "undefined";
        if (mark === "%d" || mark === "%f") return typeof value === "bigint" ? `${value}n` : String(Number(value));
        if (mark === "%i") return String(Math.trunc(Number(value)));
        return inspect(value, budget, mark === "%s" ? 0 : 1);
      });
      if (rest.length === 0) return text;
      text += " ";
    }
    return text + rest.map((value) => inspect(value, budget)).join(" ");
  }

  return { format, structuredClone };
})
