// Sends what the forms hold to the endpoints, and shows each request with its answer.
// Values of others are inserted as text, never as markup.

import { copyOnClick } from "./copy.js";

const PAGE_SIZE = 3;
const FIELD_OF_CODE = { 10002: "user_AegisSpeed_id", 10004: "machine_code", 10006: "user_AegisSpeed_id" };

const { sign_in: signIn, check, bind, machines } = document.forms;
const { next } = machines.elements;
const { other } = bind.elements;
const panel = document.getElementById("exchange");
const toggle = panel.querySelector(".toggle");
const who = document.getElementById("who");
const list = document.getElementById("list");
const count = document.getElementById("count");

const users = [...signIn.querySelectorAll("button")].map((button) => button.value);
let token = null; // in memory only: a reload loses it
let user = users[0];
let following = null; // the code after which the next page of machines begins
const owners = new Map(); // of the codes that were bound on this page

/** Post JSON and return the answer. Show both in the panel, unless the page itself asked. */
async function send(form, body, { shown = true } = {}) {
  const headers = { "Content-Type": "application/json", ...(token && form !== signIn && { Authorization: `Bearer ${token}` }) };
  if (shown) panel.setAttribute("aria-busy", "true");
  const { status, text } = await post(form.action, headers, body);
  const answer = parse(text);
  if (status === 401 && form !== signIn) signOut();
  if (shown) {
    show(form, headers, body, status, answer, text);
    showErrors(form, errorsOf(status, answer));
  }
  return answer;
}

