/** Every English text of the console, by the part that shows it: one place to read, to mend and to translate. */

import type { Status, Level } from "./lib/levels";
import { admin } from "./strings/admin";
import { alerts } from "./strings/alerts";
import { rules } from "./strings/rules";
import { search } from "./strings/search";
import { hosts } from "./strings/hosts";
import { network } from "./strings/network";
import { overview } from "./strings/overview";

const levels: Record<Level, string> = {
  informational: "Info", low: "Low", medium: "Medium", high: "High", critical: "Critical",
};
const statuses: Record<Status, string> = {
  ok: "OK", starting: "Starting", degraded: "Degraded", failed: "Failed", stopped: "Stopped",
};

export const strings = {
  product: "siemd",
  admin,
  alerts,
  rules,
  search,
  levels,
  statuses,
  overview,
  network,
  hosts,
  common: {
    cancel: "Cancel", close: "Close", save: "Save", copy: "Copy", copied: "Copied", retry: "Try again", loading: "Loading…",
    more: "Show all", less: "Show less", include: "Show only this value", exclude: "Hide this value", none: "–",
    name: "Name", password: "Password", code: "Code", back: "Back", undo: "Undo",
    failed: "This could not be loaded", requestId: (id: string) => `Request ${id}`, valueMenu: "What to do with this value",
    cut: (shown: string, all: string) => `${shown} of ${all} characters`, copyValue: "Copy the value", findValue: "Find its rows",
    noRows: "Nothing found", rows: (n: string, more: boolean) => `${n}${more ? "+" : ""} ${n === "1" && !more ? "row" : "rows"}`, table: "Show as a table",
    chart: "Show as a chart", time: "Time",
  },
  shell: {
    skip: "Skip to the page", nav: "Pages", menu: "Menu", account: "Account", logout: "Log out", help: "Keyboard shortcuts",
    live: {
      idle: "Not live", connecting: "Connecting…", open: "Live", waiting: "Reconnecting…", refused: "Too many live pages",
    },
    away: "siemd does not answer. What is shown is from before; it goes on by itself when siemd is back.",
    storeAway: "The store does not answer; what is stored meanwhile will follow", skipped: (n: string) => `${n} events not shown live`,
    notYours: "Your role does not open this page", notYoursText: (role: string) =>
      `You are logged in as ${role}. Ask an admin for another role if you need it.`,
    notFound: "There is no such page", notFoundText: "The address may be mistyped, or from another version of siemd.",
    toOverview: "Go to the overview",
  },
  nav: {
    overview: "Overview", alerts: "Alerts", search: "Search", network: "Network", hosts: "Hosts", rules: "Rules",
    attack: "ATT&CK", health: "Health", admin: "Admin", users: "Users", tokens: "Tokens", audit: "Audit log",
    settings: "Settings", account: "Your account", gallery: "Components", work: "Watch", tune: "Tune", system: "System",
  },
  time: {
    range: "Time range", refresh: "Refresh", refreshNow: "Refresh now", from: "From", to: "To", apply: "Apply", earlier: "Earlier",
    later: "Later", zoomOut: "Zoom out", relative: "Last", absolute: "From – to", zone: (zone: string) => `Times in ${zone}`,
    wrong: "From must be before To", local: "your time",
    presets: {
      "-5m": "5 minutes", "-15m": "15 minutes", "-1h": "1 hour", "-6h": "6 hours", "-24h": "24 hours", "-7d": "7 days",
      "-30d": "30 days", "-90d": "90 days",
    } as Record<string, string>,
    refreshes: { off: "Off", live: "Live", "5s": "5 s", "15s": "15 s", "1m": "1 min", "5m": "5 min" } as Record<string, string>,
    last: (what: string) => `Last ${what}`,
  },
  filters: {
    label: "Filters", words: "Search words", placeholder: "Words, or field:value", offers: "What could follow", remove: (what: string) => `Remove the filter ${what}`,
    clear: "Clear all", turn: "Turn into its opposite",
    unused: { unread: "is no filter", tooMany: "is one filter too many" },
    operators: {
      eq: "is", ne: "is not", in: "is one of", not_in: "is none of", prefix: "begins with", contains: "contains", gt: ">",
      gte: "≥", lt: "<", lte: "≤", cidr: "in network", exists: "exists",
    },
  },
  shortcuts: {
    title: "Keyboard shortcuts", help: "This list", goto: (page: string) => `Go to ${page}`, refresh: "Refresh", search: "Search words",
    then: "then",
  },
  login: {
    title: "Log in", submit: "Log in", ended: "Your session is over. Log in to go on where you were.",
    code: "Code of your authenticator, or a recovery code", codeHint: "Six digits, or one of the codes you kept.",
    noAccount: "No account yet? The first start of siemd prints a one-time link; an admin can make others.", oidc: "Log in with your identity provider",
    wrongCode: "This code is not right, or was used already.", or: "or",
    failed: {
      "oidc-again": "That login was not begun in this browser, or took too long. Begin again.",
      "oidc-refused": "Your identity provider did not let you in.",
      "oidc-no-group": "None of your groups at the identity provider may enter siemd. Ask an admin: web.oidc.roles in siemd.yaml says which may.",
      "oidc-account-off": "Your account is switched off. Ask an admin.",
      "oidc-provider": "The identity provider does not answer as it should. Try again; siemd's log says more.",
      "oidc-name": "Your name at the identity provider can't be one here, or is that of another account. Ask an admin.",
    } as Record<string, string>,
    failedOtherwise: "The login by your identity provider failed. Try again; siemd's log says more.",
  },
  setup: {
    titleAdmin: "Make the first account", titlePassword: "Choose your password", titleFactor: "A second factor", titleCodes: "Recovery codes",
    intro: "This account will manage siemd: users, rules and settings.", welcome: (name: string) => `Welcome, ${name}.`,
    again: "Password, once more", least: (n: number) => `At least ${n} characters. A few unrelated words are easy to keep.`,
    differ: "The two passwords differ.", submit: "Go on", noLink: "This page needs the whole one-time link",
    noLinkText: "Open it as siemd printed it, with everything after the #.", void: "This link is not good any more",
    factorText: "Scan this with an authenticator on your phone. Whoever learns your password still can't log in.",
    secret: "Or type this secret into it", factorCode: "The code it shows now", confirm: "Take it into use", skip: "Not now",
    codesText: "Each of these lets you in once, when the phone is lost. They are shown only now.", codesKept: "I have kept them",
    download: "Save as a file", qr: "QR code with the secret of the second factor", steps: (n: number, of: number) => `Step ${n} of ${of}`,
    toLogin: "To the login",
  },
  stepUp: {
    title: "Your password, please", text: "This change is sensitive, and you gave your password a while ago.", submit: "Go on",
    code: "Code of the second factor, if you have one",
  },
  health: {
    title: "Health", running: "siemd is running", stopped: "siemd is not running here", never: "No siemd has run on this data directory yet",
    stoppedText: "What is shown is the last it said. Start it with “siemd run”.",
    allWell: "Everything is well", trouble: (n: number) => (n === 1 ? "1 component needs attention" : `${n} components need attention`),
    since: "Since", component: "Component", status: "Status", received: "Received", sent: "Sent", dropped: "Dropped", errors: "Errors",
    lag: "Lag", uptime: "Up for", version: "Version", host: "Host", store: "Store", details: "Counters",
    channels: "Queues", channel: "Queue", fill: "Filled", refused: "Refused", passed: "Passed", ledger: "Ledger",
    ledgerText: "Every run of every source: what it produced is stored, dropped or rejected; what is missing is a gap.",
    source: "Source", run: "Run", produced: "Produced", stored: "Stored", rejected: "Rejected", missing: "Missing", updated: "Updated",
    onlyStatus: "Counters and paths are shown to admins.", paths: "Files", written: (ago: string) => `as of ${ago}`, components: "Components",
    emptyLedger: "No source has stored anything yet", emptyLedgerText: "The ledger fills as soon as a source runs. See `sources` in siemd.yaml.",
    gap: (n: string) => `${n} events missing`, lost: (n: string) => `${n} dropped`,
  },
};
