// What is under way, and how the mirror is, as /status/events tells it. Rows change in place, so that nothing jumps.
"use strict";

(() => {
  const STATES = { ok: "Working", degraded: "Degraded", failing: "Broken" };
  const AGAIN = 5_000;
  const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  const title = document.title.replace(/^(Degraded|Broken): /, "").replace(/^\(\d+\) /, "");
  const offline = document.querySelector("#state .what").textContent.includes("offline");
  const one = (id) => document.getElementById(id);
  const known = { fills: 0, health: one("state").className.split(" ").at(-1), log: Number(one("log-part")?.dataset.number) };

  function size(bytes) {
    let unit = 0;
    for (; bytes >= 999.5 && unit < UNITS.length - 1; unit++) bytes /= 1000;
    const number = bytes.toFixed(unit === 0 || bytes >= 99.95 ? 0 : 1);
    return `${number}\u00a0${unit === 0 && number === "1" ? "byte" : UNITS[unit]}`;
  }

  const count = (number, noun) => `${number.toLocaleString("en")}\u00a0${noun}${number === 1 ? "" : "s"}`;
  const write = (element, text) => element && element.textContent !== text && (element.textContent = text);

  // Keyed rows of a list, made of its template
  function rows(list, shown, keyOf, fillIn) {
    const there = new Map([...list.children].map((row) => [row.dataset.key, row]));
    const template = one(`${list.id.slice(0, -1)}-row`);
    for (const item of shown) {
      const key = keyOf(item);
      let row = there.get(key);
      if (!row) {
        row = template.content.firstElementChild.cloneNode(true);
        row.dataset.key = key;
        const link = row.querySelector("a");
        link.textContent = item.url.replace(/^https:\/\//, "");
        link.href = `${list.dataset.archives}/${item.url.split("://")[1]}`;
        row.querySelector("progress").setAttribute("aria-label", item.url);
        const act = row.querySelector(".act");
        if (act) act.href = `/status/act?${new URLSearchParams({ what: "cancel", name: item.url })}`;
        list.append(row);
      }
      there.delete(key);
      fillIn(row, item);
    }
    for (const row of there.values()) row.remove();
  }

  function bar(row, done, total) {
    const progress = row.querySelector("progress");
    if (total) {
      progress.max = total;
      progress.value = done;
    } else progress.removeAttribute("value");
  }

  function under(name, items, more, keyOf, fillIn) {
    const list = one(name);
    if (!list) return;
    const most = Number(list.dataset.most);
    rows(list, items.slice(0, most), keyOf, fillIn);
    const number = items.length + more;
    list.parentElement.hidden = number === 0;
    write(one(`${name}-count`), number.toLocaleString("en"));
    const rest = number - Math.min(items.length, most);
    one(`${name}-more`).hidden = rest === 0;
    write(one(`${name}-more`), `${rest.toLocaleString("en")} more.`);
    one("quiet").hidden = one("fills").children.length + one("answers").children.length > 0;
  }

  const on = {
    fills({ fills, more = 0 }) {
      known.fills = fills.length + more;
      fills.sort((a, b) => a.waiting - b.waiting);
      under("fills", fills, more, (fill) => fill.url, (row, fill) => {
        bar(row, fill.received, fill.total);
        const parts = fill.waiting ? ["waits for a free place"] : [size(fill.received) + (fill.total ? ` of ${size(fill.total)}` : "")];
        if (fill.rate && !fill.waiting) parts.push(`${size(fill.rate)}/s`);
        if (fill.slow) parts.push("slow: others have its place");
        if (fill.connections) parts.push(count(fill.connections, "connection"));
        if (fill.eta !== null && !fill.waiting) parts.push(`${duration(fill.eta)} left`);
        parts.push(count(fill.readers, "client"));
        write(row.querySelector(".text"), parts.join(" · "));
      });
      state();
    },
    answers({ answers, more = 0 }) {
      const key = (answer) => answer.id || `${answer.url} ${answer.client} ${answer.since}`;
      under("answers", answers, more, key, (row, answer) => {
        bar(row, answer.sent, answer.total);
        const done = size(answer.sent) + (answer.total ? ` of ${size(answer.total)}` : "");
        write(row.querySelector(".text"), [done, `${size(answer.rate)}/s`, answer.client, answer.outcome].join(" · "));
      });
    },
    traffic(now) {
      known.traffic = now;
      rates();
      if (now.served || now.fetched || now.hits || now.misses) later();
    },
    health(health) {
      if (known.health !== health.state) later(1000);
      known.health = health.state;
      state();
    },
    log({ number }) {
      if (one("log-part") && known.log !== number) later(1000);
      known.log = number;
    },
    failure: () => later(1000),
    change: () => later(),
    reset: () => later(0),
  };

  function rates() {
    write(one("serving"), `${size(known.traffic.serving)}/s`);
    write(one("fetching"), `${size(known.traffic.fetching)}/s`);
  }

  function state() {
    const name = STATES[known.health];
    document.title = (known.health === "ok" ? "" : `${name}: `) + (known.fills ? `(${known.fills}) ` : "") + title;
    const line = one("state");
    line.className = `state ${known.health}`;
    write(line.querySelector("strong"), name);
    const under = known.fills ? `${count(known.fills, "download")} under way` : "nothing under way";
    write(line.querySelector(".what"), `${under} · ${offline ? "offline" : "online"}`);
    const icon = one("icon");
    const wanted = icon.dataset[known.health];
    if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  }

  // What no event tells in full is loaded again, seldom, and not while somebody reads or writes in it.
  const PARTS = ["problems-part", "wanted-part", "traffic-part", "disk-part", "kept-part", "health-part", "results", "figures", "activity-part", "log-part", "mirrors-part"];
  let waiting;
  let last = 0;

  function later(after = 15_000) {
    if (!document.body.hasAttribute("data-live") || waiting) return;
    waiting = setTimeout(again, Math.max(after, last + 5000 - Date.now()));
  }

  async function again() {
    waiting = undefined;
    if (document.hidden || document.querySelector("dialog[open]")) return;
    last = Date.now();
    const reading = PARTS.filter((id) => one(id)?.contains(document.activeElement));
    await load(location.href, PARTS.filter((id) => !reading.includes(id))).catch(() => {});
    if (known.traffic) rates();
  }

  let events;

  function listen() {
    events?.close();
    events = new EventSource("/status/events");
    for (const [name, take] of Object.entries(on)) {
      events.addEventListener(name, (event) => take(JSON.parse(event.data)));
    }
    events.addEventListener("open", () => delete document.body.dataset.stale);
    events.addEventListener("error", () => {
      document.body.dataset.stale = "";
      if (events.readyState === EventSource.CLOSED) setTimeout(listenAgain, AGAIN); // refused: the browser does not ask again by itself
    });
  }

  function listenAgain() {
    listen();
    later(0); // of what happened meanwhile nothing is told
  }

  listen();
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", ({ persisted }) => persisted && listenAgain());
  if (one("mirrors-part")) setInterval(() => later(0), 15_000); // no event here tells of what the others do
})();
