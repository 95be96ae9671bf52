
"use strict";

const byId = id => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
document.documentElement.classList.add("js");

// In this variable and nowhere else: not in an address, not in a storage.
let token = "";

/** Make an element. Whatever is put into it is text: no answer is ever read as markup. */
function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
}

/* What the browser remembers: two choices of the reader, neither of them a secret. */

function remembered(name) {
    try { return localStorage.getItem(`docs.${name}`); } catch { return null; }
}

function remember(name, value) {
    try { localStorage.setItem(`docs.${name}`, value); } catch { /* A browser may forbid it. */ }
}

/* Where the service is. Served by it, the page knows from its own address, whatever proxies stand between;
   a copy that was saved asks whom it names. */

const served = location.protocol.startsWith("http") && location.pathname.match(/^(.*)\/docs\/?$/);
const base = served ? location.origin + served[1] : byId("base").textContent;
for (const place of all(".origin")) place.textContent = base;

/* One language for all examples. */

function chooseLanguage(language) {
    for (const tab of all("[role=tab]")) {
        const chosen = tab.dataset.language === language;
        tab.setAttribute("aria-selected", chosen);
        tab.tabIndex = chosen ? 0 : -1;
    }
    for (const sample of all(".sample")) sample.hidden = sample.dataset.language !== language;
}

/** Choose, and keep what was clicked where it is while the samples above it change their heights. */
function chooseHere(tab) {
    const before = tab.getBoundingClientRect().top;
    chooseLanguage(tab.dataset.language);
    remember("language", tab.dataset.language);
    scrollBy({top: tab.getBoundingClientRect().top - before, behavior: "instant"});
}

function moveAmongTabs(event) {
    const tabs = all("[role=tab]", event.currentTarget);
    const steps = {ArrowRight: 1, ArrowLeft: -1, Home: -tabs.indexOf(event.target), End: -1 - tabs.indexOf(event.target)};
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = tabs.at((tabs.indexOf(event.target) + steps[event.key]) % tabs.length);
    chooseHere(next);
    next.focus({preventScroll: true});
}

for (const list of all("[role=tablist]")) list.addEventListener("keydown", moveAmongTabs);
for (const tab of all("[role=tab]")) tab.addEventListener("click", () => chooseHere(tab));
if (all("[role=tab]").some(tab => tab.dataset.language === remembered("language"))) chooseLanguage(remembered("language"));

/* Colours, paper, clipboard. */

const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

function colour(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = dark() ? "Light" : "Dark";
}

if (["light", "dark"].includes(remembered("theme"))) colour(remembered("theme"));
byId("theme").textContent = dark() ? "Light" : "Dark";
byId("theme").addEventListener("click", () => {
    colour(dark() ? "light" : "dark");
    remember("theme", document.documentElement.dataset.theme);
});
byId("print").addEventListener("click", () => print());

/** Copy; where there is no clipboard (plain HTTP from another machine), select, so that one key does it. */
async function copy(button) {
    const source = button.previousElementSibling;
    try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
    } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

for (const button of all(".copy")) button.addEventListener("click", () => copy(button));

/* The contents: a menu on a phone, searched, and telling where one is. */

function showMenu(open) {
    byId("sidebar").classList.toggle("open", open);
    document.querySelector(".menu").setAttribute("aria-expanded", open);
}

document.querySelector(".menu").addEventListener("click", () => showMenu(!byId("sidebar").classList.contains("open")));
for (const link of all("#contents a")) link.addEventListener("click", () => showMenu(false));

function search() {
    const wanted = byId("search").value.toLowerCase().split(/\s+/);
    const entries = all("#contents li");
    for (const entry of entries) {
        const words = `${entry.dataset.words ?? ""} ${entry.textContent}`.toLowerCase();
        entry.hidden = !wanted.every(word => words.includes(word));
    }
    for (const group of all("#contents > div")) group.hidden = all("li:not([hidden])", group).length === 0;
    const found = entries.filter(entry => !entry.hidden).length;
    byId("found").textContent = byId("search").value && `${found} found`;
}

byId("search").addEventListener("input", search);

/** Mark the last heading that the reader has come past; at the very end, the last of all. */
function spy() {
    const headings = all("#contents a").map(link => byId(link.hash.slice(1)));
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2 && scrollY > 0;
    const passed = headings.filter(heading => heading.getBoundingClientRect().top < innerHeight / 3);
    const here = atEnd ? headings.at(-1) : passed.at(-1) ?? headings[0];
    for (const link of all("#contents a")) {
        if (link.hash === `#${here.id}`) link.setAttribute("aria-current", "location");
        else link.removeAttribute("aria-current");
    }
}

let spied = 0;
addEventListener("scroll", () => { cancelAnimationFrame(spied); spied = requestAnimationFrame(spy); }, {passive: true});
spy();

/* Trying it out. */

