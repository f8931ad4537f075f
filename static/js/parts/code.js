// <ws-code>: a small code editor over `<textarea>`: line numbers, light colours, an error at its line. Tab indents;
// after Escape the next Tab leaves, so that the keyboard is never caught.
import { h, uid } from './dom.js';
import { highlight } from './highlight.js';

const INDENT = { python3: '    ', bash: '  ', json: '  ' };

class WsCode extends HTMLElement {
  constructor() {
    super();
    this.control = h('textarea', { spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', wrap: 'off', id: uid('code') });
    this.colours = h('pre', { 'aria-hidden': 'true' });
    this.numbers = h('div', { class: 'code-numbers', 'aria-hidden': 'true' });
    this.problem = h('p', { class: 'code-problem', role: 'alert', hidden: true });
    this.errorLine = 0;
    this.leaving = false;
    this.control.addEventListener('input', () => {
      this.markError(0);
      this.paint();
    });
    this.control.addEventListener('keydown', (event) => this.onKey(event));
    this.control.addEventListener('blur', () => { this.leaving = false; });
  }

  connectedCallback() {
    if (this.firstChild) return;
    this.append(h('div', { class: 'code-scroll' }, this.numbers, h('div', { class: 'code-area' }, this.colours, this.control)), this.problem);
    this.paint();
  }

  get value() { return this.control.value; }

  set value(text) {
    this.control.value = text;
    this.markError(0);
    this.paint();
  }

  get language() { return this.getAttribute('language') ?? 'json'; }

  set language(language) {
    this.setAttribute('language', language);
    this.paint();
  }

  /** Marks a line (from 1) with a text below the editor; 0 clears. */
  markError(line, text = '') {
    if (line === this.errorLine && text === this.problem.textContent) return;
    this.errorLine = line;
    this.problem.textContent = text;
    this.problem.hidden = !text;
    this.paint();
    if (line > 0) this.numbers.children[line - 1]?.scrollIntoView({ block: 'nearest' });
  }

  paint() {
    const source = this.control.value;
    // the last line break needs something after it to have a height
    this.colours.replaceChildren(...highlight(source, this.language), '\n');
    const lines = source.split('\n').length;
    while (this.numbers.childElementCount > lines) this.numbers.lastElementChild.remove();
    while (this.numbers.childElementCount < lines) this.numbers.append(h('span', {}, String(this.numbers.childElementCount + 1)));
    this.numbers.querySelector('.bad')?.classList.remove('bad');
    this.numbers.children[this.errorLine - 1]?.classList.add('bad');
  }

  onKey(event) {
    if (event.key === 'Escape' && !this.leaving) {
      this.leaving = true;
      event.stopPropagation();
      event.preventDefault();
      return;
    }
    if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) {
      const before = this.control.value.slice(0, this.control.selectionStart);
      const line = before.slice(before.lastIndexOf('\n') + 1);
      const deeper = /[:{[(]\s*$/.test(line) ? INDENT[this.language] ?? '  ' : '';
      event.preventDefault();
      this.insert(`\n${/^\s*/.exec(line)[0]}${deeper}`);
      return;
    }
    if (event.key !== 'Tab' || this.leaving || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    const unit = INDENT[this.language] ?? '  ';
    const { selectionStart, selectionEnd, value } = this.control;
    if (!event.shiftKey && selectionStart === selectionEnd) {
      this.insert(unit);
      return;
    }
    const start = value.lastIndexOf('\n', selectionStart - 1) + 1;
    const old = value.slice(start, selectionEnd);
    const changed = event.shiftKey ? old.replace(new RegExp(`^ {1,${unit.length}}`, 'gm'), '') : old.replace(/^/gm, unit);
    if (changed === old) return;
    this.control.setSelectionRange(start, selectionEnd);
    this.insert(changed);
    this.control.setSelectionRange(start, start + changed.length);
  }

  /** Types text at the caret in a way the browser can undo. */
  insert(text) {
    if (!document.execCommand('insertText', false, text)) {
      this.control.setRangeText(text, this.control.selectionStart, this.control.selectionEnd, 'end');
      this.control.dispatchEvent(new Event('input', { bubbles: true }));
    }
  }
}
customElements.define('ws-code', WsCode);

/** An editor; `label` names it where no `<label>` does. `rows` is its least height. */
export function codeEditor({ language = 'json', value = '', label, rows = 3 }) {
  const element = document.createElement('ws-code');
  element.setAttribute('language', language);
  element.style.setProperty('--rows', rows);
  if (label) element.control.setAttribute('aria-label', label);
  element.control.value = value;
  return element;
}

/** The line (from 1) where the step of a flow stands that a text names as `(id a)`, in YAML or JSON; null when it names none. */
export function lineOfStep(text, source) {
  const step = /\(id ([\w-]+)\)/.exec(text)?.[1];
  if (!step) return null;
  const at = source.split('\n').findIndex((line) => new RegExp(`^[\\s-]*"?id"?: *["']?${step}["']?,?\\s*$`).test(line));
  return at < 0 ? null : at + 1;
}

/** The place a text names: `line 3, column 5`, `line 3`, `3:5`; null when it names none. */
export function lineOf(text) {
  const named = /\bline (\d+)\b/i.exec(text) ?? /(?:^|[\s(])(\d+):\d+(?=[\s):]|$)/.exec(text);
  return named ? Number(named[1]) : null;
}
