import { NetloomError } from '../lib/errors.ts';
import { parseMilliQuantity, parseQuantity } from '../lib/quantity.ts';
import { Reader } from './scenario-reader.ts';

/** A cluster to build and the traffic in it, ready for use: defaults filled in, scales applied. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  /** Kubernetes namespace of everything in it. */
  readonly namespace: string;
  readonly nodes: readonly ScenarioNode[];
  readonly workloads: readonly ScenarioWorkload[];
  readonly edges: readonly ScenarioEdge[];
}

export interface ScenarioNode {
  readonly name: string;
  readonly zone: string;
  readonly region: string;
  /** Kubernetes quantities of what pods may use. */
  readonly cpu: string;
  readonly memory: string;
}

/** A Deployment, with its Service if it serves. */
export interface ScenarioWorkload {
  readonly name: string;
  readonly image: string;
  /** Requests of one pod, Kubernetes quantities. */
  readonly cpu: string;
  readonly memory: string;
  /** One node name a replica: where it runs at the start. */
  readonly placement: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly service: ScenarioService | undefined;
  /** What its pods ask for by their annotations. */
  readonly bandwidth?: Bandwidth;
}

/** Values of kubernetes.io/egress-bandwidth and ingress-bandwidth, as people write them; absent: no annotation. */
export interface Bandwidth {
  readonly egress?: string;
  readonly ingress?: string;
}

export interface ScenarioService {
  /** undefined: the lab picks one. */
  readonly clusterIP: string | undefined;
  readonly portName: string;
  readonly port: number;
  readonly targetPort: number;
}

/**
 * keep-alive: requests over standing connections; short: one connection a request; bulk: standing connections whose
 * next request follows at once (at `requestsPerSecond` 0, as fast as it goes).
 */
export type TrafficMode = 'keep-alive' | 'short' | 'bulk';

/** Who ends a short connection, and how. */
export type ShortClose = 'client' | 'server' | 'reset';

export interface ScenarioEdge {
  readonly client: string;
  readonly server: string;
  readonly mode: TrafficMode;
  /** Of all replicas of the client together. */
  readonly requestsPerSecond: number;
  /** Payload, exact. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Standing connections of one client pod; in short mode the most at a time. */
  readonly connections: number;
  /** Mean age at which a standing connection is renewed, so that kube-proxy deals it out again; 0: never. */
  readonly redialMs: number;
  readonly close: ShortClose;
}

/** Bounds of what one machine carries; far above what a demonstration needs. */
export const LIMITS = {
  nodes: 32,
  pods: 400,
  edges: 1000,
  /** lab/traffic/pod.c: MAX_EDGES, MAX_CONNECTIONS, HEADER. */
  edgesPerClient: 64,
  connections: 1024,
  minRequestBytes: 16,
  maxMessageBytes: 256 * 1024 * 1024,
} as const;

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/;
const IPV4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const MODES: readonly TrafficMode[] = ['keep-alive', 'short', 'bulk'];
const CLOSES: readonly ShortClose[] = ['client', 'server', 'reset'];

