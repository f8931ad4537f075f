// What scripts know from browsers and from Node: fetch and its classes, URL, text and base64 coding, crypto,
// and AbortController. Evaluated at the first use of one of these names. Bytes cross to Rust as text with one character (U+0000 … U+00FF) per byte.
(function (host, limits, { define, wait, parse, stringify }) {

  // --- bytes --------------------------------------------------------------------------------------------------
  const CHUNK = 8192;
  function bytesOf(source, what) {
    if (source instanceof ArrayBuffer) return new Uint8Array(source);
    if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    throw new TypeError(`${what} needs an ArrayBuffer or a typed array`);
  }
  function packed(bytes) {
    let text = "";
    for (let at = 0; at < bytes.length; at += CHUNK) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK));
    }
    return text;
  }
  const wellFormed = (value) => String(value).toWellFormed();

  class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return host.encode(wellFormed(text)); }
    encodeInto(text, into) {
      let read = 0, written = 0;
      for (const char of wellFormed(text)) {
        const bytes = host.encode(char);
        if (written + bytes.length > into.length) break;
        into.set(bytes, written);
        written += bytes.length;
        read += char.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #fatal; #keepMark; #rest = "";
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) {
        throw new RangeError(`TextDecoder knows utf-8 only, not ${label}`);
      }
      this.#fatal = fatal;
      this.#keepMark = ignoreBOM;
    }
    get encoding() { return "utf-8"; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#keepMark; }
    decode(source = new Uint8Array(), { stream = false } = {}) {
      const all = this.#rest + packed(bytesOf(source, "TextDecoder.decode"));
      const [text, rest] = host.decode(all, this.#fatal, stream);
      this.#rest = rest;
      return !this.#keepMark && text.startsWith("\ufeff") ? text.slice(1) : text;
    }
  }

  function atob(data) { return host.atob(String(data)); }
  function btoa(data) {
    const text = String(data);
    if (/[^\0-\xff]/.test(text)) throw new TypeError("btoa needs text whose characters fit one byte");
    return host.btoa(text);
  }

  // --- URL ----------------------------------------------------------------------------------------------------
  class URLSearchParams {
    #pairs = []; #changed;
    constructor(init = "", changed = undefined) {
      this.#changed = changed;
      if (init instanceof URLSearchParams) this.#pairs = [...init];
      else if (typeof init === "object" && init !== null) {
        const entries = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
        this.#pairs = entries.map(([name, value]) => [wellFormed(name), wellFormed(value)]);
      } else this.#pairs = host.form_parse(wellFormed(init).replace(/^\?/, ""));
    }
    #touch() { this.#changed?.(this.toString()); }
    get size() { return this.#pairs.length; }
    append(name, value) { this.#pairs.push([wellFormed(name), wellFormed(value)]); this.#touch(); }
    delete(name, value) {
      this.#pairs = this.#pairs.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value)));
      this.#touch();
    }
    get(name) { return this.#pairs.find(([n]) => n === String(name))?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([n]) => n === String(name)).map(([, value]) => value); }
    has(name, value) {
      return this.#pairs.some(([n, v]) => n === String(name) && (value === undefined || v === String(value)));
    }
    set(name, value) {
      const at = this.#pairs.findIndex(([n]) => n === String(name));
      if (at < 0) return this.append(name, value);
      this.#pairs[at] = [String(name), wellFormed(value)];
      this.#pairs = this.#pairs.filter(([n], index) => n !== String(name) || index <= at);
      this.#touch();
    }
    sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#touch(); }
    forEach(callback, self) { for (const [name, value] of this.#pairs) callback.call(self, value, name, this); }
    *keys() { for (const [name] of this.#pairs) yield name; }
    *values() { for (const [, value] of this.#pairs) yield value; }
    *entries() { for (const [name, value] of this.#pairs) yield [name, value]; }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return host.form_write(this.#pairs); }
    toJSON() { return this.toString(); }
  }

  const PARTS = [
    "href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash",
  ];
  class URL {
    #parts; #params;
    constructor(url, base) {
      const parts = host.url(wellFormed(url), base === undefined ? undefined : wellFormed(base));
      if (parts === undefined) throw new TypeError(`invalid URL: ${url}`);
      this.#parts = parts;
    }
    static canParse(url, base) {
      return host.url(wellFormed(url), base === undefined ? undefined : wellFormed(base)) !== undefined;
    }
    static parse(url, base) { return URL.canParse(url, base) ? new URL(url, base) : null; }
    static read(url, index) { return url.#parts[index]; }
    static write(url, part, value) {
      const parts = host.url_set(url.#parts[0], part, wellFormed(value));
      if (parts === undefined && part === "href") throw new TypeError(`invalid URL: ${value}`);
      if (parts === undefined) return;
      url.#parts = parts;
      if (part === "href" || part === "search") url.#params = undefined;
    }
    get searchParams() {
      return (this.#params ??= new URLSearchParams(this.#parts[9], (text) => {
        this.#parts = host.url_set(this.#parts[0], "search", text) ?? this.#parts;
      }));
    }
    toString() { return this.#parts[0]; }
    toJSON() { return this.#parts[0]; }
  }
  const { read, write } = URL;
  delete URL.read;
  delete URL.write;
  PARTS.forEach((part, index) => {
    Object.defineProperty(URL.prototype, part, {
      configurable: true, enumerable: true,
      get() { return read(this, index); },
      set: part === "origin" ? undefined : function (value) { write(this, part, value); },
    });
  });

  // --- aborting -----------------------------------------------------------------------------------------------
  function named(name, message) {
    const error = new Error(message);
    error.name = name;
    return error;
  }
  const secret = Symbol("signal");
  class AbortSignal {
    #aborted = false; #reason; #listeners = new Set();
    onabort = null;
    constructor(key) {
      if (key !== secret) throw new TypeError("an AbortSignal comes from an AbortController");
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
    addEventListener(type, listener) { if (type === "abort" && listener) this.#listeners.add(listener); }
    removeEventListener(type, listener) { this.#listeners.delete(listener); }
    static fire(signal, reason = named("AbortError", "the operation was aborted")) {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason;
      const event = { type: "abort", target: signal };
      for (const listener of [signal.onabort, ...signal.#listeners]) {
        if (typeof listener === "function") listener.call(signal, event);
        else listener?.handleEvent?.(event);
      }
      signal.#listeners.clear();
    }
    static abort(reason) {
      const signal = new AbortSignal(secret);
      abort(signal, reason);
      return signal;
    }
    static timeout(ms) {
      const signal = new AbortSignal(secret);
      setTimeout(() => abort(signal, named("TimeoutError", `the operation took longer than ${ms} ms`)), ms);
      return signal;
    }
    static any(signals) {
      const all = new AbortSignal(secret);
      for (const signal of signals) {
        if (signal.aborted) abort(all, signal.reason);
        else signal.addEventListener("abort", () => abort(all, signal.reason));
      }
      return all;
    }
  }
  const abort = AbortSignal.fire;
  delete AbortSignal.fire;
  class AbortController {
    signal = new AbortSignal(secret);
    abort(reason) { abort(this.signal, reason); }
  }

  // --- fetch --------------------------------------------------------------------------------------------------
  class Headers {
    #map = new Map();
    constructor(init = {}) {
      const entries = typeof init?.[Symbol.iterator] === "function" ? init : Object.entries(init ?? {});
      for (const [name, value] of entries) this.append(name, value);
    }
    #key(name) {
      const key = String(name).toLowerCase();
      if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(key)) throw new TypeError(`invalid header name: ${name}`);
      return key;
    }
    #value(value) {
      const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
      if (/[\0\n\r]/.test(text)) throw new TypeError("invalid header value");
      return text;
    }
    append(name, value) {
      const key = this.#key(name);
      this.#map.set(key, [...(this.#map.get(key) ?? []), this.#value(value)]);
    }
    set(name, value) { this.#map.set(this.#key(name), [this.#value(value)]); }
    get(name) { return this.#map.get(this.#key(name))?.join(", ") ?? null; }
    has(name) { return this.#map.has(this.#key(name)); }
    delete(name) { this.#map.delete(this.#key(name)); }
    getSetCookie() { return [...(this.#map.get("set-cookie") ?? [])]; }
    forEach(callback, self) { for (const [name, value] of this) callback.call(self, value, name, this); }
    *entries() {
      for (const name of [...this.#map.keys()].sort()) {
        if (name === "set-cookie") for (const value of this.#map.get(name)) yield [name, value];
        else yield [name, this.#map.get(name).join(", ")];
      }
    }
    *keys() { for (const [name] of this) yield name; }
    *values() { for (const [, value] of this) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    toJSON() { return Object.fromEntries(this); }
  }

  // A body: nothing, text, or bytes; each turned into the other only when asked for.
  function bodyOf(init, headers) {
    if (init === undefined || init === null) return {};
    if (init instanceof ArrayBuffer || ArrayBuffer.isView(init)) return { bytes: bytesOf(init, "a body").slice() };
    if (typeof init === "object" && typeof init.getReader === "function") {
      throw new TypeError("a body cannot be a stream here; give text or bytes");
    }
    const type = init instanceof URLSearchParams
      ? "application/x-www-form-urlencoded;charset=UTF-8" : "text/plain;charset=UTF-8";
    if (!headers.has("content-type")) headers.set("content-type", type);
    return { text: wellFormed(init) };
  }
  const strict = new TextDecoder();
  class Body {
    #body; #used = false;
    constructor(body) { this.#body = body; }
    static peek(of) {
      if (of.#used) throw new TypeError("the body has been read already");
      return of.#body;
    }
    #take() {
      const body = peek(this);
      this.#used = true;
      return body;
    }
    get bodyUsed() { return this.#used; }
    async text() {
      const { text, bytes } = this.#take();
      return (text ?? strict.decode(bytes)).replace(/^\ufeff/, "");
    }
    async json() { return parse(await this.text()); }
    async bytes() {
      const { text = "", bytes } = this.#take();
      return bytes ?? host.encode(text);
    }
    async arrayBuffer() {
      const { buffer, byteOffset, byteLength } = await this.bytes();
      return buffer.byteLength === byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
    }
  }
  const { peek } = Body;
  delete Body.peek;

  const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"];
  class Request extends Body {
    constructor(input, init = {}) {
      const from = input instanceof Request ? input : undefined;
      const headers = new Headers(init.headers ?? from?.headers);
      super(init.body === undefined && from ? peek(from) : bodyOf(init.body, headers));
      const method = String(init.method ?? from?.method ?? "GET");
      this.method = METHODS.includes(method.toUpperCase()) ? method.toUpperCase() : method;
      this.url = from?.url ?? new URL(input instanceof URL ? input.href : input).href;
      this.headers = headers;
      this.redirect = init.redirect ?? from?.redirect ?? "follow";
      this.signal = init.signal ?? from?.signal ?? null;
      const { text, bytes } = peek(this);
      if ((text ?? bytes) !== undefined && ["GET", "HEAD"].includes(this.method)) {
        throw new TypeError(`a ${this.method} request cannot have a body`);
      }
    }
    clone() { return new Request(this); }
  }

  class Response extends Body {
    constructor(body, { status = 200, statusText = "", headers, url = "", redirected = false } = {}, raw) {
      const all = new Headers(headers);
      super(raw ?? bodyOf(body, all));
      Object.assign(this, {
        status, statusText, headers: all, url, redirected, type: "default", ok: status >= 200 && status < 300,
      });
    }
    static json(value, init = {}) {
      const headers = new Headers(init.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      return new Response(stringify(value), { ...init, headers });
    }
    static error() { return new Response(null, { status: 0 }); }
    clone() {
      const { text, bytes } = peek(this);
      return new Response(null, this, { text, bytes: bytes?.slice() });
    }
  }

  async function fetch(input, init) {
    const request = new Request(input, init);
    const { method, url, redirect, signal } = request;
    signal?.throwIfAborted();
    const { text, bytes } = peek(request);
    const size = text?.length ?? bytes?.length ?? 0;
    if (size > limits.body) throw new TypeError(`fetch: the body is larger than ${limits.body} bytes`);
    const head = stringify({ method, url, redirect, headers: [...request.headers] });
    let onAbort;
    try {
      const answer = await wait((id, cancel) => {
        onAbort = () => cancel(signal.reason);
        signal?.addEventListener("abort", onAbort);
        host.fetch(id, head, text ?? (bytes && packed(bytes)), bytes !== undefined);
      });
      const { status, status_text: statusText, headers, url: last } = answer.head;
      return new Response(null, { status, statusText, headers, url: last, redirected: last !== url }, answer);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  // --- crypto -------------------------------------------------------------------------------------------------
  const hashName = (hash) => {
    const name = String(hash?.name ?? hash).toUpperCase();
    if (["SHA-1", "SHA-256", "SHA-384", "SHA-512"].includes(name)) return name;
    throw named("NotSupportedError", `crypto.subtle knows SHA-1, SHA-256, SHA-384 and SHA-512, not ${name}`);
  };
  class CryptoKey {
    #bytes;
    constructor(key, bytes, fields) {
      if (key !== secret) throw new TypeError("a CryptoKey comes from crypto.subtle.importKey");
      this.#bytes = bytes;
      Object.assign(this, fields);
    }
    static bytes(key, usage) {
      if (!(key instanceof CryptoKey)) throw new TypeError("this needs a key of crypto.subtle.importKey");
      if (usage !== undefined && !key.usages.includes(usage)) {
        throw named("InvalidAccessError", `the key was not imported for "${usage}"`);
      }
      return key.#bytes;
    }
  }
  const keyBytes = CryptoKey.bytes;
  delete CryptoKey.bytes;
  const onlyHmac = (algorithm) => {
    const name = String(algorithm?.name ?? algorithm).toUpperCase();
    if (name !== "HMAC") throw named("NotSupportedError", `crypto.subtle signs with HMAC only here, not ${name}`);
  };
  const subtle = {
    async digest(algorithm, data) {
      return host.digest(hashName(algorithm), packed(bytesOf(data, "digest"))).buffer;
    },
    async importKey(format, data, algorithm, extractable, usages) {
      onlyHmac(algorithm);
      if (format !== "raw") throw named("NotSupportedError", `keys are imported as "raw" only here, not "${format}"`);
      const hash = { name: hashName(algorithm.hash) };
      const bytes = bytesOf(data, "importKey").slice();
      const fields = {
        type: "secret", extractable: Boolean(extractable), usages: [...usages],
        algorithm: { name: "HMAC", hash, length: bytes.length * 8 },
      };
      return new CryptoKey(secret, packed(bytes), fields);
    },
    async exportKey(format, key) {
      const bytes = keyBytes(key);
      if (format !== "raw" || !key.extractable) throw named("InvalidAccessError", "the key is not extractable as raw");
      return Uint8Array.from(bytes, (char) => char.charCodeAt(0)).buffer;
    },
    async sign(algorithm, key, data) {
      onlyHmac(algorithm);
      const bytes = keyBytes(key, "sign");
      return host.hmac(key.algorithm.hash.name, bytes, packed(bytesOf(data, "sign"))).buffer;
    },
    async verify(algorithm, key, signature, data) {
      onlyHmac(algorithm);
      const bytes = keyBytes(key, "verify");
      const given = packed(bytesOf(signature, "verify"));
      return host.hmac_verify(key.algorithm.hash.name, bytes, packed(bytesOf(data, "verify")), given);
    },
  };
  const crypto = {
    subtle,
    randomUUID: () => host.uuid(),
    getRandomValues(array) {
      const bytes = bytesOf(array, "getRandomValues");
      if (bytes.length > 65536) throw named("QuotaExceededError", "getRandomValues gives at most 65536 bytes");
      bytes.set(host.random(bytes.length));
      return array;
    },
  };

  for (const [name, value] of Object.entries({
    fetch, Headers, Request, Response, URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa, crypto,
    AbortController, AbortSignal,
  })) define(name, value);
  return true;
})
