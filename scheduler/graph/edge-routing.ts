import type { RoutingClass } from '../placement/routing.ts';

/** Connections and bytes between the replicas of two workloads, as they were measured; bounded by who fills it. */
export interface ReplicaMatrix {
  readonly clients: readonly Replica[];
  readonly servers: readonly Replica[];
  /** From client i to server j at i * servers.length + j: connections opened, payload bytes both ways. */
  readonly connections: Float64Array;
  readonly bytes: Float64Array;
}

export interface Replica {
  readonly node: string;
  readonly zone: string | undefined;
}

/** Servers as they stand: by node and by zone, and all of them, at least 1. */
export interface Servers {
  readonly total: number;
  onNode(node: string): number;
  inZone(zone: string): number;
}

/** How the connections of an edge found their servers, and what says so. */
export interface EdgeRouting {
  readonly routing: RoutingClass;
  /** Connections that could tell. */
  readonly connections: number;
  /** Of these, the share that did what the class is called after: stayed, or for random, stayed on the node. */
  readonly share: number;
  /** What chance would have given. */
  readonly chance: number;
}

/** Below this many connections that could tell, nothing is said. */
const LEAST_CONNECTIONS = 30;
const LEAST_PER_CLIENT = 10;
/** kube-proxy keeps all within the domain; the rest are those that were open before a replica came. */
const MOST_STAY = 0.9;
/** Standard deviations beyond which chance is out of question, and within which it is as good as any explanation. */
const SURE_Z = 4;

/**
 * Tells from a replica matrix how connections find their servers: kube-proxy's random choice, local-first (same node, same zone),
 * or pinned (each client to one server that it once found, or was told). undefined: too few, or none of these. By a
 * test of the share that stays against what random choice among the servers would give (normal approximation of the binomial).
 */
export function classifyRouting(matrix: ReplicaMatrix, servers: Servers): EdgeRouting | undefined {
  if (servers.total < 2) return undefined;
  const onNode = stayShare(
    matrix,
    ({ node }) => node,
    (node) => servers.onNode(node),
    servers.total,
  );
  if (isLocal(onNode)) return found('same-node', onNode);
  const inZone = stayShare(
    matrix,
    ({ zone }) => zone,
    (zone) => servers.inZone(zone),
    servers.total,
  );
  if (isLocal(inZone)) return found('same-zone', inZone);
  const pinned = topShare(matrix, servers.total);
  if (pinned.connections >= LEAST_CONNECTIONS && pinned.share >= MOST_STAY) return found('pinned', pinned);
  const told = onNode.connections >= LEAST_CONNECTIONS ? onNode : inZone;
  const isChance = ({ connections, z }: StayShare): boolean => connections < LEAST_CONNECTIONS || Math.abs(z) < SURE_Z;
  if (told.connections < LEAST_CONNECTIONS || !isChance(onNode) || !isChance(inZone)) return undefined;
  return found('random', told);
}

function found(routing: RoutingClass, { connections, share, chance }: Omit<StayShare, 'z'>): EdgeRouting {
  return { routing, connections, share, chance };
}

interface StayShare {
  readonly connections: number;
  readonly share: number;
  readonly chance: number;
  /** Standard deviations above chance. */
  readonly z: number;
}

function isLocal({ connections, share, z }: StayShare): boolean {
  return connections >= LEAST_CONNECTIONS && share >= MOST_STAY && z >= SURE_Z;
}

/** Of the connections of clients that have some of the servers, and not all, in their domain: the share that stays there. */
function stayShare(
  { clients, servers, connections }: ReplicaMatrix,
  domainOf: (replica: Replica) => string | undefined,
  serversIn: (domain: string) => number,
  total: number,
): StayShare {
  let all = 0;
  let stayed = 0;
  let expected = 0;
  let variance = 0;
  for (const [i, client] of clients.entries()) {
    const domain = domainOf(client);
    if (domain === undefined) continue;
    const chance = Math.min(1, serversIn(domain) / total);
    if (chance === 0 || chance === 1) continue;
    for (const [j, server] of servers.entries()) {
      const count = connections[i * servers.length + j]!;
      all += count;
      if (domainOf(server) === domain) stayed += count;
      expected += count * chance;
      variance += count * chance * (1 - chance);
    }
  }
  return {
    connections: all,
    share: all === 0 ? 0 : stayed / all,
    chance: all === 0 ? 0 : expected / all,
    z: variance === 0 ? 0 : (stayed - expected) / Math.sqrt(variance),
  };
}

/** Of the connections of clients with enough of them: the share that went to each client's favourite. */
function topShare({ clients, servers, connections }: ReplicaMatrix, total: number): Omit<StayShare, 'z'> {
  let all = 0;
  let top = 0;
  for (let i = 0; i < clients.length; i++) {
    const own = connections.subarray(i * servers.length, (i + 1) * servers.length);
    const sum = own.reduce((a, b) => a + b, 0);
    if (sum < LEAST_PER_CLIENT) continue;
    all += sum;
    top += Math.max(...own);
  }
  return { connections: all, share: all === 0 ? 0 : top / all, chance: 1 / total };
}

/** Share of the bytes by node of the server. */
export function bytesByNode({ clients, servers, bytes }: ReplicaMatrix): Map<string, number> {
  const byNode = new Map<string, number>();
  let all = 0;
  for (let i = 0; i < clients.length; i++) {
    for (const [j, { node }] of servers.entries()) {
      const count = bytes[i * servers.length + j]!;
      all += count;
      if (count > 0) byNode.set(node, (byNode.get(node) ?? 0) + count);
    }
  }
  for (const [node, count] of byNode) byNode.set(node, count / all);
  return byNode;
}
