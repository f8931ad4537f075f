// Virtual rows: shows thousands of rows of one height by keeping only those near the window in the document.
// Rows are keyed: a row that stays visible keeps its element, its focus and its open menu.

const OVERSCAN_ROWS = 4;

export class Rows {
  /**
   * `body` holds the rows; `make(item)` answers `{element, update(item)}`; `keyOf(item)` names a row.
   * The height of a row is the CSS property `--row-height` of `body`, in pixels.
   */
  constructor({ body, make, keyOf, signal }) {
    Object.assign(this, { body, make, keyOf });
    this.items = [];
    this.views = new Map();
    body.classList.add('virtual');
    const later = () => this.later();
    window.addEventListener('scroll', later, { passive: true, signal });
    window.addEventListener('resize', later, { signal });
  }

  setItems(items) {
    this.items = items;
    this.show();
  }

  /** The row `by` places after that of `key`, scrolled into sight; null at the end. */
  reveal(key, by) {
    const at = this.items.findIndex((item) => this.keyOf(item) === key);
    const wanted = Math.min(Math.max(at + by, 0), this.items.length - 1);
    if (at < 0 || wanted === at) return null;
    const height = this.height();
    const top = this.body.getBoundingClientRect().top + wanted * height;
    if (top < height) window.scrollBy(0, top - height);
    else if (top + height > window.innerHeight) window.scrollBy(0, top + 2 * height - window.innerHeight);
    this.show();
    return this.views.get(this.keyOf(this.items[wanted]))?.element ?? null;
  }

  height() {
    return Number.parseFloat(getComputedStyle(this.body).getPropertyValue('--row-height')) || 72;
  }

  /** Shows the newest state of the rows in the document. */
  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  show() {
    if (!this.body.isConnected) return;
    const height = this.height();
    this.body.style.setProperty('height', `${this.items.length * height}px`);
    const above = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / height) - OVERSCAN_ROWS);
    const last = Math.min(this.items.length, Math.ceil((above + window.innerHeight) / height) + OVERSCAN_ROWS);
    const wanted = new Set();
    let previous = null;
    for (let index = first; index < last; index += 1) {
      const item = this.items[index];
      const key = this.keyOf(item);
      wanted.add(key);
      let view = this.views.get(key);
      if (!view) {
        view = this.make(item);
        this.views.set(key, view);
      }
      view.update(item);
      view.element.setAttribute('aria-rowindex', String(index + 2)); // the head is row 1
      view.element.style.setProperty('transform', `translateY(${index * height}px)`);
      // the order in the document is the order on screen, for Tab and for screen readers
      const place = previous ? previous.nextSibling : this.body.firstChild;
      if (view.element !== place) this.body.insertBefore(view.element, place);
      previous = view.element;
    }
    for (const [key, view] of this.views) {
      if (wanted.has(key)) continue;
      if (view.element.contains(document.activeElement) && this.items.some((item) => this.keyOf(item) === key)) continue;
      view.element.remove();
      this.views.delete(key);
    }
  }
}
