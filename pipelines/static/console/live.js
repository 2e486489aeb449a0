/* An element marked data-live="address" holds parts (data-part, each with an id) that are fetched anew every few
   seconds. A part that is as it was is left alone, and the keyboard stays where it is. */
"use strict";

const live = document.querySelector("[data-live]");
const wanted = document.getElementById("live_on");
const note = document.getElementById("live_note");
const seen = new Map();
const ACTIVE = ["running", "paused"];

function state(within) {
  return within.querySelector("[data-state]")?.dataset.state;
}

function parts(within) {
  return [...within.querySelectorAll("[data-part]")];
}

/* What had the focus has it again, if it is still there; else the part itself, so that Tab goes on from here. */
function replace(part, text) {
  const focused = part.contains(document.activeElement) ? document.activeElement.id : null;
  part.innerHTML = text;
  if (focused === null) {
    return;
  }
  const again = focused && document.getElementById(focused);
  if (again) {
    again.focus({ preventScroll: true });
  } else {
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  }
}

async function look() {
  const answer = await fetch(live.dataset.live, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) {
    throw new Error("The page cannot be read any more.");
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!state(fresh)) {
    throw new Error("This is another page.");
  }
  for (const part of parts(fresh)) {
    const shown = document.getElementById(part.id);
    if (seen.get(part.id) !== part.innerHTML) {
      seen.set(part.id, part.innerHTML);
      replace(shown, part.innerHTML);
    }
    if (part.dataset.state) {
      shown.dataset.state = part.dataset.state;
    }
  }
}

async function again() {
  if (wanted.checked && !document.hidden) {
    try {
      await look();
      note.textContent = "";
    } catch {
      note.textContent = "It could not be refreshed just now: this may be old.";
    }
  }
  if (ACTIVE.includes(state(live))) {
    setTimeout(again, 1000 * Number(live.dataset.every));
  } else {
    document.getElementById("live_switch").hidden = true;
  }
}

if (ACTIVE.includes(state(live))) {
  for (const part of parts(live)) {
    seen.set(part.id, part.innerHTML);
  }
  document.getElementById("live_switch").hidden = false;
  setTimeout(again, 1000 * Number(live.dataset.every));
}
