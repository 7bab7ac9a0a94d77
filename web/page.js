// The operator's page: logs in, shows what waits and what runs, and asks again every two seconds while it is looked at.
//
// Everything that an agent or a server wrote is put on the page as text, never as markup. One half of the session is a
// cookie that this program cannot read; the other half is kept here, for this tab.

const POLL_MS = 2000;
const KEY = "csrf";

const byId = (id) => document.getElementById(id);
let shownServers = "";
let timer = 0;
// The one that a link named: it is shown first, and nothing more is done by opening a link.
let wantedApproval = null;

/** A refusal of the gateway, in its own words. */
class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `the gateway answered ${status}`);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { accept: "application/json", "x-csrf-token": sessionStorage.getItem(KEY) ?? "" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
  });
  const text = await answer.text();
  const json = text === "" ? null : JSON.parse(text);
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

function say(text) {
  if (byId("notice").textContent !== text) byId("notice").textContent = text;
}

/** An element with text, and never with markup. */
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Characters that hide or reorder others are written out as JSON writes them: the text means the same, and is seen. */
function visible(text) {
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]/g;
  return text.replace(hidden, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function show(isLoggedIn) {
  byId("login").hidden = isLoggedIn;
  byId("home").hidden = !isLoggedIn;
  byId("logout").hidden = !isLoggedIn;
}

async function login(code) {
  try {
    const session = await call("POST", "/login", { code });
    sessionStorage.setItem(KEY, session.csrf_token);
    say(`Logged in as ${session.operator}.`);
    show(true);
    await refresh();
  } catch (error) {
    show(false);
    say(error.message);
  }
}

async function logout() {
  try {
    await call("POST", "/logout");
  } catch (error) {
    if (error.status !== 401) return say(error.message);
  }
  sessionStorage.removeItem(KEY);
  show(false);
  say("Logged out.");
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden || sessionStorage.getItem(KEY) === null) return;
  try {
    const [approvals, servers] = await Promise.all([
      call("GET", "/approvals?status=pending&limit=200"),
      call("GET", "/servers?limit=200"),
    ]);
    renderApprovals(approvals.items);
    renderServers(servers.items);
    if (byId("notice").dataset.isFailure) {
      delete byId("notice").dataset.isFailure;
      say("");
    }
  } catch (error) {
    if (error.status === 401) {
      sessionStorage.removeItem(KEY);
      show(false);
      return say("The session has ended. Log in again.");
    }
    byId("notice").dataset.isFailure = "yes";
    say(error instanceof Refused ? error.message : "The gateway does not answer. Trying again.");
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, POLL_MS);
}

function renderServers(servers) {
  const seen = JSON.stringify(servers);
  if (seen === shownServers) return;
  shownServers = seen;
  byId("no-servers").hidden = servers.length > 0;
  byId("servers-table").hidden = servers.length === 0;
  const isFirst = byId("servers").children.length === 0;
  byId("servers").replaceChildren(...servers.map(serverRow));
  // Who comes back from a login is shown its server. The rows were not there when the browser looked for it.
  if (isFirst && location.hash.startsWith("#servers/")) byId(location.hash.slice(1))?.scrollIntoView();
}

function serverRow(server) {
  const row = element("tr");
  const name = element("th", server.name);
  name.scope = "row";
  const reached = element("td");
  reached.append(element("code", visible(server.base_url ?? [server.command, ...server.args].join(" "))));
  const endpoint = element("td");
  endpoint.append(element("code", server.endpoint_url));
  row.id = `servers/${server.name}`;
  const credentials = statusCell(server.credentials);
  if (["connect", "reconnect"].includes(server.credentials.action)) credentials.append(connectButton(server));
  row.append(name, element("td", server.mode), reached, statusCell(server.connection), credentials, endpoint);
  return row;
}

