// The start of the dashboard: signs in, then shows the page that the address names.

import { replace, setTitle } from "./lib/dom.js";
import * as credential from "./lib/credential.js";
import * as prefs from "./lib/prefs.js";
import * as url from "./lib/url.js";
import "./components/shell.js";
import "./components/sign-in.js";
import "./pages/agent.js";
import "./pages/agents.js";
import "./pages/overview.js";
import "./pages/refused.js";
import "./pages/session.js";
import "./pages/sessions.js";

const root = document.getElementById("app");
let shell = null;

function signIn(how) {
  credential.forget();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  shell = null;
  setTitle("Sign in");
  const form = document.createElement("sl-sign-in");
  form.addEventListener("signed-in", show);
  replace(root, form);
  form.start(how);
}

function show() {
  shell = document.createElement("sl-shell");
  replace(root, shell);
  // A credential for audits alone begins where it may read.
  if (!location.hash && !credential.may("read") && credential.may("audit")) url.home("refused");
  shell.show(url.read());
}

addEventListener("hashchange", () => {
  // A link with a code that a person opens in this tab does not load the page again.
  const code = url.takeCode();
  if (code !== null) signIn({ code });
  else shell?.show(url.read());
});
addEventListener("sign-out", () => signIn());
addEventListener("credential-refused", ({ detail }) => signIn({ reason: detail.text }));

// The fragment names the page, so a plain link to `#main` would leave it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.querySelector("h1")?.focus();
});

prefs.apply();
// Before anything else: the code must not stay in the address.
signIn({ code: url.takeCode() });
