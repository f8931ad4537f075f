// Light syntax colouring: splits source into coloured spans by one regular expression per language. Pure but for
// `highlight`, which builds the elements. It colours, it does not parse: an odd source is merely coloured oddly.
import { h } from './dom.js';

/** Past this, colouring costs more than it helps. */
const COLOURED_CHARS_MAX = 150_000;

const words = (text) => text.split(' ').join('|');
const PYTHON = words('and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield None True False');
const TYPESCRIPT = words('abstract any as async await boolean break case catch class const continue debugger default delete do else enum export extends false finally for from function if implements import in instanceof interface let new null number object of private protected public readonly return static string super switch this throw true try type typeof undefined unknown var void while yield');
const BASH = words('if then else elif fi for in do done while until case esac function return local export set exit echo read shift trap source');

const RULES = {
  python3: rule('#.*', String.raw`[rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)`, PYTHON),
  bash: rule(String.raw`(?<![^\s;])#.*`, String.raw`"(?:\\.|[^"\\])*"?|'[^']*'?|\$\{[^}\n]*\}?|\$[\w@#?*!-]+`, BASH),
  json: rule('(?!)', String.raw`"(?:\\.|[^"\\\n])*"?`, 'true|false|null'),
  yaml: rule(String.raw`(?<![^\s])#.*`, String.raw`"(?:\\.|[^"\\])*"?|'[^']*'?|^[ \t-]*[\w$.-]+(?=:(?:\s|$))`, 'true|false|null', 'm'),
  nativets: rule(String.raw`\/\/.*|\/\*[\s\S]*?(?:\*\/|$)`, String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\x60(?:\\[\s\S]|[^\x60\\])*\x60?`, TYPESCRIPT),
};
RULES.bun = RULES.nativets;
RULES.deno = RULES.nativets;

function rule(comment, string, keywords, flags = '') {
  return new RegExp(`(${comment})|(${string})|\\b(\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\b|\\b(${keywords})\\b|\\b([A-Za-z_]\\w*)(?=\\()`, `g${flags}`);
}

const CLASSES = ['', 'tok-comment', 'tok-string', 'tok-number', 'tok-keyword', 'tok-call'];

/** Text and spans for `source` in `language`. */
export function highlight(source, language) {
  const pattern = RULES[language];
  if (!pattern || source.length > COLOURED_CHARS_MAX) return [source];
  const parts = [];
  let end = 0;
  for (const hit of source.matchAll(pattern)) {
    const kind = hit.findIndex((group, index) => index > 0 && group !== undefined);
    if (kind < 1 || hit[0] === '') continue;
    if (hit.index > end) parts.push(source.slice(end, hit.index));
    const key = language === 'yaml' ? kind === 2 && !/^["']/.test(hit[0]) : language === 'json' && kind === 2 && /^\s*:/.test(source.slice(hit.index + hit[0].length, hit.index + hit[0].length + 20));
    parts.push(h('span', { class: key ? 'tok-key' : CLASSES[kind] }, hit[0]));
    end = hit.index + hit[0].length;
  }
  parts.push(source.slice(end));
  return parts;
}
