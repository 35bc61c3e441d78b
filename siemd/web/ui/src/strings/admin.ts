/** What the pages of accounts, tokens, the audit log and settings say. */

export const admin = {
  roles: { viewer: "Viewer", analyst: "Analyst", admin: "Admin" } as Record<string, string>,
  roleText: {
    viewer: "Looks at everything but what only admins see", analyst: "Works on alerts, tries rules, hides what is known",
    admin: "Does all of it, and manages accounts and rules",
  } as Record<string, string>,
  you: "you", never: "never", done: "Done", cancel: "Cancel", role: "Role", name: "Name", state: "State", created: "Made", actions: "Actions",
  users: {
    add: "Add a user", lastLogin: "Last login", factor: "Second factor", on: "on", off: "off", disabled: "Switched off", active: "Active",
    noPassword: "No password yet", provider: "Identity provider", change: "Change", makeRole: (role: string) => `Make ${role.toLowerCase()}`,
    disable: "Switch off", enable: "Switch on", link: "Link for a new password", endSessions: "End all sessions", dropFactor: "Take the second factor away",
    linkTitle: "A one-time link", linkText: (name: string) =>
      `Hand this to ${name}, on a way that others can't read. Whoever opens it chooses the password. It is shown only now.`,
    done: "Done", sure: (what: string, name: string) => `${what}: ${name}?`, sureText: "The user's sessions end at once.",
    only: "Only you have an account", filter: "Find a user", none: "No user is called that",
  },
  tokens: {
    intro: "Programs ask the API with a token. A token may do a part of what its owner may, and nothing once it has expired.",
    make: "Make a token", owner: "Owner", scopes: "May", expires: "Expires", lastUsed: "Last used", revoke: "Revoke", expired: "expired",
    what: "What it is for", whatHint: "Such as “Grafana”: it stands in the audit log.", days: "Days that it lives", madeTitle: "The token",
    madeText: "Copy it now. It is shown only once; siemd keeps a hash of it.", sure: (name: string) => `Revoke ${name}?`,
    sureText: "Whatever uses it is refused at once.", noneTitle: "No tokens", noneText: "Make one for each program that asks the API, in “Your account”.",
    choose: "Choose at least one right", from: (address: string) => `from ${address}`,
  },
  audit: {
    actor: "Who", action: "What", target: "On", detail: "Detail", address: "From", number: "No.", entry: (n: string) => `Entry ${n}`, hash: "Hash", verify: "Check the chain", verified: (rows: string) =>
      `All ${rows} rows are as they were written`, broken: (row: string) => `Row ${row} was changed, or rows before it are missing`,
    actorHint: "Any name", actionHint: "Such as user. or rule.tuned", noneTitle: "Nothing was done in this time", noneText:
      "Logins, changes of rules, users and alerts stand here, each chained to the one before it. Choose a longer time.",
  },
  settings: {
    everybody: "Kept by the console", intro: "What the console keeps for everybody.",
    store: "What the store holds", storeText: "What is older than its table keeps goes within the hour.", size: (size: string) => `${size} in all`,
    table: "Table", usage: "Use of processor, memory and disk", kept: "Kept", rows: "Rows", oldest: "Oldest row", forever: "for ever",
    days: (days: number) => (days === 1 ? "1 day" : `${Number.isInteger(days) ? days : days.toFixed(1)} days`),
    keys: "Set in siemd.yaml", key: "Key", default: "Default", changeIn: "Settings are changed on the host, not here: in", noFile: "No siemd.yaml is in use. To change a key, write it on the host into",
    restart: "Then “siemd check” says whether it is right, and a restart of siemd takes it. Secrets are not shown, nor what they stand in: storage.url, notify, web.oidc.",
    allDefault: "Every key has its default.", allKeys: (n: number) => `Show all ${n} keys`, onlyChanged: "Show only what is changed",
    noneTitle: "No settings yet", noneText: "What is set for everybody, such as the view that the overview begins with, will stand here.",
    changed: "Changed", by: (name: string) => `by ${name}`, remove: "Remove", value: "Value", sure: (name: string) => `Remove ${name}?`,
    sureText: "The console goes back to what it does by itself.", about: "This siemd",
    views: "Saved views", viewsText: "Views that you saved, and those that others share.", shared: "shared", own: "yours", page: "Page", noViews: "No views are saved yet",
  },
  account: {
    password: "Password", current: "Password now", next: "New password", again: "New password, once more", change: "Change the password",
    changed: "The password is changed; your other sessions have ended", differ: "The two passwords differ.", code: "Code of the second factor, if you have one",
    factor: "Second factor", factorOn: (codes: number) => (codes === 1 ? "On; 1 recovery code is left" : `On; ${codes} recovery codes are left`),
    factorOff: "Off. A password alone lets whoever learns it in.", enrol: "Set up an authenticator", renew: "New recovery codes", drop: "Take it away",
    dropSure: "Take your second factor away?", dropText: "Your password alone lets you in then.", scan: "Scan this with an authenticator, or type the secret into it.",
    secret: "Secret", confirm: "Take it into use", factorCode: "The code it shows now", codes: "Recovery codes",
    codesText: "Each lets you in once, when the phone is lost. They are shown only now.", kept: "I have kept them",
    sessions: "Sessions", sessionsText: "Where you are logged in.", this: "this one", end: "End", endOthers: "End all others", ended: "Ended",
    lastUsed: "Last used", since: "Since", address: "Address", agent: "Browser", tokens: "API tokens", youAre: (name: string, role: string) => `${name} · ${role}`,
  },
};
