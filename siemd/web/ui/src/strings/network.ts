/** The English of the Network page. */

export const network = {
  title: "Network",
  tabs: { probes: "Probes", connections: "Connections", names: "Names", addresses: "Addresses" },
  whoProbed: "Who probed whom", probesByKind: "Probes by kind over time", probers: "Who probes most", probed: "Who is probed most", ports: "Ports that are probed",
  whoTalked: "Who talked to whom", connectionsOver: "Connections by state over time", talkers: "Top talkers", services: "Ports that are used", spoken: "Protocols that are spoken", countries: "Countries",
  sent: "Sent", received: "Received", connections: "Connections",
  country: "Country", addresses: "Addresses",
  kinds: "Facts by kind", newest: "Newest",
  address: "Address", kindOf: "Kind", first: "First seen", last: "Last seen", alerts: "Incidents", asSource: "As source", asTarget: "As destination",
  unknownCountry: "unknown", known: (address: string) => `What is known of ${address}`, close: "Close",
  neverSeen: "not in this range",
  addressKinds: {
    loopback: "loopback", link_local: "link-local", multicast: "multicast", unspecified: "unspecified", private: "private", reserved: "reserved", global: "public", "": "no address",
  } as Record<string, string>,
  emptyProbes: ["No probes in this range", "Who asks for ports and hosts that don't answer shows here. Enable sources.sniffer, and try it: scan this host with nmap from another one."] as [string, string],
  emptyConnections: ["No connections in this range", "Every connection that the sniffer sees end is a row here. Enable sources.sniffer; records of connections are kept for less long than the rest."] as [string, string],
  emptyNames: ["No names in this range", "DNS questions, TLS server names and HTTP requests show here as the sniffer sees them. Enable sources.sniffer."] as [string, string],
  emptyAddresses: ["No addresses in this range", "Every address that the sensor or a log names shows here with its country and kind. Enable sources.sniffer, or one that reads logs."] as [string, string],
};
