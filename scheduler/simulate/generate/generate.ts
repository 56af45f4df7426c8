import { NetloomError } from '../../../lib/errors.ts';
import { shuffle } from '../../../lib/shuffle.ts';
import type { ClusterRecord, Resources, WorkloadRef } from '../../cluster/model.ts';
import { plainController, plainPod } from '../../cluster/plain-records.ts';
import type { TrafficRow } from '../../cluster/traffic.ts';
import { randomOf, seedWords, type Random } from '../random.ts';
import { drawHistogram, interpolate } from './draw.ts';
import { CPU_REQUEST, GIB_PER_CORE, NODE_CORES, REPLICAS, TALKING, TALKING_ALL } from './m3-statistics.ts';
import { drawLinks, drawTraffic, type GeneratedPair } from './pairs.ts';
import { spreadPods } from './spread-pods.ts';

/** What a made-up cluster is like. The defaults are those of M3 (scheduler.md §6.3). */
export interface GenerateOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Pods a node, without those of DaemonSets. */
  readonly podsPerNode: number;
  /** Share of all CPU, and memory, that pods ask for. */
  readonly cpu: number;
  readonly memory: number;
  /** Zones of one region; 0: no node has one. */
  readonly zones: number;
  readonly daemonSets: number;
  /** Share of services that talk with others. */
  readonly talking: number;
  /** Share of these in one large group; the others are in small ones. */
  readonly giant: number;
  /** Stretches the number of peers. */
  readonly degrees: number;
  /** Exponents of replicas and traffic: below 1 more even, above more uneven. */
  readonly replicaSkew: number;
  readonly trafficSkew: number;
  /** Traffic with the outside, as a share of all. */
  readonly external: number;
  /** All traffic, bytes per second for each node. */
  readonly bytesPerSecondPerNode: number;
}

export const GENERATE_DEFAULTS: GenerateOptions = {
  nodes: 96,
  seed: 0,
  podsPerNode: 36.3,
  cpu: 0.88,
  memory: 0.3,
  zones: 3,
  daemonSets: 1,
  talking: TALKING_ALL,
  giant: 0.85,
  degrees: 1,
  replicaSkew: 1,
  trafficSkew: 1,
  external: 0.1,
  bytesPerSecondPerNode: 5_000_000,
};

/** Bounds of each option: [least, most]. */
export const GENERATE_BOUNDS: Readonly<Record<keyof GenerateOptions, readonly [number, number]>> = {
  nodes: [1, 5_000],
  seed: [0, 1e9],
  podsPerNode: [1, 100],
  cpu: [0.01, 0.95],
  memory: [0.01, 0.95],
  zones: [0, 100],
  daemonSets: [0, 10],
  talking: [0, 1],
  giant: [0, 1],
  degrees: [0.1, 10],
  replicaSkew: [0, 2],
  trafficSkew: [0, 3],
  external: [0, 0.9],
  bytesPerSecondPerNode: [0, 1e10],
};

export interface GeneratedCluster {
  readonly records: readonly ClusterRecord[];
  readonly traffic: readonly TrafficRow[];
}

/** How strongly heavy pairs gather at few services, so that the top 10 services carry 60 % as in M3. */
const GATHERING = 0.05;
const DAEMON_REQUESTS: Resources = { milliCpu: 100, memoryBytes: 128 * 2 ** 20, pods: 1 };
const SERVICES_PER_NAMESPACE = 20;
const MAX_PODS = 110;
/** Hubs (many peers) are called rather than call: chance that the end with more peers is the server. */
const HUB_IS_SERVER = 0.7;
/** Shares of M3's second, third, ... group among those that are not in the first. */
const SMALL_GROUPS = [2, 3, 5, 16];

interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly kind: 'Deployment' | 'StatefulSet';
  readonly replicas: number;
  readonly requests: Resources;
}

/**
 * A cluster like M3 of any size, placed as a scheduler that spreads would have placed it. The same options give the
 * same cluster.
 * @throws NetloomError CONFIG_INVALID
 */
export function generateCluster(given: Partial<GenerateOptions>): GeneratedCluster {
  const options = checked({ ...GENERATE_DEFAULTS, ...given });
  const random = randomOf(seedWords(options.seed), 2);
  const nodes = drawNodes(options, random);
  const services = drawServices(options, nodes, random);
  const pairs = drawPairs(options, services, random);
  return {
    records: [
      ...nodes.map(nodeRecord),
      ...daemonSetRecords(options, nodes),
      ...serviceRecords(services, nodes, options, random),
    ],
    traffic: trafficRows(options, services, pairs, random),
  };
}