function keepToken(given) {
    token = given;
    for (const input of all("[name=bearer]")) input.value = token;
    const forget = make("button", {type: "button", class: "plain"}, "Forget it");
    forget.addEventListener("click", () => keepToken(""));
    byId("token").replaceChildren(...token
        ? [`The requests below are sent with the token …${token.slice(-8)}, kept in this page's memory only. `, forget]
        : ["No token yet: a successful login puts one here, for the requests below."]);
}

/** Encode a pair for HTTP Basic; `btoa` alone knows no letters beyond Latin 1. */
function basic(id, secret) {
    return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${id}:${secret}`)))}`;
}

function requestOf(form) {
    const {method, accept} = form.dataset;
    let {path} = form.dataset;
    const headers = {"Accept": accept};
    const query = new URLSearchParams();
    const body = {};
    for (const {name, value, dataset} of all("[data-in]", form)) {
        if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
        else if (dataset.in === "body") body[name] = value;
        else if (dataset.in === "query" && value !== "") query.set(name, value);
        else if (dataset.in === "bearer" && value !== "") headers["Authorization"] = `Bearer ${value}`;
    }
    const client = all("[data-in=client]", form).map(input => input.value);
    if (client.some(Boolean)) headers["Authorization"] = basic(...client);
    const options = {method, headers, credentials: "omit", cache: "no-store"};
    if (form.querySelector("[data-in=body]")) {
        headers["Content-Type"] = "application/json";
        options.body = JSON.stringify(body);
    }
    return [base + (query.size ? `${path}?${query}` : path), options];
}

/** Give what an answer says, for people, and for the requests after it. */
async function read(response) {
    const text = await response.text();
    try {
        const body = JSON.parse(text);
        if (response.ok && typeof body.token === "string") keepToken(body.token);
        return JSON.stringify(body, null, 4);
    } catch {
        return text || "(no content)";
    }
}

/** Tell what may be behind a failure: a browser tells a page no more than that there was one. */
function why(address) {
    if (!navigator.onLine) return "This device is offline.";
    const {origin} = new URL(address);
    return origin === location.origin
        ? "The service could not be reached: it does not run, the connection broke, or something between led elsewhere (a browser does not let this page follow)."
        : `The service could not be reached, or does not let this page read its answers (CORS): ${location.origin} has to be in its CORS_ALLOWED_ORIGINS, and ${origin} has to run.`;
}

function headersOf(response) {
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`);
    const text = make("pre", {class: "headers", tabindex: "0"}, lines.join("\n"));
    return make("details", {}, make("summary", {}, `Headers (${lines.length})`), text);
}

function show(form, sentence, text, ...more) {
    const shown = make("pre", {tabindex: "0", role: "region", "aria-label": "What was received"}, make("code", {}, text));
    form.querySelector(".result").replaceChildren(make("blockquote", {}, sentence), shown, ...more);
    examplesOf(form).hidden = true;
}

// What was really received takes the place of the examples.
const examplesOf = form => form.closest(".operation").querySelector(".answers");

async function send(form, signal) {
    const [address, options] = requestOf(form);
    const began = performance.now();
    try {
        const response = await fetch(address, {...options, signal});
        const text = await read(response);
        const took = make("p", {class: "why soft"}, `${response.statusText} in ${Math.round(performance.now() - began)} ms`.trim());
        if (!signal.aborted) show(form, `Received response ${response.status}:`, text, took, headersOf(response));
    } catch (error) {
        if (!signal.aborted) show(form, "Request failed with error:", String(error), make("p", {class: "why"}, why(address)));
    }
}

function prepare(form) {
    const [open, cancel, submit] = ["open", "cancel", "send"].map(name => form.querySelector(`.${name}`));
    const inputs = all("[data-in]", form);
    let sending = new AbortController();

    function toggle(opened) {
        sending.abort();
        open.hidden = opened;
        for (const element of [cancel, submit, ...inputs]) element.hidden = !opened;
        form.querySelector(".result").replaceChildren();
        examplesOf(form).hidden = false;
        form.reset();
        for (const input of all("[name=bearer]", form)) input.value = token;
        (opened ? inputs[0] ?? submit : open).focus();
    }

    function busy(sends) {
        // Not `disabled`, which would take the focus away from whoever uses the keyboard.
        submit.setAttribute("aria-disabled", sends);
        submit.textContent = sends ? "⏱ Sending…" : "Send Request 💥";
    }

    async function submitted(event) {
        event.preventDefault();
        if (submit.getAttribute("aria-disabled") === "true") return;
        const mine = sending = new AbortController();
        form.querySelector(".result").replaceChildren();
        busy(true);
        await send(form, mine.signal);
        if (mine === sending) busy(false);
    }

    open.addEventListener("click", () => toggle(true));
    cancel.addEventListener("click", () => { toggle(false); busy(false); });
    form.addEventListener("submit", submitted);
}

for (const form of all("form.request")) prepare(form);
