/** The pages of the console: address, title, place in the navigation, and the file that is loaded when one goes there. */

import type { Component } from "svelte";
import type { Right } from "./lib/session.svelte";
import type { IconName } from "./components/icons";
import { strings } from "./strings";

export type Group = "work" | "tune" | "system" | "admin";

export interface Route {
  /** Beginning of the address; what follows it (/alerts/ID) is `place.rest`. */
  path: string;
  title: string;
  load: () => Promise<{ default: Component }>;
  /** Without it nobody gets to the page; the server asks again for each answer. */
  right?: Right;
  nav?: { group: Group; icon: IconName; key?: string };
  /** Whether the bar shows the time range. */
  ranged?: boolean;
  /** Shown without the frame, and without a login. */
  bare?: boolean;
}

const { nav } = strings;

export const ROUTES: Route[] = [
  { path: "/login", title: strings.login.title, load: () => import("./pages/Login.svelte"), bare: true },
  { path: "/setup", title: strings.setup.titleAdmin, load: () => import("./pages/Setup.svelte"), bare: true },
  {
    path: "/", title: nav.overview, load: () => import("./pages/Overview.svelte"), ranged: true,
    nav: { group: "work", icon: "overview", key: "o" },
  },
  {
    path: "/alerts", title: nav.alerts, load: () => import("./pages/Alerts.svelte"), right: "alerts:read", ranged: true,
    nav: { group: "work", icon: "alerts", key: "a" },
  },
  {
    path: "/search", title: nav.search, load: () => import("./pages/Search.svelte"), right: "events:read", ranged: true,
    nav: { group: "work", icon: "search", key: "s" },
  },
  {
    path: "/network", title: nav.network, load: () => import("./pages/Network.svelte"), right: "statistics:read", ranged: true,
    nav: { group: "work", icon: "network", key: "n" },
  },
  {
    path: "/hosts", title: nav.hosts, load: () => import("./pages/Hosts.svelte"), right: "hosts:read", ranged: true,
    nav: { group: "work", icon: "hosts", key: "h" },
  },
  {
    path: "/rules", title: nav.rules, load: () => import("./pages/Rules.svelte"), right: "rules:read",
    nav: { group: "tune", icon: "rules", key: "r" },
  },
  {
    path: "/attack", title: nav.attack, load: () => import("./pages/Attack.svelte"), right: "rules:read", ranged: true,
    nav: { group: "tune", icon: "attack", key: "t" },
  },
  {
    path: "/health", title: nav.health, load: () => import("./pages/Health.svelte"), right: "health:read",
    nav: { group: "system", icon: "health", key: "e" },
  },
  {
    path: "/users", title: nav.users, load: () => import("./pages/Users.svelte"), right: "users:manage",
    nav: { group: "admin", icon: "users", key: "u" },
  },
  {
    path: "/tokens", title: nav.tokens, load: () => import("./pages/Tokens.svelte"), right: "tokens:manage",
    nav: { group: "admin", icon: "tokens" },
  },
  {
    path: "/audit", title: nav.audit, load: () => import("./pages/Audit.svelte"), right: "audit:read",
    nav: { group: "admin", icon: "audit" }, ranged: true,
  },
  {
    path: "/settings", title: nav.settings, load: () => import("./pages/Settings.svelte"), right: "settings:read",
    nav: { group: "admin", icon: "settings" },
  },
  { path: "/account", title: nav.account, load: () => import("./pages/Account.svelte"), right: "account:own" },
  { path: "/gallery", title: nav.gallery, load: () => import("./pages/Gallery.svelte"), ranged: true },
];

/** The page of an address; undefined when there is none. */
export function routeOf(path: string): Route | undefined {
  return ROUTES.find((route) => path === route.path || (route.path !== "/" && path.startsWith(`${route.path}/`)));
}
