// Sends what the forms say to the endpoints that any client talks to, and shows what came back.
// Whatever comes from elsewhere is shown as text, never as markup.

const PAGE_SIZE = 3;
const FIELD_OF_CODE = { 10002: "user_AegisSpeed_id", 10004: "machine_code", 10006: "user_AegisSpeed_id" };

const { sign_in: signIn, machines, check, bind } = document.forms;
const who = document.getElementById("who");
const list = document.getElementById("list");
const count = document.getElementById("count");
const next = document.getElementById("next");

let token = null; // here alone: a reload forgets it
let user = bind.elements.user_AegisSpeed_id.value;
let following = null; // where the next page of machines begins

/** Post JSON and show it beside the form, with what came back. Return that; undefined where it is no JSON. */
async function send(form, body, bearer) {
  const exchange = form.closest("section").querySelector(".exchange");
  const headers = { "Content-Type": "application/json", ...(bearer && { Authorization: `Bearer ${bearer}` }) };
  const lines = [`POST ${new URL(form.action).pathname}`, "Content-Type: application/json"];
  if (bearer) lines.push("Authorization: Bearer …");
  exchange.querySelector(".request").textContent = [...lines, "", readable(body)].join("\n");

  exchange.setAttribute("aria-busy", "true");
  const { status, text } = await post(form.action, headers, body);
  exchange.setAttribute("aria-busy", "false");

  const answer = parse(text);
  exchange.dataset.outcome = status === 200 ? "yes" : "no";
  exchange.querySelector(".verdict").replaceChildren(...verdict(status, answer));
  exchange.querySelector(".answer").textContent = answer ? readable(answer) : text;
  showErrors(form, errorsOf(answer));
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

/** Write JSON as a person reads it, without the token. */
function readable(value) {
  return JSON.stringify(value, (name, part) => (name === "access_token" ? "…" : part), 2);
}

/** Say what the answer is: status, code, the time when it came, and its text. */
function verdict(status, answer) {
  const silence = status ? "The answer is not JSON" : "No answer: is the server running?";
  const result = answer ? (answer.result ?? answer.message ?? "Signed in") : silence;
  const parts = { status, code: answer?.code, time: new Date().toLocaleTimeString(), result };
  return Object.entries(parts)
    .filter(([, text]) => text)
    .flatMap(([name, text]) => [element("span", text, name), " "]);
}

/** Return messages by field: those of 10400, or of the one field that another code is about. */
function errorsOf(answer) {
  const field = FIELD_OF_CODE[answer?.code];
  return answer?.data?.errors ?? (field ? { [field]: [answer.result] } : {});
}

function showErrors(form, errors) {
  for (const place of form.querySelectorAll(".error")) {
    const input = form.elements[place.dataset.of];
    const messages = errors[input.name] ?? [];
    place.textContent = messages.join("; ");
    input.setAttribute("aria-invalid", String(messages.length > 0));
  }
}

function element(tag, text, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = name;
  return made;
}

/** Read a page of the machines of whoever is signed in, from the first one or after a code. */
async function readMachines(after) {
  const body = { user_AegisSpeed_id: user, limit: PAGE_SIZE, ...(after && { after }) };
  const answer = await send(machines, body, token);
  const found = answer?.data?.machines;
  following = answer?.data?.next;
  next.disabled = !following;
  list.replaceChildren(...(found ?? []).map(listed));
  if (!found) count.textContent = token ? "No list: the answer says why." : "Sign in to see your machines.";
  else if (found.length === 0) count.textContent = "No machines yet.";
  else count.textContent = following ? "More on the next page." : "No more machines.";
}

function listed(machine) {
  const item = element("li", "");
  const bound = new Date(machine.registered_at).toLocaleString();
  item.append(element("code", machine.machine_code), element("span", `${machine.machine_os_name}, ${bound}`));
  return item;
}

/** Put a code into both forms: the one that was checked is the one to bind. */
function setCode(code) {
  for (const form of [check, bind]) form.elements.machine_code.value = code;
}

function randomCode() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

signIn.addEventListener("submit", async (event) => {
  event.preventDefault();
  const credentials = Object.fromEntries(new FormData(signIn, event.submitter));
  const answer = await send(signIn, credentials);
  if (!answer?.access_token) return;
  token = answer.access_token;
  user = credentials.user_AegisSpeed_id;
  who.textContent = `Signed in as ${user}.`;
  const field = bind.elements.user_AegisSpeed_id;
  field.value = field.defaultValue = user;
  readMachines();
});

machines.addEventListener("submit", (event) => {
  event.preventDefault();
  readMachines();
});

next.addEventListener("click", () => readMachines(following));

check.addEventListener("submit", (event) => {
  event.preventDefault();
  send(check, { user_AegisSpeed_id: user, machine_code: check.elements.machine_code.value }, token);
});

bind.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send(bind, Object.fromEntries(new FormData(bind)), token);
  if (answer?.data?.errors) bind.querySelector("[aria-invalid=true]")?.focus();
  if (answer?.code === "10000") readMachines();
});

bind.addEventListener("reset", () => {
  setCode(bind.elements.machine_code.defaultValue);
  showErrors(bind, {});
});

for (const form of [check, bind]) {
  form.elements.machine_code.addEventListener("input", (event) => setCode(event.target.value));
  form.elements.random.addEventListener("click", () => setCode(randomCode()));
}