/** Leaves for the provider's login; the gateway's own page there leads back to this one. */
function connectButton(server) {
  const isAgain = server.credentials.action === "reconnect";
  const button = element("button", isAgain ? "Reconnect" : "Connect", "connect");
  button.type = "button";
  button.setAttribute("aria-label", `${button.textContent} ${server.name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(`Finding out where to log in for ${server.name}.`);
    try {
      const { authorize_url: url } = await call("POST", `/servers/${server.name}/connect`, {});
      if (!["https:", "http:"].includes(new URL(url).protocol)) throw new Error("The login is no web page.");
      location.assign(url);
    } catch (error) {
      button.disabled = false;
      say(error.message);
    }
  });
  return button;
}

function statusCell({ status, reason }) {
  const cell = element("td");
  cell.append(element("span", status.replaceAll("_", " "), `status ${status}`));
  if (reason) cell.append(element("p", visible(reason), "reason"));
  return cell;
}

/** Keeps what is there, so that nothing moves under a hand that is about to click. */
function renderApprovals(approvals) {
  const list = byId("approvals");
  const wanted = new Set(approvals.map((approval) => approval.id));
  for (const item of [...list.children]) {
    if (!wanted.has(item.dataset.id)) item.remove();
  }
  const present = new Set([...list.children].map((item) => item.dataset.id));
  for (const approval of approvals.toReversed()) {
    if (!present.has(approval.id)) list.append(approvalItem(approval));
  }
  for (const approval of approvals) {
    const item = [...list.children].find((item) => item.dataset.id === approval.id);
    const waits = item?.querySelector('[data-part="waits"]');
    const words = approval.left_at
      ? "The agent has left. Your answer is kept for when it makes the same call again."
      : "The agent is waiting.";
    if (waits && waits.textContent !== words) waits.textContent = words;
    if (approval.id === wantedApproval) {
      wantedApproval = null;
      item?.focus();
    }
  }
  byId("no-approvals").hidden = approvals.length > 0;
  document.title = approvals.length > 0 ? `(${approvals.length}) Atryum` : "Atryum";
}

function approvalItem(approval) {
  const item = element("li");
  item.dataset.id = approval.id;
  item.tabIndex = -1;
  const what = `${approval.server} · ${approval.tool ?? approval.method}`;
  item.append(element("h3", visible(what)));
  const until = new Date(approval.expires_at).toLocaleTimeString();
  item.append(element("p", visible(`${approval.agent} asks for ${approval.method}, until ${until}`)));
  const waits = element("p");
  waits.dataset.part = "waits";
  item.append(waits);
  const text = element("pre", visible(approval.arguments_text ?? "no arguments"));
  text.dir = "ltr";
  text.tabIndex = 0;
  text.setAttribute("aria-label", "Arguments");
  item.append(text);
  if (approval.other_params_text) {
    const others = element("pre", visible(approval.other_params_text));
    others.dir = "ltr";
    others.tabIndex = 0;
    others.setAttribute("aria-label", "What else is sent");
    item.append(others);
  }

  if (approval.definition_change) {
    item.append(element("p", "The server says by now that this tool is another one than it was."));
    const diff = element("pre", visible(approval.definition_change.diff ?? "What it is now is not known."));
    diff.dir = "ltr";
    diff.tabIndex = 0;
    diff.setAttribute("aria-label", "How the tool changed");
    item.append(diff);
  }

  const reason = element("input");
  reason.placeholder = "Reason, told to the model (optional)";
  reason.maxLength = 2000;
  reason.setAttribute("aria-label", `Reason for denying ${what}`);
  const approve = element("button", "Approve", "approve");
  const deny = element("button", "Deny", "deny");
  approve.type = deny.type = "button";
  const answer = async (verb, body) => {
    approve.disabled = deny.disabled = true;
    try {
      await call("POST", `/approvals/${approval.id}/${verb}`, body);
      item.remove();
    } catch (error) {
      approve.disabled = deny.disabled = false;
      say(error.message);
    }
    await refresh();
  };
  approve.addEventListener("click", () => answer("approve", { digest: approval.digest }));
  deny.addEventListener("click", () =>
    answer("deny", { digest: approval.digest, reason: reason.value.trim() === "" ? null : reason.value.trim() }),
  );
  const buttons = element("div", undefined, "answer");
  buttons.append(approve, deny, reason);
  item.append(buttons);
  return item;
}

/** The code of a link, whether the whole link was pasted or only its end. */
function codeIn(text) {
  return text.trim().split("#code=").pop();
}

byId("logout").addEventListener("click", logout);
byId("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("code");
  const code = codeIn(field.value);
  field.value = "";
  login(code);
});
document.addEventListener("visibilitychange", refresh);

// The code stands behind a #, which browsers neither send nor log; it also leaves the address bar and the history.
const code = location.hash.startsWith("#code=") ? codeIn(location.hash) : null;
if (location.hash.startsWith("#approval=")) wantedApproval = location.hash.split("=").pop();
if (code !== null) history.replaceState(null, "", "/ui/");
if (code !== null) {
  login(code);
} else if (sessionStorage.getItem(KEY) !== null) {
  show(true);
  refresh();
} else {
  show(false);
}
