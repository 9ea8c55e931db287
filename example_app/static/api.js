// Shows the OpenAPI document in Swagger UI, and authorizes it with the token of a sign-in.

const viewer = document.getElementById("viewer");
const who = document.getElementById("who");
const { sign_in: signIn } = document.forms;

const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setTheme);
setTheme();

const ui = SwaggerUIBundle({
  domNode: viewer,
  url: viewer.dataset.document,
  defaultModelsExpandDepth: -1,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null, // the default sends the document to another server
});

signIn.addEventListener("submit", async (event) => {
  event.preventDefault();
  const user = event.submitter.value;
  const token = await fetchToken({ user_AegisSpeed_id: user, password: signIn.elements.password.value });
  if (token) ui.preauthorizeApiKey("token", token);
  who.textContent = token ? `Signed in as ${user}: its token is sent with each request.` : "The sign-in failed.";
});

async function fetchToken(credentials) {
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(signIn.action, { method: "POST", headers, body: JSON.stringify(credentials) });
    return (await answer.json()).access_token;
  } catch {
    return undefined;
  }
}
