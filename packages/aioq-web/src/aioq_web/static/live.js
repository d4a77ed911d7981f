// Keeps a page up to date, remembers the reader's zone, and answers a few keys. Every page works without this script.
"use strict";

const YEAR = 31536000;
const RETRY = 5000; // milliseconds until the page asks again after an error
const AMBER = 8000; // milliseconds without a message after which the page says that it may be old

const { root, version } = document.documentElement.dataset;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const cookies = document.cookie.split("; ");
if (zone && !cookies.includes(`aioq_zone=${zone}`)) {
  document.cookie = `aioq_zone=${zone}; path=${root}/; max-age=${YEAR}; samesite=strict`;
  if (zone !== "UTC" && navigator.cookieEnabled && !cookies.some((cookie) => cookie.startsWith("aioq_zone="))) {
    location.reload();
  }
}

// Parts of a page that may change have an id and `data-live`. A part that the reader is using is left alone.
function inUse(part) {
  return part.contains(document.activeElement) || part.querySelector("details[open], input:checked") !== null;
}

function update(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.innerHTML !== part.innerHTML && !inUse(part)) {
      part.replaceChildren(...document.importNode(other, true).childNodes);
    }
  }
}

const status = document.getElementById("live");
let heardAt = Date.now();
let source = null;

function say(state, text) {
  if (status && status.dataset.state !== state) {
    status.dataset.state = state;
    status.querySelector("[role=status]").textContent = text;
  }
}

function connect() {
  const address = new URL(location.href);
  address.searchParams.delete("told");
  source = new EventSource(address);
  const heard = () => {
    heardAt = Date.now();
    say("live", "Live");
  };
  source.addEventListener("open", heard);
  source.addEventListener("beat", heard);
  source.addEventListener("page", (event) => {
    heard();
    update(JSON.parse(event.data));
  });
  source.addEventListener("away", () => say("away", "Broker away"));
  source.addEventListener("gone", () => {
    source.close();
    say("away", "No longer there");
  });
  source.addEventListener("version", (event) => {
    // Another release serves the page now: its parts need its own style and script.
    if (JSON.parse(event.data) !== version && ![...document.querySelectorAll("[data-live]")].some(inUse)) location.reload();
  });
  source.addEventListener("error", () => {
    if (Date.now() - heardAt > AMBER) say("away", "Reconnecting");
    // A browser gives up if the answer is an error, as that of a proxy during a deploy.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || connect(), RETRY);
  });
}

if (status && !status.hasAttribute("data-off")) {
  connect();
  document.addEventListener("visibilitychange", () => {
    // A hidden page costs the server nothing.
    source.close();
    if (!document.hidden) connect();
  });
  addEventListener("pagehide", () => source.close());
}

// "/" goes to the search, as readers of other tools expect.
document.addEventListener("keydown", (event) => {
  const field = document.getElementById("find");
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    field.focus();
  }
  if (event.key === "Escape" && typing) typing.blur();
});

// One box chooses all rows of a table.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const box of event.target.form.querySelectorAll("input[name=job]")) box.checked = event.target.checked;
});
