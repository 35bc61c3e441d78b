// Uses a one-time link: asks what it is for, and sends the chosen password. Text only ever becomes text.
"use strict";

const element = (id) => document.getElementById(id);
const say = (text) => { element("words").textContent = text; };
const link = location.hash.slice(1);
history.replaceState(null, "", location.pathname); // the secret is not to stay in the address

async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.detail || data.title);
  return data;
}

async function begin() {
  const state = await send("api/v1/setup/check", { link });
  if (state.purpose === "password") {
    element("name").value = state.name;
    element("name").readOnly = true;
  }
  say(state.purpose === "admin"
    ? `Choose the name and the password of the first admin: at least ${state.password_length} characters.`
    : `Choose your password: at least ${state.password_length} characters.`);
  element("form").hidden = false;
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = element("password").value;
  if (password !== element("again").value) return say("The passwords differ.");
  try {
    const done = await send("api/v1/setup", { link, password, name: element("name").value });
    element("form").hidden = true;
    element("next").hidden = false;
    say(`${done.name} can log in now.`);
  } catch (error) {
    say(error.message);
  }
});

begin().catch((error) => say(error.message));
