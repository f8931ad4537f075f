// Start: has the modules come once the frame of index.html is painted, so that reading them keeps nobody from seeing it.
// A classic script, put into index.html. Which file they begin with stands in `data-modules`.
'use strict';
(() => {
  /** A window that nobody sees paints no frame. */
  const FRAME_WAIT_MS = 100;
  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    const script = document.createElement('script');
    script.type = 'module';
    script.src = document.documentElement.dataset.modules;
    document.head.append(script);
  };
  requestAnimationFrame(() => setTimeout(begin)); // after the frame, not before it
  setTimeout(begin, FRAME_WAIT_MS);
})();