async function post(url, headers, body) {
  try {
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, text: await response.text() };
  } catch {
    return { text: "" };
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function show(form, headers, body, status, answer, text) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.replace(token, "…")}`);
  document.getElementById("request").textContent = [
    `POST ${new URL(form.action).pathname}`, ...lines, "", readable(body),
  ].join("\n");
  document.getElementById("answer").textContent = answer ? readable(answer) : text;
  panel.querySelector("[role=status]").replaceChildren(...verdict(form, status, answer));
  panel.dataset.outcome = status !== 200 ? "refused" : answer?.result === true ? "bound" : "success";
  panel.setAttribute("aria-busy", "false");
}

/** Format JSON for a reader, without the token. */
function readable(value) {
  return JSON.stringify(value, (name, part) => (name === "access_token" ? "…" : part), 2);
}

/** Return the parts of the line about an answer: status, code, step and text. */
function verdict(form, status, answer) {
  const silence = status ? "The answer is not JSON" : "No answer: is the server running?";
  const text = answer ? (answer.info ?? answer.result ?? answer.message ?? "Signed in") : silence;
  const name = form.closest("section").querySelector("h2").textContent;
  return Object.entries({ name, status, code: answer?.code, text })
    .filter(([, part]) => part)
    .flatMap(([kind, part]) => [element("span", part, kind), " "]);
}

/** Return messages by field: those of 10400, or of the one field that another code is about. */
function errorsOf(status, answer) {
  if (status === 200) return {};
  const field = FIELD_OF_CODE[answer?.code];
  return answer?.data?.errors ?? (field ? { [field]: [answer.info ?? answer.result] } : {});
}

function showErrors(form, errors) {
  for (const place of form.querySelectorAll(".error")) {
    const input = form.elements[place.dataset.of];
    const messages = errors[input.name] ?? [];
    place.textContent = messages.join("; ");
    input.setAttribute("aria-invalid", String(messages.length > 0));
    if (messages.length > 0) input.closest("details")?.setAttribute("open", "");
  }
}

function element(tag, text, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = name;
  return made;
}

/** Highlight the buttons that make sense next, and the step that they are in. */
function suggest(...buttons) {
  document.querySelector("[aria-current=step]").removeAttribute("aria-current");
  for (const button of document.querySelectorAll(".go")) button.classList.remove("go");
  for (const button of buttons) button.classList.add("go");
  buttons[0].closest(".step").setAttribute("aria-current", "step");
}

function submitOf(form) {
  return form.querySelector("button:not([type])");
}

function signOut() {
  token = null;
  who.textContent = "Nobody is signed in.";
  other.disabled = true;
  suggest(...signIn.querySelectorAll("button"));
}

async function enter(aegisspeedId) {
  const password = signIn.elements.password.value;
  const answer = await send(signIn, { user_AegisSpeed_id: aegisspeedId, password });
  if (!answer?.access_token) return false;
  token = answer.access_token;
  user = aegisspeedId;
  who.textContent = `Signed in as ${user}.`;
  other.disabled = false;
  const field = bind.elements.user_AegisSpeed_id;
  field.value = field.defaultValue = user;
  showErrors(bind, {});
  readMachines({ shown: false });
  return true;
}

/** Read a page of the signed-in user's machines: the first one, or the one after a code. */
async function readMachines({ after, shown }) {
  const body = { user_AegisSpeed_id: user, limit: PAGE_SIZE, ...(after && { after }) };
  list.setAttribute("aria-busy", "true");
  const answer = await send(machines, body, { shown });
  if (body.user_AegisSpeed_id !== user) return; // another user signed in meanwhile
  list.setAttribute("aria-busy", "false");
  const found = answer?.data?.machines;
  following = answer?.data?.next;
  next.disabled = !following;
  list.replaceChildren(...(found ?? []).map(listed));
  if (!found) count.textContent = token ? "The list cannot be read." : "Sign in to see your machines.";
  else if (found.length === 0) count.textContent = after ? "No more machines." : `${user} has no machines yet.`;
  else count.textContent = following ? "There are more on the next page." : `These are the machines of ${user}.`;
}

function listed(machine, index) {
  const item = element("li", "");
  const code = element("code", machine.machine_code);
  code.id = `code-${index}`;
  const copy = element("button", "Copy", "copy");
  copy.type = "button";
  copy.dataset.copies = code.id;
  copy.setAttribute("aria-label", `Copy the code ${machine.machine_code}`);
  const facts = [machine.machine_os_name, machine.machine_cpu, machine.machine_motherboard];
  const bound = `Bound ${new Date(machine.registered_at).toLocaleString()}`;
  item.append(code, copy, element("p", facts.filter((fact) => fact.trim()).join(" · ")), element("p", bound, "when"));
  return item;
}

/** Put a code into both forms, so that the code that was checked is the one to bind. */
function setCode(code) {
  for (const form of [check, bind]) form.elements.machine_code.value = code;
}

function randomCode() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

signIn.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await enter(event.submitter.value)) suggest(submitOf(check));
});

other.addEventListener("click", async () => {
  if (await enter(users.find((each) => each !== user))) suggest(submitOf(bind));
});

check.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send(check, { user_AegisSpeed_id: user, machine_code: check.elements.machine_code.value });
  if (answer?.status === 200) suggest(answer.code === "10002" ? other : submitOf(bind));
});

bind.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(bind));
  const answer = await send(bind, body);
  if (answer?.data?.errors) bind.querySelector("[aria-invalid=true]")?.focus();
  if (answer?.code === "10000") {
    owners.set(body.machine_code, user);
    suggest(other);
    readMachines({ shown: false });
  }
  if (answer?.code === "10004") {
    const owner = owners.get(body.machine_code);
    suggest(owner && owner !== user ? submitOf(machines) : other);
  }
});

bind.addEventListener("reset", () => {
  setCode(bind.elements.machine_code.defaultValue);
  showErrors(bind, {});
});

for (const form of [check, bind]) {
  form.elements.machine_code.addEventListener("input", (event) => setCode(event.target.value));
  form.elements.random.addEventListener("click", () => setCode(randomCode()));
}

machines.addEventListener("submit", (event) => {
  event.preventDefault();
  readMachines({});
});

next.addEventListener("click", () => readMachines({ after: following }));

toggle.addEventListener("click", () => {
  toggle.setAttribute("aria-expanded", String(toggle.getAttribute("aria-expanded") !== "true"));
});

copyOnClick();
