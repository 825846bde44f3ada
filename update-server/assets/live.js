// Keeps the part of a page that says so up to date: when the hub tells that something changed, and
// now and then in any case. Without this file the page is the same, and loads itself anew.
(() => {
  "use strict";
  const part = document.querySelector("#live[data-every]");
  if (!part || !window.htmx) return;

  const leastBetween = 2000;
  const every = Math.max(Number(part.dataset.every) * 1000, leastBetween);
  const trouble = document.querySelector("#trouble");
  let source, due;

  const soon = (after) => {
    clearTimeout(due);
    due = setTimeout(() => {
      soon(every);
      if (!document.hidden) htmx.trigger(part, "due");
    }, after);
  };

  // Many events in a row are one: the first sets the time, the others wait for it.
  let told = false;
  const tell = () => {
    if (told) return;
    told = true;
    soon(leastBetween);
  };

  // A browser has few connections to one host: a page nobody sees holds none.
  const listen = () => {
    if (!part.dataset.events || source || document.hidden) return;
    source = new EventSource(part.dataset.events);
    for (const kind of [...part.dataset.kinds.split(","), "resync"]) source.addEventListener(kind, tell);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (source) source.close();
      source = undefined;
    } else {
      listen();
      soon(0);
    }
  });

  // Nothing is taken away from under somebody's fingers.
  const busy = () => {
    const at = document.activeElement;
    const typing = at && part.contains(at) && at.matches("input, select, textarea");
    const marked = window.getSelection();
    return typing || (marked && !marked.isCollapsed && part.contains(marked.anchorNode));
  };
  part.addEventListener("htmx:beforeRequest", (event) => {
    told = false;
    if (busy()) event.preventDefault();
  });

  // What was open stays open, what was scrolled stays where it was, and the focus too.
  const name = (element) => {
    if (!element || !part.contains(element)) return;
    if (element.id) return "#" + CSS.escape(element.id);
    if (element.matches("summary") && element.parentElement.id) return name(element.parentElement) + " > summary";
    if (element.matches("a[href]")) return 'a[href="' + CSS.escape(element.getAttribute("href")) + '"]';
  };
  let kept;
  part.addEventListener("htmx:beforeSwap", () => {
    kept = {
      details: [...part.querySelectorAll("details[id]")].map((box) => [box.id, box.open]),
      boxes: [...part.querySelectorAll("[tabindex][id]")].map((box) => [box.id, box.scrollLeft, box.scrollTop]),
      focus: name(document.activeElement),
    };
  });
  part.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    for (const [id, open] of kept.details) {
      const box = document.getElementById(id);
      if (box) box.open = open;
    }
    for (const [id, left, top] of kept.boxes) {
      const box = document.getElementById(id);
      if (box) [box.scrollLeft, box.scrollTop] = [left, top];
    }
    const focus = kept.focus && part.querySelector(kept.focus);
    if (focus) focus.focus({ preventScroll: true });
    kept = undefined;
  });

  // An old page must not look like a new one.
  const say = (text) => {
    if (!trouble) return;
    trouble.hidden = !text;
    trouble.firstElementChild.textContent = text;
  };
  part.addEventListener("htmx:sendError", () => say("The hub did not answer, or the sign-in is over: this is how things were."));
  part.addEventListener("htmx:responseError", (event) =>
    say("The hub answered " + event.detail.xhr.status + ": this is how things were."));
  part.addEventListener("htmx:afterOnLoad", () => say(""));

  listen();
  soon(every);
})();
