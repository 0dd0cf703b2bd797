// Copying, times in the reader's own zone, and searching while one types. A page is whole without it.
"use strict";

(() => {
  const said = document.getElementById("said");
  let silence;

  // A sentence for everybody, screen readers too.
  window.say = (sentence) => {
    said.textContent = sentence;
    clearTimeout(silence);
    silence = setTimeout(() => (said.textContent = ""), 6000);
  };

  // Commands: over plain http browsers have no clipboard for scripts, but copy what is selected.
  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      if (!document.execCommand("copy")) return;
      getSelection().removeAllRanges();
    }
    button.textContent = "Copied";
    say("Copied.");
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });

  // Times
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const spans = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

  window.duration = (seconds) => {
    const [length, name] = spans.find(([length]) => seconds >= length) ?? spans.at(-1);
    const number = Math.floor(seconds / length);
    return `${number.toLocaleString("en")}\u00a0${name}${number === 1 ? "" : "s"}`;
  };

  function dress(root) {
    const now = Date.now();
    for (const time of root.querySelectorAll("time[data-ago]")) {
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      const text = seconds < 5 ? "just now" : `${duration(seconds)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
    for (const time of root.querySelectorAll("time[data-clock]")) time.textContent = clock.format(new Date(time.dateTime));
    for (const time of root.querySelectorAll("time[data-minute]")) time.textContent = minute.format(new Date(time.dateTime));
    for (const button of root.querySelectorAll("button.copy")) button.hidden = false;
  }

  dress(document);
  setInterval(() => dress(document), 10_000);
  window.dress = dress;

  // Another version of this page: only the parts with these ids are taken from it, and only what differs.
  let asking;

  window.load = async (url, ids) => {
    asking?.abort();
    asking = new AbortController();
    const answer = await fetch(url, { signal: asking.signal, headers: { Accept: "text/html" } });
    if (!answer.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const [here, there] = [document.getElementById(id), page.getElementById(id)];
      if (!here || !there) continue;
      dress(there);
      if (here.innerHTML !== there.innerHTML) here.replaceChildren(...there.childNodes);
    }
    return true;
  };

  // Searching
  for (const form of document.querySelectorAll("form[data-search]")) {
    form.querySelector("button").hidden = true;
    let waiting;
    const show = async () => {
      const fields = [...new FormData(form)];
      const given = fields.filter(([, value]) => value !== "");
      const url = `${form.action.replace(/#.*/, "")}?${new URLSearchParams(given)}`;
      for (const [name, value] of fields) { // another form of the page asks for the same
        for (const twin of document.querySelectorAll(`form[data-search] input[type=hidden][name=${name}]`)) twin.value = value;
      }
      try {
        if (await load(url, [form.dataset.search])) history.replaceState(null, "", url);
      } catch (error) {
        if (error.name !== "AbortError") say("The mirror does not answer.");
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 150);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      show();
    });
  }
})();
