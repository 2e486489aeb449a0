/* A button marked data-copy="id" puts the text of that field on the clipboard, and says so. */
"use strict";

async function copied(field) {
  field.select();
  if (!navigator.clipboard) {
    return document.execCommand("copy"); // a browser has no clipboard for pages over plain http
  }
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return false;
  }
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const status = document.getElementById(`${button.dataset.copy}_status`);
  button.hidden = false;
  button.addEventListener("click", async () => {
    status.textContent = (await copied(field)) ? "Copied." : "It is selected: press Ctrl+C or ⌘C.";
  });
}
