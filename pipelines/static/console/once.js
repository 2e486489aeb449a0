/* A form marked data-once is sent once: a second click waits for the first one's answer. */
"use strict";

for (const form of document.querySelectorAll("form[data-once]")) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
    }
    sent = true;
  });
  /* Out of the browser's history the page comes back as it was left, and may be sent again. */
  window.addEventListener("pageshow", () => {
    sent = false;
  });
}