function checked(options: GenerateOptions): GenerateOptions {
  for (const [key, [least, most]] of Object.entries(GENERATE_BOUNDS)) {
    const value = options[key as keyof GenerateOptions];
    const whole = key === 'nodes' || key === 'seed' || key === 'zones' || key === 'daemonSets';
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) continue;
    throw new NetloomError('CONFIG_INVALID', 'a cluster like this cannot be generated', {
      place: key,
      expected: `a ${whole ? 'whole number' : 'number'}, ${String(least)} to ${String(most)}`,
      found: String(value),
    });
  }
  return options;
}

interface GeneratedNode {
  readonly name: string;
  readonly zone: string | undefined;
  readonly milliCpu: number;
  readonly memoryBytes: number;
}

function drawNodes(options: GenerateOptions, random: Random): GeneratedNode[] {
  return drawHistogram(NODE_CORES, options.nodes, random).map((cores, n) => ({
    name: `node-${String(n).padStart(4, '0')}`,
    zone: options.zones === 0 ? undefined : `zone-${String(n % options.zones)}`,
    milliCpu: cores * 1000,
    memoryBytes: cores * GIB_PER_CORE * 2 ** 30,
  }));
}

function drawServices(options: GenerateOptions, nodes: readonly GeneratedNode[], random: Random): Service[] {
  const podCount = Math.max(1, Math.round(options.nodes * options.podsPerNode));
  const skewed = REPLICAS.map(([replicas, n]): [number, number] => [
    Math.max(1, Math.round(replicas ** options.replicaSkew)),
    n,
  ]);
  const mean = skewed.reduce((sum, [replicas, n]) => sum + replicas * n, 0) / 547;
  const count = Math.max(1, Math.round(podCount / mean));
  const replicas = drawHistogram(skewed, count, random);
  const places = Float64Array.from({ length: count }, (_, i) => (i + random.unit()) / count);
  shuffle(places, random);
  const cpu = Array.from(places, (place) => interpolate(CPU_REQUEST, place));
  // Memory goes with CPU, loosely.
  const memory = cpu.map((share) => share * Math.exp(0.6 * normal(random)));
  const ofDaemons = options.daemonSets * options.nodes;
  const capacity = (pick: (node: GeneratedNode) => number): number => nodes.reduce((sum, node) => sum + pick(node), 0);
  const factor = (shares: readonly number[], amount: number): number =>
    Math.max(0, amount) / shares.reduce((sum, share, s) => sum + share * replicas[s]!, 0);
  const milliCpuOf = factor(
    cpu,
    options.cpu * capacity((node) => node.milliCpu) - ofDaemons * DAEMON_REQUESTS.milliCpu,
  );
  const memoryOf = factor(
    memory,
    options.memory * capacity((node) => node.memoryBytes) - ofDaemons * DAEMON_REQUESTS.memoryBytes,
  );
  return replicas.map((replicaCount, s) => ({
    name: `service-${String(s)}`,
    namespace: `team-${String(Math.floor(s / SERVICES_PER_NAMESPACE))}`,
    kind: random.unit() < 0.15 ? 'StatefulSet' : 'Deployment',
    replicas: replicaCount,
    requests: {
      milliCpu: Math.max(1, Math.floor(cpu[s]! * milliCpuOf)),
      memoryBytes: Math.max(1, Math.floor((memory[s]! * memoryOf) / 2 ** 20)) * 2 ** 20,
      pods: 1,
    },
  }));
}

function drawPairs(options: GenerateOptions, services: readonly Service[], random: Random): GeneratedPair[] {
  const talkers = drawTalkers(options, services, random);
  const groups = drawGroups(talkers, options.giant, random);
  const links = drawLinks(groups, options.degrees, random);
  return drawTraffic(links, services.length, options.trafficSkew, GATHERING, random);
}

/** Systematic sampling along the services by replicas: as many talk, with as many pods, as the shares say. */
function drawTalkers(options: GenerateOptions, services: readonly Service[], random: Random): number[] {
  const byReplicas = services.map((_, s) => s);
  shuffle(byReplicas, random);
  byReplicas.sort((x, y) => services[x]!.replicas - services[y]!.replicas);
  const talkers: number[] = [];
  let sum = 0.5;
  for (const s of byReplicas) {
    const share = TALKING.find(([upTo]) => services[s]!.replicas <= upTo)![1];
    sum += Math.min(1, (share * options.talking) / TALKING_ALL);
    if (sum < 1) continue;
    sum -= 1;
    talkers.push(s);
  }
  shuffle(talkers, random);
  return talkers;
}

