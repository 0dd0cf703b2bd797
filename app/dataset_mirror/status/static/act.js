// What changes the mirror, in a dialog: the same form as on the page of its own. The token stays in this tab.
"use strict";

(() => {
  const KEPT = "dataset-mirror-token";
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "act-title");
  document.body.append(dialog);
  let changed = false;

  function show(page) {
    const found = new DOMParser().parseFromString(page, "text/html").getElementById("act");
    if (!found) return false;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "close";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(close, found);
    dialog.setAttribute("data-status", found.dataset.status);
    found.querySelector(".leave")?.remove();
    const token = found.querySelector("input[name=token]");
    if (token) {
      token.value = found.dataset.status === "403" ? "" : (sessionStorage.getItem(KEPT) ?? "");
      const known = token.value !== "";
      token.closest("label").hidden = known;
      found.querySelector("#token-note").hidden = known;
    }
    if (!dialog.open) dialog.showModal();
    (token && !token.value ? token : (found.querySelector("form button") ?? close)).focus();
    return true;
  }

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-act]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
      if (!show(await answer.text())) location.assign(link.href);
    } catch {
      say("The mirror does not answer.");
    }
  });

  dialog.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const given = new URLSearchParams(new FormData(form));
    const button = form.querySelector("button");
    button.disabled = true;
    button.textContent = "Working…";
    try {
      const answer = await fetch(form.action, { method: "POST", body: given, headers: { Accept: "text/html" } });
      if (answer.status === 403) sessionStorage.removeItem(KEPT);
      else sessionStorage.setItem(KEPT, given.get("token"));
      show(await answer.text());
      const done = dialog.querySelector("#act[data-done] .done");
      changed ||= done !== null;
      if (done) say(done.textContent);
    } catch {
      say("The mirror does not answer.");
      dialog.close();
    }
  });

  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    if (changed) {
      changed = false;
      load(location.href, ["main"]).catch(() => {});
    }
  });
})();