/** Parses and checks the text of a scenario file; `place` names it in errors. Throws LAB_SCENARIO_INVALID. */
export function parseScenario(text: string, place: string): Scenario {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new NetloomError('LAB_SCENARIO_INVALID', 'the scenario is not JSON', {
      place,
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  const top = new Reader(place, '', value).object([
    'netloomScenario',
    'name',
    'description',
    'namespace',
    'byteScale',
    'requestScale',
    'redialMs',
    'nodes',
    'workloads',
    'edges',
  ]);
  const version = top.get('netloomScenario');
  if (version.value !== 1) version.fail('version 1 of the format', JSON.stringify(version.value));
  const byteScale = top.get('byteScale').number(0.001, 10_000, 1);
  const requestScale = top.get('requestScale').number(0.0001, 10_000, 1);
  const redialMs = top.get('redialMs').integer(0, 86_400_000, 0);

  const nodes = top.get('nodes').array(1, LIMITS.nodes).map(readNode);
  unique(
    nodes.map((n) => n.name),
    top.get('nodes'),
    'node',
  );
  const nodeNames = nodes.map((n) => n.name);
  const workloads = top
    .get('workloads')
    .array(1, LIMITS.pods)
    .map((r) => readWorkload(r, nodeNames));
  unique(
    workloads.map((w) => w.name),
    top.get('workloads'),
    'workload',
  );
  unique(
    workloads.flatMap((w) => w.service?.clusterIP ?? []),
    top.get('workloads'),
    'clusterIP',
  );
  const pods = workloads.reduce((sum, w) => sum + w.placement.length, 0);
  if (pods > LIMITS.pods) top.get('workloads').fail(`at most ${LIMITS.pods} replicas in all`, String(pods));

  const edges = top
    .get('edges')
    .array(0, LIMITS.edges)
    .map((r) => readEdge(r, workloads, { byteScale, requestScale, redialMs }));
  for (const w of workloads) {
    const n = edges.filter((e) => e.client === w.name).length;
    if (n > LIMITS.edgesPerClient) {
      top.get('edges').fail(`at most ${LIMITS.edgesPerClient} edges of one client`, `${n} of ${w.name}`);
    }
  }
  return {
    name: top.get('name').text(DNS_LABEL, 'a DNS label', 'scenario'),
    description: top.get('description').text(/^[^\n]*$/, 'one line', ''),
    namespace: top.get('namespace').text(DNS_LABEL, 'a DNS label', 'default'),
    nodes,
    workloads,
    edges,
  };
}

function readNode(r: Reader): ScenarioNode {
  const o = r.object(['name', 'zone', 'region', 'cpu', 'memory']);
  return {
    name: o.get('name').text(DNS_LABEL, 'a DNS label of at most 40 characters'),
    zone: o.get('zone').text(DNS_LABEL, 'a DNS label', 'zone-0'),
    region: o.get('region').text(DNS_LABEL, 'a DNS label', 'region-0'),
    cpu: quantity(o.get('cpu'), '4', parseMilliQuantity),
    memory: quantity(o.get('memory'), '16Gi', parseQuantity),
  };
}

function readWorkload(r: Reader, nodeNames: readonly string[]): ScenarioWorkload {
  const o = r.object(['name', 'image', 'cpu', 'memory', 'placement', 'replicas', 'env', 'service', 'bandwidth']);
  const name = o.get('name').text(DNS_LABEL, 'a DNS label of at most 40 characters');
  let placement: string[];
  if (o.has('placement')) {
    if (o.has('replicas')) o.get('replicas').fail('either `placement` or `replicas`', 'both');
    placement = o
      .get('placement')
      .array(0, LIMITS.pods)
      .map((p) => p.oneOf(nodeNames));
  } else {
    const replicas = o.get('replicas').integer(0, LIMITS.pods, 1);
    placement = Array.from({ length: replicas }, (_, i) => nodeNames[i % nodeNames.length]!);
  }
  let service: ScenarioService | undefined;
  if (o.has('service')) {
    const s = o.get('service').object(['clusterIP', 'portName', 'port', 'targetPort']);
    const port = s.get('port').integer(1, 65_535);
    const clusterIP = s.has('clusterIP') ? s.get('clusterIP').text(IPV4, 'an IPv4 address') : undefined;
    if (clusterIP !== undefined && !inServiceRange(clusterIP)) {
      s.get('clusterIP').fail('an address in 10.96.0.0/12', clusterIP);
    }
    service = {
      clusterIP,
      portName: s.get('portName').text(DNS_LABEL, 'a DNS label', 'main'),
      port,
      targetPort: s.get('targetPort').integer(1, 65_535, port),
    };
  }
  return {
    name,
    image: o.get('image').text(/^[\w./:@-]+$/, 'an image reference', `example/${name}:1`),
    cpu: quantity(o.get('cpu'), '100m', parseMilliQuantity),
    memory: quantity(o.get('memory'), '64Mi', parseQuantity),
    placement,
    env: o.has('env') ? o.get('env').textRecord() : {},
    service,
    ...(o.has('bandwidth') ? { bandwidth: readBandwidth(o.get('bandwidth')) } : {}),
  };
}

/** Whether a value can be used is for the agent to say. */
function readBandwidth(r: Reader): Bandwidth {
  const o = r.object(['egress', 'ingress']);
  const read = (key: keyof Bandwidth): Bandwidth =>
    o.has(key) ? { [key]: o.get(key).text(/^[^\n]{1,40}$/, 'a quantity of bits a second such as 10M') } : {};
  return { ...read('egress'), ...read('ingress') };
}

function readEdge(
  r: Reader,
  workloads: readonly ScenarioWorkload[],
  scale: { readonly byteScale: number; readonly requestScale: number; readonly redialMs: number },
): ScenarioEdge {
  const o = r.object([
    'client',
    'server',
    'mode',
    'requestsPerSecond',
    'requestBytes',
    'responseBytes',
    'connections',
    'redialMs',
    'close',
  ]);
  const names = workloads.map((w) => w.name);
  const client = o.get('client').oneOf(names);
  const server = o.get('server').oneOf(names);
  if (workloads.find((w) => w.name === server)?.service === undefined) {
    o.get('server').fail('a workload with a `service`', `${server}, which has none`);
  }
  const mode = o.has('mode') ? o.get('mode').oneOf(MODES) : 'keep-alive';
  const requestsPerSecond = o.get('requestsPerSecond').number(0, 1e6, mode === 'bulk' ? 0 : undefined);
  if (requestsPerSecond === 0 && mode !== 'bulk') {
    o.get('requestsPerSecond').fail('more than 0 (0 means flat out, in mode bulk only)', '0');
  }
  const bytes = (key: string, min: number, fallback: number): number => {
    const value = Math.round(o.get(key).integer(0, LIMITS.maxMessageBytes, fallback) * scale.byteScale);
    if (value < min || value > LIMITS.maxMessageBytes) {
      o.get(key).fail(`${min}..${LIMITS.maxMessageBytes} after byteScale ${scale.byteScale}`, String(value));
    }
    return value;
  };
  return {
    client,
    server,
    mode,
    requestsPerSecond: requestsPerSecond * scale.requestScale,
    requestBytes: bytes('requestBytes', LIMITS.minRequestBytes, mode === 'bulk' ? 262_144 : 100),
    responseBytes: bytes('responseBytes', 0, mode === 'bulk' ? 0 : 1000),
    connections: o.get('connections').integer(1, LIMITS.connections, mode === 'short' ? 256 : 2),
    redialMs: o.get('redialMs').integer(0, 86_400_000, scale.redialMs),
    close: o.has('close') ? o.get('close').oneOf(CLOSES) : 'client',
  };
}

function quantity(r: Reader, fallback: string, parse: (value: unknown) => number | undefined): string {
  const text = r.text(/^\S+$/, 'a Kubernetes quantity', fallback);
  if ((parse(text) ?? -1) < 0) r.fail('a Kubernetes quantity such as 100m or 64Mi', text);
  return text;
}

function unique(names: readonly string[], r: Reader, what: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) r.fail(`every ${what} once`, `${name} twice`);
    seen.add(name);
  }
}

function inServiceRange(address: string): boolean {
  const [a, b] = address.split('.').map(Number);
  return a === 10 && b! >= 96 && b! < 112;
}