/** One large group, and small ones of 2 to 16; a service that would be alone joins the one before. */
function drawGroups(talkers: readonly number[], giant: number, random: Random): number[][] {
  if (talkers.length < 2) return [];
  const first = Math.max(giant > 0 ? 2 : 0, Math.round(giant * talkers.length));
  const groups = first > 0 ? [talkers.slice(0, first)] : [];
  for (let at = first; at < talkers.length;) {
    const size = SMALL_GROUPS[random.below(SMALL_GROUPS.length)]!;
    const group = talkers.slice(at, at + size);
    at += size;
    if (group.length === 1 && groups.length > 0) groups.at(-1)!.push(group[0]!);
    else groups.push(group);
  }
  return groups.filter((group) => group.length > 1);
}

function trafficRows(
  options: GenerateOptions,
  services: readonly Service[],
  pairs: readonly GeneratedPair[],
  random: Random,
): TrafficRow[] {
  const total = options.bytesPerSecondPerNode * options.nodes;
  const peers = new Int32Array(services.length);
  for (const { a, b } of pairs) {
    peers[a]!++;
    peers[b]!++;
  }
  const rows: TrafficRow[] = [];
  const row = (client: WorkloadRef, peer: WorkloadRef, bytesPerSecond: number): void => {
    const out = 0.05 + 0.45 * random.unit();
    rows.push({
      line: rows.length + 2,
      client,
      peer,
      bytesPerSecondOut: bytesPerSecond * out,
      bytesPerSecondIn: bytesPerSecond * (1 - out),
    });
  };
  for (const { a, b, share } of pairs) {
    const hub = peers[a]! > peers[b]! ? a : b;
    const server = random.unit() < HUB_IS_SERVER ? hub : hub === a ? b : a;
    row(refOf(services[server === a ? b : a]!), refOf(services[server]!), share * total * (1 - options.external));
  }
  // Entry services by Zipf's law: the first of them have most of what comes from outside.
  const entries = Math.max(1, Math.round(services.length * 0.05));
  const harmonic = Array.from({ length: entries }, (_, i) => 1 / (i + 1)).reduce((sum, share) => sum + share, 0);
  const outside: WorkloadRef = { namespace: '', kind: 'External', name: '0.0.0.0/0' };
  const chosen = services.map((_, s) => s);
  shuffle(chosen, random);
  for (let i = 0; i < entries && options.external > 0; i++) {
    row(outside, refOf(services[chosen[i]!]!), (total * options.external) / (i + 1) / harmonic);
  }
  return rows;
}

function refOf({ namespace, kind, name }: Service): WorkloadRef {
  return { namespace, kind, name };
}

function nodeRecord(node: GeneratedNode): ClusterRecord {
  return {
    type: 'node',
    name: node.name,
    uid: `Node/${node.name}`,
    addresses: [],
    podCidrs: [],
    zone: node.zone,
    region: node.zone === undefined ? undefined : 'region',
    allocatable: { milliCpu: node.milliCpu, memoryBytes: node.memoryBytes, pods: MAX_PODS },
  };
}

function daemonSetRecords(options: GenerateOptions, nodes: readonly GeneratedNode[]): ClusterRecord[] {
  return Array.from({ length: options.daemonSets }, (_, d) => `daemon-${String(d)}`).flatMap((name) => [
    plainController('DaemonSet', 'kube-system', name, nodes.length),
    ...nodes.map((node) =>
      plainPod('kube-system', `${name}-${node.name}`, node.name, { kind: 'DaemonSet', name, uid: '' }, DAEMON_REQUESTS),
    ),
  ]);
}

function serviceRecords(
  services: readonly Service[],
  nodes: readonly GeneratedNode[],
  options: GenerateOptions,
  random: Random,
): ClusterRecord[] {
  const room = nodes.map((node) => ({
    milliCpu: node.milliCpu - options.daemonSets * DAEMON_REQUESTS.milliCpu,
    memoryBytes: node.memoryBytes - options.daemonSets * DAEMON_REQUESTS.memoryBytes,
    pods: MAX_PODS - options.daemonSets,
  }));
  const nodesOf = spreadPods(services, room, random);
  return services.flatMap((service, s) => {
    const { namespace, kind, name, replicas, requests } = service;
    const set = kind === 'StatefulSet' ? name : `${name}-5d4f8c7b9`;
    const owner = { kind: kind === 'StatefulSet' ? 'StatefulSet' : 'ReplicaSet', name: set, uid: '' };
    const records: ClusterRecord[] = [plainController(kind, namespace, name, replicas)];
    if (kind === 'Deployment') {
      records.push({ ...plainController('ReplicaSet', namespace, set, replicas), owner: { kind, name, uid: '' } });
    }
    for (let i = 0; i < replicas; i++) {
      const n = nodesOf[s]![i]!;
      records.push(plainPod(namespace, `${set}-${String(i)}`, nodes[n]?.name, owner, requests));
    }
    return records;
  });
}

/** Box-Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}
